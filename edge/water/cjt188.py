"""CJ/T 188: the codec of frames and of the reply to "read meter data".

A frame is ``68 T A0..A6 C L DATA CS 16``, with any number of FEH before it; CS is the sum of the bytes from 68H to
the last of DATA, modulo 256. The data identifier (DI) 901FH is seen on the wire in both byte orders, and both are
taken. Fields filled with FFH are "not supported" by the meter.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Final

from contract.flags import WaterFlag
from edge.water import bcd
from edge.water.profiles import Cjt188Field, Cjt188Profile, flags_of
from edge.water.register import FrameRefused, Register, rescaled

START: Final = 0x68
END: Final = 0x16
PREAMBLE: Final = 0xFE
BROADCAST: Final = b"\xaa" * 7
READ: Final = 0x01
READ_ADDRESS: Final = 0x03
REPLY: Final = 0x80
"""Set in the control byte of an answer."""
FAULT: Final = 0x40
"""Set in the control byte of an answer that reports an error."""
DI_DATA: Final = bytes.fromhex("901F")
DI_ADDRESS: Final = bytes.fromhex("810A")
_PREAMBLE_MOST: Final = 32
_OVERHEAD: Final = 13
"""Bytes of a frame beside its data."""
_WATER_TYPES: Final = range(0x10, 0x1A)
_UNIT_L: Final = 0x29
_UNIT_M3: Final = 0x2C
_FLOW_UNITS_M3H: Final = {0x32: Decimal("0.001"), 0x35: Decimal(1)}


@dataclass(frozen=True, slots=True)
class Frame:
    """A frame whose checksum and length are right. ``address`` is most significant digit first."""

    meter_type: int
    address: str
    control: int
    data: bytes


def build(meter_type: int, address: bytes, control: int, data: bytes, *, preamble: int = 4) -> bytes:
    """Return a frame; ``address`` as on the wire, least significant byte first."""
    body = bytes([START, meter_type, *address, control, len(data)]) + data
    return bytes([PREAMBLE]) * preamble + body + bytes([sum(body) & 0xFF, END])


def wire_address(address: str) -> bytes:
    """Return the seven bytes on the wire for an address of 14 digits, most significant first."""
    return bytes.fromhex(address)[::-1]


def read_request(meter_type: int, address: bytes, serial: int, *, reversed_di: bool = False) -> bytes:
    """Return the request for a meter's data."""
    identifier = DI_DATA[::-1] if reversed_di else DI_DATA
    return build(meter_type, address, READ, identifier + bytes([serial & 0xFF]))


def answer_bytes(profile: Cjt188Profile) -> int:
    """Return the length of a reply to "read meter data", with room for a preamble."""
    return _PREAMBLE_MOST + _OVERHEAD + 3 + _fields_bytes(profile)


def address_request(meter_type: int) -> bytes:
    """Return the request that the one meter on a line answers with its address."""
    return build(meter_type, BROADCAST, READ_ADDRESS, DI_ADDRESS + b"\x00")


def parse(raw: bytes) -> Frame:
    """Return the frame that ``raw`` is, from its preamble to its end. Raises :class:`FrameRefused`."""
    body = raw.lstrip(bytes([PREAMBLE]))
    if len(body) < _OVERHEAD:
        raise FrameRefused(f"{len(body)} bytes after the preamble; the shortest frame has {_OVERHEAD}")
    if body[0] != START:
        raise FrameRefused(f"starts with {body[0]:02X}H, not with 68H")
    length = _OVERHEAD + body[10]
    if len(body) != length:
        raise FrameRefused(f"{len(body)} bytes; by its length byte {body[10]:02X}H the frame has {length}")
    if body[-1] != END:
        raise FrameRefused(f"ends with {body[-1]:02X}H, not with 16H")
    checksum = sum(body[:-2]) & 0xFF
    if body[-2] != checksum:
        raise FrameRefused(f"checksum is {body[-2]:02X}H, computed {checksum:02X}H")
    return Frame(body[1], body[2:9][::-1].hex().upper(), body[9], bytes(body[11:-2]))


def frames_in(buffer: bytes) -> Iterator[Frame]:
    """Yield every frame within bytes from a line, skipping noise, echoes' preambles and broken frames."""
    place = buffer.find(START)
    while place >= 0:
        if place + 11 <= len(buffer):
            end = place + _OVERHEAD + buffer[place + 10]
            try:
                frame = parse(buffer[place:end])
            except FrameRefused:
                pass
            else:
                yield frame
                place = end - 1
        place = buffer.find(START, place + 1)


def decode(raw: bytes, profile: Cjt188Profile) -> Register:
    """Return the register in a reply to "read meter data". Raises :class:`FrameRefused` with the reason."""
    return register_of(parse(raw), profile)


def register_of(frame: Frame, profile: Cjt188Profile) -> Register:
    """Return the register in a frame. Raises :class:`FrameRefused` with the reason."""
    _demand_reply(frame)
    if not frame.address[4:].isdecimal():
        raise FrameRefused(f"address {frame.address} is not in BCD digits")
    data = frame.data[3:]
    wanted = _fields_bytes(profile)
    if len(data) != wanted:
        raise FrameRefused(
            f"{len(data)} bytes of fields; the profile's layout has {wanted} (another layout needs a profile)"
        )
    return _Fields(data, profile).register(frame.address)


def _demand_reply(frame: Frame) -> None:
    if frame.meter_type not in _WATER_TYPES:
        raise FrameRefused(f"meter type {frame.meter_type:02X}H is no water meter (10H to 19H)")
    if not frame.control & REPLY:
        raise FrameRefused(f"a request (control {frame.control:02X}H), not a reply")
    if frame.control & FAULT:
        raise FrameRefused(
            f"the meter reports an error (control {frame.control:02X}H, {frame.data.hex().upper()})"
        )
    if frame.control != READ | REPLY:
        raise FrameRefused(f"control {frame.control:02X}H answers no reading of data (81H)")
    if len(frame.data) < 3 or frame.data[:2] not in (DI_DATA, DI_DATA[::-1]):
        raise FrameRefused(f"data identifier {frame.data[:2].hex().upper() or 'missing'}, not 901F or 1F90")


def _fields_bytes(profile: Cjt188Profile) -> int:
    return sum(one.bytes + _has_unit(one) for one in profile.layout)


def _has_unit(one: Cjt188Field) -> bool:
    return one.unit and one.field in ("volume", "settlement", "reverse", "flow")


class _Fields:
    """The fields of one reply, by the layout of a profile."""

    def __init__(self, data: bytes, profile: Cjt188Profile) -> None:
        self._profile = profile
        self._raw: dict[str, tuple[bytes, int | None, Cjt188Field]] = {}
        place = 0
        for one in profile.layout:
            end = place + one.bytes
            unit = data[end] if _has_unit(one) else None
            if one.field != "skip":
                self._raw[one.field] = (data[place:end], unit, one)
            place = end + (unit is not None)

    def register(self, address: str) -> Register:
        volume = self._volume("volume")
        if volume is None:
            raise FrameRefused("the volume is filled with FFH: the meter does not give it")
        steps, step_ml = volume
        reverse = self._volume("reverse")
        return Register(
            volume_steps=steps,
            step_ml=step_ml,
            serial=address,
            flow_m3h=self._flow(),
            reverse_steps=None if reverse is None else rescaled(*reverse, step_ml),
            meter_time=self._clock(),
            flags=self._flags(),
        )

    def _number(self, field: str) -> int | None:
        raw, _unit, _one = self._raw.get(field, (b"\xff", None, None))
        if raw.count(0xFF) == len(raw):
            return None
        value = bcd.number(raw)
        if value is None:
            raise FrameRefused(f"{field} {raw[::-1].hex().upper()} is not in BCD digits")
        return value

    def _volume(self, field: str) -> tuple[int, int] | None:
        value = self._number(field)
        if value is None:
            return None
        _raw, unit, one = self._raw[field]
        if unit in (_UNIT_M3, None):
            return value, 10 ** (6 - one.decimals)
        if unit == _UNIT_L:
            if self._profile.unit_29_step_ml is None:
                raise FrameRefused(
                    "unit 29H: sources disagree on its scale; a profile must give unit_29_step_ml for this model"
                )
            return value, self._profile.unit_29_step_ml
        raise FrameRefused(f"{field}: unit {unit:02X}H is no volume (2CH is m3, 29H L)")

    def _flow(self) -> Decimal | None:
        value = self._number("flow")
        if value is None:
            return None
        _raw, unit, one = self._raw["flow"]
        factor = _FLOW_UNITS_M3H.get(0x35 if unit is None else unit)
        return None if factor is None else Decimal(value).scaleb(-one.decimals) * factor

    def _clock(self) -> str | None:
        if "clock" not in self._raw or self._profile.clock_order == "none":
            return None
        raw = self._raw["clock"][0]
        text = bcd.digits(raw if self._profile.clock_order == "seconds_first" else raw[::-1])
        if len(raw) != 7 or text is None:
            return None
        try:
            return datetime.fromisoformat(f"{text[:8]}T{text[8:]}").isoformat()
        except ValueError:
            return None

    def _flags(self) -> WaterFlag:
        raw = self._raw.get("status", (b"\xff", None, None))[0]
        flags = WaterFlag(0)
        if raw.count(0xFF) == len(raw):
            return flags
        for rule in self._profile.status:
            if rule.byte < len(raw):
                flags |= flags_of((rule,), raw[rule.byte])
        return flags
