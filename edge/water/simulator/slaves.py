"""Meters as they behave on a bus: what they answer to which request."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final, Protocol

from edge.water import bcd, cjt188, mbus_link
from edge.water.cjt188 import Frame
from edge.water.mbus_link import LongFrame
from edge.water.modbus_decode import FUNCTIONS, crc

_START: Final = datetime(2026, 1, 1, tzinfo=UTC)
_MAKER: Final = bytes.fromhex("EE46")
"""A made-up maker, QWN."""


@dataclass(frozen=True, slots=True)
class SimulatedMeter:
    """A meter with a steady flow: ``number`` from 1 on; its register is a function of the time alone."""

    number: int
    flow_lph: int = 60

    def volume_l(self, now: datetime) -> int:
        """Return the register, litres."""
        hours = (now - _START).total_seconds() / 3600
        return self.number * 100_000 + int(hours * self.flow_lph)

    @property
    def cjt188_address(self) -> str:
        """Address for CJ/T 188, 14 digits."""
        return f"0011{2_600_000_000 + self.number:010d}"

    @property
    def mbus_serial(self) -> str:
        """Number for M-Bus, eight digits."""
        return f"{26_000_000 + self.number:08d}"


@dataclass(frozen=True, slots=True)
class Answer:
    """What one meter sends, and to a request of how many bytes."""

    meter: int
    data: bytes
    request_bytes: int
    other: bytes | None = None
    """What the next meter would answer."""


class Segment(Protocol):
    """The meters on one bus."""

    def receive(self, data: bytes, now: datetime) -> list[Answer]:
        """Take in bytes from the master; return what the meters answer."""
        ...


class Cjt188Segment:
    """Meters that speak CJ/T 188."""

    def __init__(self, meters: Sequence[SimulatedMeter]) -> None:
        self._meters = meters
        self._buffer = b""

    def receive(self, data: bytes, now: datetime) -> list[Answer]:
        """Take in bytes from the master; return what the meters answer."""
        self._buffer = (self._buffer + data)[-256:]
        answers: list[Answer] = []
        for frame in cjt188.frames_in(self._buffer):
            self._buffer = b""
            asked = [one for one in self._meters if frame.address in (one.cjt188_address, "AA" * 7)]
            sent = [_cjt188_answer(one, frame, now) for one in asked]
            collision = _collided([one for one in sent if one is not None])
            if collision is not None:
                other = _cjt188_answer(_next(self._meters, asked[0]), frame, now)
                answers.append(Answer(asked[0].number, collision, 20, other))
        return answers


def _cjt188_answer(meter: SimulatedMeter, frame: Frame, now: datetime) -> bytes | None:
    address = cjt188.wire_address(meter.cjt188_address)
    if frame.control == cjt188.READ_ADDRESS and len(frame.data) == 3:
        return cjt188.build(frame.meter_type, address, 0x83, frame.data)
    if frame.control != cjt188.READ or frame.data[:2] not in (cjt188.DI_DATA, cjt188.DI_DATA[::-1]):
        return None
    local = now.astimezone(UTC)
    volume = bcd.encoded(meter.volume_l(now) // 10 % 10**8, 4) + b"\x2c"
    clock = bytes.fromhex(local.strftime("%S%M%H%d%m%y")) + b"\x20"
    return cjt188.build(frame.meter_type, address, 0x81, frame.data[:3] + volume * 2 + clock + b"\x00\x00")


class MbusSegment:
    """Meters on a wired M-Bus. Meter n has primary address n; ``telegrams`` of user data each."""

    def __init__(self, meters: Sequence[SimulatedMeter], telegrams: int = 1) -> None:
        self._meters = meters
        self._telegrams = telegrams
        self._buffer = b""
        self._selected: list[SimulatedMeter] = []
        self._states = {one.number: _CountBit() for one in meters}

    def receive(self, data: bytes, now: datetime) -> list[Answer]:
        """Take in bytes from the master; return what the meters answer."""
        self._buffer = (self._buffer + data)[-512:]
        answers: list[Answer] = []
        while (found := _mbus_request(self._buffer)) is not None:
            control, address, select, end = found
            self._buffer = self._buffer[end:]
            answer = self._select(select) if select is not None else self._answer(control, address, now)
            if answer is not None:
                answers.append(answer)
        return answers

    def _select(self, secondary: str) -> Answer | None:
        self._selected = [one for one in self._meters if _has_secondary(one, secondary)]
        for one in self._selected:
            self._states[one.number] = _CountBit()
        return Answer(self._selected[0].number, mbus_link.ACK, 17) if self._selected else None

    def _answer(self, control: int, address: int, now: datetime) -> Answer | None:
        asked = self._asked(address)
        if control == mbus_link.SND_NKE:
            for one in asked:
                self._states[one.number] = _CountBit()
            if address == mbus_link.BY_SECONDARY:
                self._selected = []
            return Answer(asked[0].number, mbus_link.ACK, 5) if asked else None
        if control & ~mbus_link.FCB != mbus_link.REQ_UD2:
            return None
        sent = [self._user_data(one, bool(control & mbus_link.FCB), now) for one in asked]
        collision = _collided(sent)
        if collision is None:
            return None
        other = _mbus_telegram(_next(self._meters, asked[0]), now, 0, 1)
        return Answer(asked[0].number, collision, 5, other)

    def _asked(self, address: int) -> list[SimulatedMeter]:
        if address == mbus_link.BY_SECONDARY:
            return self._selected
        return [one for one in self._meters if address in (one.number, mbus_link.ANY)]

    def _user_data(self, meter: SimulatedMeter, count_bit: bool, now: datetime) -> bytes:
        index = self._states[meter.number].next(count_bit) % self._telegrams
        return _mbus_telegram(meter, now, index, self._telegrams)


class _CountBit:
    """The frame count bit as a meter sees it: the same bit again asks for the same telegram again."""

    def __init__(self) -> None:
        self._last: bool | None = None
        self._index = -1

    def next(self, bit: bool) -> int:
        if bit != self._last:
            self._last, self._index = bit, self._index + 1
        return self._index


def _mbus_request(buffer: bytes) -> tuple[int, int, str | None, int] | None:
    """Return control, address, the secondary address of a SELECT, and where the request ends."""
    for place, byte in enumerate(buffer):
        short = buffer[place : place + 5]
        if byte == 0x10 and len(short) == 5 and mbus_link.short_frame(short[1], short[2]) == short:
            return short[1], short[2], None, place + 5
        if byte == 0x68:
            frame: LongFrame | None = next(mbus_link.frames_in(buffer[place:]), None)
            if frame is not None and frame.ci == mbus_link.SELECT and len(frame.user_data) == 8:
                secondary = frame.user_data[:4][::-1].hex() + frame.user_data[4:].hex()
                return frame.control, frame.address, secondary.upper(), len(buffer)
    return None


def _identity(meter: SimulatedMeter) -> bytes:
    return bytes.fromhex(meter.mbus_serial)[::-1] + _MAKER + b"\x01\x07"


def _has_secondary(meter: SimulatedMeter, secondary: str) -> bool:
    identity = _identity(meter)
    own = (identity[:4][::-1] + identity[4:]).hex().upper()
    return all(a in (b, "F") for a, b in zip(secondary, own, strict=True))


def _mbus_telegram(meter: SimulatedMeter, now: datetime, index: int, telegrams: int) -> bytes:
    volume = b"\x0c\x13" + bcd.encoded(meter.volume_l(now) % 10**8, 4)
    number = b"\x0c\x78" + bytes.fromhex(meter.mbus_serial)[::-1]
    flow = b"\x04\x3b" + meter.flow_lph.to_bytes(4, "little")
    is_last = index == telegrams - 1
    content = (number if telegrams > 1 and index == 0 else volume + flow) + (b"" if is_last else b"\x1f")
    header = _identity(meter) + bytes([index & 0xFF, 0, 0, 0])
    return mbus_link.long_frame(0x08, meter.number & 0xFF, 0x72, header + content)


class ModbusSegment:
    """Meters that speak Modbus: the register in litres as 32 bits in registers 0 and 1, flow in L/h in 2."""

    def __init__(self, meters: Sequence[SimulatedMeter], *, framing: str) -> None:
        self._meters = {one.number: one for one in meters}
        self._framing = framing
        self._buffer = b""

    def receive(self, data: bytes, now: datetime) -> list[Answer]:
        """Take in bytes from the master; return what the meters answer."""
        self._buffer = (self._buffer + data)[-512:]
        answers: list[Answer] = []
        while (found := self._request()) is not None:
            head, unit, pdu, end = found
            self._buffer = self._buffer[end:]
            meter = self._meters.get(unit)
            if meter is not None:
                own = self._framed(head, unit, _modbus_answer(meter, pdu, now))
                another = _next(list(self._meters.values()), meter)
                other = self._framed(head, another.number, _modbus_answer(another, pdu, now))
                answers.append(Answer(unit, own, end, other))
        return answers

    def _request(self) -> tuple[bytes, int, bytes, int] | None:
        buffer = self._buffer
        if self._framing == "tcp":
            length = int.from_bytes(buffer[4:6], "big")
            if len(buffer) < 8 or len(buffer) < 6 + length:
                return None
            return buffer[:4], buffer[6], buffer[7 : 6 + length], 6 + length
        for place in range(len(buffer) - 7):
            frame = buffer[place : place + 8]
            if frame[1] in FUNCTIONS.values() and crc(frame[:6]) == int.from_bytes(frame[6:], "little"):
                return b"", frame[0], frame[1:6], place + 8
        return None

    def _framed(self, head: bytes, unit: int, pdu: bytes) -> bytes:
        body = bytes([unit]) + pdu
        if self._framing == "tcp":
            return head + len(body).to_bytes(2, "big") + body
        return body + crc(body).to_bytes(2, "little")


def _modbus_answer(meter: SimulatedMeter, pdu: bytes, now: datetime) -> bytes:
    start, count = int.from_bytes(pdu[1:3], "big"), int.from_bytes(pdu[3:5], "big")
    words = meter.volume_l(now).to_bytes(4, "big") + meter.flow_lph.to_bytes(2, "big")
    wanted = words[start * 2 : (start + count) * 2]
    if pdu[0] not in FUNCTIONS.values():
        return bytes([pdu[0] | 0x80, 1])
    if not count or len(wanted) != count * 2:
        return bytes([pdu[0] | 0x80, 2])
    return bytes([pdu[0], len(wanted)]) + wanted


def _next(meters: Sequence[SimulatedMeter], meter: SimulatedMeter) -> SimulatedMeter:
    return meters[(list(meters).index(meter) + 1) % len(meters)]


def _collided(sent: Sequence[bytes]) -> bytes | None:
    """What the master sees where several meters answer at once: on these buses a 0 wins over a 1."""
    if not sent:
        return None
    length = max(map(len, sent))
    result = bytearray(b"\xff" * length)
    for one in sent:
        for place, byte in enumerate(one):
            result[place] &= byte
    return bytes(result)
