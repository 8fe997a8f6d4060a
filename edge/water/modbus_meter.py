"""Driver ``modbus``: reads a meter over RTU or TCP. The one place that knows pymodbus."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from datetime import datetime
from typing import Final

from pymodbus import FramerType, ModbusException
from pymodbus.client import ModbusSerialClient, ModbusTcpClient
from pymodbus.exceptions import ConnectionException
from pymodbus.pdu import ModbusPDU

from contract.messages import WaterReading
from edge.water.modbus_decode import rtu_answer_in
from edge.water.modbus_map import Span, Table, plan, register_of
from edge.water.profiles import ModbusProfile, load
from edge.water.register import FrameRefused, LineError, NoAnswer
from edge.water.settings_meters import BusSettings, ModbusMeter

# It logs every missed answer as an error; what becomes of a meter is ours to tell, once.
logging.getLogger("pymodbus").setLevel(logging.CRITICAL)

_PARITIES: Final = {"none": "N", "even": "E", "odd": "O"}
_BAUD: Final = 9600
_EXCEPTIONS: Final = {
    1: "illegal function",
    2: "illegal data address",
    3: "illegal data value",
    4: "device failure",
}


class ModbusLink:
    """The connection that the readers of one bus share. Not for several threads."""

    def __init__(self, settings: BusSettings) -> None:
        self._where = settings.port or settings.tcp
        self._timeout_s = settings.timeout_s
        self._is_rtu = settings.port is not None or settings.framing == "rtu"
        self._unit = 0
        self._client = _client(settings, self._tidied)

    def open(self) -> None:
        """Connect. Raises :class:`LineError` with the cause."""
        if self._client.connected:
            return
        try:
            connected = self._client.connect()
        except (ModbusException, OSError) as error:
            raise LineError(f"{self._where} cannot be opened: {error}") from error
        if not connected:
            raise LineError(f"{self._where} cannot be opened")

    def close(self) -> None:
        """Disconnect."""
        self._client.close()

    def settle(self) -> None:
        """Let a late answer pass. RTU answers do not say what they answer: it could be taken for the next one."""
        self.close()
        time.sleep(self._timeout_s)

    def read(self, span: Span, unit: int) -> list[int]:
        """Return the words of a span. Raises ``MeterError`` with the reason."""
        self.open()
        self._unit = unit
        ask = (
            self._client.read_holding_registers
            if span.table == "holding"
            else self._client.read_input_registers
        )
        try:
            answer = ask(span.start, count=span.count, device_id=unit)
        except ConnectionException as error:
            self.close()
            raise LineError(f"{self._where} is lost: {error}") from error
        except ModbusException as error:
            # What is left of a late or broken answer must not be taken for the next one.
            self.close()
            raise NoAnswer(f"no valid answer: {error}") from error
        except OSError as error:
            self.close()
            raise LineError(f"{self._where} is lost: {error}") from error
        return _words(answer, span, unit)

    def _tidied(self, sending: bool, data: bytes) -> bytes:
        """Show pymodbus the asked unit's answer alone: in noise it waits for the end of what looks like a frame."""
        if sending or not self._is_rtu:
            return data
        return rtu_answer_in(data, self._unit) or b""


def _client(
    settings: BusSettings, trace: Callable[[bool, bytes], bytes]
) -> ModbusSerialClient | ModbusTcpClient:
    if settings.port is not None:
        return ModbusSerialClient(
            settings.port,
            baudrate=settings.baud or _BAUD,
            parity=_PARITIES[settings.parity or "none"],
            stopbits=settings.stop_bits,
            timeout=settings.timeout_s,
            retries=0,
            trace_packet=trace,
        )
    host, _, port = str(settings.tcp).rpartition(":")
    framer = FramerType.RTU if settings.framing == "rtu" else FramerType.SOCKET
    return ModbusTcpClient(
        host, port=int(port), framer=framer, timeout=settings.timeout_s, retries=0, trace_packet=trace
    )


def _words(answer: ModbusPDU, span: Span, unit: int) -> list[int]:
    if answer.isError():
        code = answer.exception_code
        raise FrameRefused(f"the meter reports an error: {_EXCEPTIONS.get(code, f'code {code}')}")
    if answer.dev_id != unit:
        raise FrameRefused(f"unit {answer.dev_id} answered in place of unit {unit}")
    if len(answer.registers) != span.count:
        raise FrameRefused(f"{len(answer.registers)} registers came; {span.count} were asked for")
    return list(answer.registers)


class ModbusReader:
    """Asks one meter for the registers of its profile's map."""

    def __init__(self, settings: ModbusMeter, link: ModbusLink) -> None:
        """Raises ``ProfileError``."""
        self.profile = load(settings.profile, ModbusProfile)
        self._settings = settings
        self._link = link
        self._spans = plan(self.profile)

    def read(self, at: datetime) -> WaterReading:
        """Read the meter. Raises ``MeterError`` with the reason."""
        words: dict[tuple[Table, int], int] = {}
        for span in self._spans:
            words |= self._words(span)
        return register_of(words, self.profile).reading(self._settings.name, at)

    def _words(self, span: Span) -> dict[tuple[Table, int], int]:
        try:
            read = self._link.read(span, self._settings.unit)
        except NoAnswer:
            if len(self._spans) > 1:
                self._link.settle()
            raise
        return {(span.table, span.start + index): word for index, word in enumerate(read)}
