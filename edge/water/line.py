"""A line to meters: a serial port or a TCP gateway that hands bytes on. The one place that knows pyserial."""

from __future__ import annotations

import termios
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final, TypeVar

import serial

from edge.water.register import FrameRefused, LineError, NoAnswer
from edge.water.settings_meters import BusSettings

T = TypeVar("T")

_PARITIES: Final = {"none": serial.PARITY_NONE, "even": serial.PARITY_EVEN, "odd": serial.PARITY_ODD}
_BAUD: Final = 2400
_PARITY: Final = "even"
_BUFFER_MOST: Final = 4096
"""Bytes without a frame among them after which the line is taken to be noise."""


class Line:
    """Half-duplex exchanges with meters: one request, one answer. Not for several threads."""

    def __init__(self, settings: BusSettings) -> None:
        self._settings = settings
        self._baud = settings.baud or _BAUD
        self._port: serial.Serial | None = None

    def open(self) -> None:
        """Open the port for this process alone. Raises :class:`LineError` with the cause."""
        if self._port is not None:
            return
        settings = self._settings
        url = f"socket://{settings.tcp}" if settings.port is None else settings.port
        try:
            self._port = serial.serial_for_url(
                url,
                baudrate=self._baud,
                parity=_parity(settings),
                stopbits=settings.stop_bits,
                timeout=settings.timeout_s,
                write_timeout=5.0,
                **({} if settings.port is None else {"exclusive": True}),
            )
        except (serial.SerialException, OSError, ValueError, termios.error) as error:
            raise LineError(f"{settings.port or settings.tcp} cannot be opened: {error}") from error

    def close(self) -> None:
        """Close the port."""
        port, self._port = self._port, None
        if port is not None:
            port.close()

    def exchange(self, request: bytes, find: Callable[[bytes], T | None], *, answer_bytes: int = 256) -> T:
        """Send a request and return what ``find`` makes of the bytes that come back.

        ``find`` gets all bytes so far, with whatever noise or other meter's answer is among them, and returns
        ``None`` for "not yet". ``answer_bytes`` bounds how long an answer, once begun, may take. Raises
        :class:`NoAnswer`, :class:`FrameRefused` where only rubbish came, :class:`LineError`, or what ``find`` raises.
        """
        port = self._opened()
        try:
            port.reset_input_buffer()
            port.write(request)
            return self._answer(port, request, find, answer_bytes)
        except (serial.SerialException, OSError, termios.error) as error:
            self.close()
            raise LineError(f"{self._settings.port or self._settings.tcp} is lost: {error}") from error

    def _answer(
        self, port: serial.Serial, request: bytes, find: Callable[[bytes], T | None], answer_bytes: int
    ) -> T:
        sent = time.monotonic() + self._seconds(len(request))
        first = sent + self._settings.timeout_s
        last = first + self._seconds(answer_bytes)
        received = b""
        while len(received) < _BUFFER_MOST:
            is_echo = request.startswith(received)
            left_s = (first if is_echo else last) - time.monotonic()
            if left_s <= 0:
                break
            port.timeout = left_s
            received += port.read(max(1, port.in_waiting))
            if not request.startswith(received):
                # An adapter that hears itself hands the request back first.
                found = find(received.removeprefix(request))
                if found is not None:
                    return found
        if request.startswith(received):
            raise NoAnswer(f"no answer within {self._settings.timeout_s:g} s")
        raise FrameRefused(f"{len(received)} bytes came with no valid answer among them")

    def _seconds(self, count: int) -> float:
        """How long so many bytes take on the line: eleven bits each, and as much again for gaps."""
        return count * 22 / self._baud

    def _opened(self) -> serial.Serial:
        self.open()
        assert self._port is not None
        return self._port


def _parity(settings: BusSettings) -> str:
    """A pseudo-terminal, behind which meters are simulated, has no parity and refuses one."""
    if settings.port is not None and str(Path(settings.port).resolve()).startswith("/dev/pts/"):
        return serial.PARITY_NONE
    return _PARITIES[settings.parity or _PARITY]
