"""Finds the meters on a bus."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from typing import Final

from edge.water import cjt188
from edge.water import mbus_link as link
from edge.water.line import Line
from edge.water.mbus_decode import message_of
from edge.water.mbus_link import LongFrame
from edge.water.mbus_transport import Secrets
from edge.water.modbus_map import Span
from edge.water.modbus_meter import ModbusLink
from edge.water.register import FrameRefused, MeterError, NoAnswer

Progress = Callable[[str], object]
"""Is told what is being tried."""

_SEVERAL: Final = (
    "several meters answer at once, and CJ/T 188 has no search: "
    "connect one alone, or give the addresses on the meters' faces with --addresses"
)
_DIGITS: Final = 8
_UNITS: Final = range(1, 248)
_PRIMARIES: Final = range(1, 251)


@dataclass(frozen=True, slots=True)
class Found:
    """A meter that answered; ``settings`` are the keys of its ``[[water.meters]]`` that name it on its bus."""

    settings: dict[str, str | int]
    about: str


class ScanError(Exception):
    """The bus cannot be searched in this way; the text says what to do."""


def scan_cjt188(line: Line, progress: Progress, addresses: Iterator[str] | None = None) -> Iterator[Found]:
    """Yield the one meter on a line, by broadcast; or those of ``addresses`` (14 digits) that answer.

    Raises :class:`ScanError` where several answer the broadcast at once: CJ/T 188 has no search.
    """
    if addresses is None:
        progress("broadcast")
        frame = _broadcast(line)
        addresses = iter(() if frame is None else (frame.address,))
        several = frame is not None
    else:
        several = False
    for address in addresses:
        progress(address)
        request = cjt188.read_request(0x10, cjt188.wire_address(address), 0)
        try:
            frame = line.exchange(request, _cjt188_answer, answer_bytes=80)
        except (NoAnswer, FrameRefused):
            if several:
                # Answers that fall together can look like a frame, of a meter that is not there.
                raise ScanError(_SEVERAL) from None
        else:
            yield Found({"address": frame.address}, f"type {frame.meter_type:02X}H")


def _broadcast(line: Line) -> cjt188.Frame | None:
    try:
        return line.exchange(cjt188.address_request(0x10), _cjt188_answer, answer_bytes=30)
    except NoAnswer:
        return None
    except FrameRefused as error:
        raise ScanError(_SEVERAL) from error


def _cjt188_answer(received: bytes) -> cjt188.Frame | None:
    return next((one for one in cjt188.frames_in(received) if one.control & cjt188.REPLY), None)


def scan_mbus(line: Line, progress: Progress) -> Iterator[Found]:
    """Yield every meter with a secondary address: digit by digit, going on where several answer at once."""
    with suppress(NoAnswer, FrameRefused):
        line.exchange(link.short_frame(link.SND_NKE, link.BY_SECONDARY), link.ack_in, answer_bytes=1)
    yield from _below(line, "", progress)


def _below(line: Line, prefix: str, progress: Progress) -> Iterator[Found]:
    for digit in "0123456789":
        pattern = (prefix + digit).ljust(_DIGITS, "F")
        progress(pattern)
        try:
            frame = _selected(line, pattern)
            _demand_alone(line, frame)
        except NoAnswer:
            continue
        except FrameRefused:
            if len(prefix) + 1 < _DIGITS:
                yield from _below(line, prefix + digit, progress)
            continue
        yield _mbus_found(frame)


def _demand_alone(line: Line, frame: LongFrame) -> None:
    """Raise ``FrameRefused`` unless a frame's meter is there: answers that fall together can look like a frame."""
    secondary = link.secondary_of(frame)
    if secondary is not None:
        try:
            _selected(line, secondary)
        except NoAnswer as error:
            raise FrameRefused(f"no meter {secondary}") from error


def _selected(line: Line, pattern: str) -> LongFrame:
    line.exchange(link.select_frame(pattern), link.ack_in, answer_bytes=1)
    request = link.short_frame(link.REQ_UD2 | link.FCB, link.BY_SECONDARY)
    return line.exchange(request, lambda received: next(link.frames_in(received), None))


def scan_mbus_primary(line: Line, progress: Progress) -> Iterator[Found]:
    """Yield every meter that answers to a primary address, 1 to 250."""
    for address in _PRIMARIES:
        progress(f"primary {address}")
        with suppress(NoAnswer, FrameRefused):
            line.exchange(link.short_frame(link.SND_NKE, address), link.ack_in, answer_bytes=1)
            request = link.short_frame(link.REQ_UD2 | link.FCB, address)
            frame = line.exchange(request, lambda received: next(link.frames_in(received), None))
            yield Found({"primary": address}, _mbus_found(frame).about)


def _mbus_found(frame: LongFrame) -> Found:
    secondary = link.secondary_of(frame)
    try:
        identity = message_of(frame, Secrets()).identity
        about = "" if identity is None else f"{identity.maker}, version {identity.version:02X}H"
        about += "" if identity is None else f", medium {identity.medium:02X}H"
    except MeterError as error:
        about = str(error)
    if secondary is None:
        return Found({"primary": frame.address}, about)
    return Found({"secondary": secondary}, f"primary {frame.address}, {about}")


def scan_modbus(bus: ModbusLink, progress: Progress) -> Iterator[Found]:
    """Yield every unit, 1 to 247, that answers a request for a register, be it with an error."""
    for unit in _UNITS:
        progress(f"unit {unit}")
        try:
            bus.read(Span("holding", 0, 1), unit)
        except NoAnswer:
            continue
        except FrameRefused as error:
            yield Found({"unit": unit}, str(error))
        else:
            yield Found({"unit": unit}, "holding registers can be read")
