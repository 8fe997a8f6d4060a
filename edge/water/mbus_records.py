"""M-Bus application layer (EN 13757-3): records and the register of a water meter among them.

Records are cut strictly here: every byte of the payload must belong to a record, else nothing is believed. Their values
are decoded by ``pymbusparser``, which on its own returns something for broken frames, too.
"""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Final

import pymbusparser

from contract.flags import WaterFlag
from edge.water.profiles import MbusProfile, flags_of
from edge.water.register import FrameRefused, Register, rescaled

_EXTENSION: Final = 0x80
_MOST_EXTENSIONS: Final = 10
_IDLE: Final = 0x2F
_FILL: Final = 0xFF
"""No DIF: what some meters fill the rest of a block with."""
_MORE_FOLLOW: Final = 0x1F
_MANUFACTURER: Final = (0x0F, _MORE_FOLLOW)
_LENGTHS: Final = {0: 0, 1: 1, 2: 2, 3: 3, 4: 4, 5: 4, 6: 6, 7: 8, 9: 1, 0xA: 2, 0xB: 3, 0xC: 4, 0xE: 6}
"""Data bytes by the lower half of the DIF; DH is variable, 8H and FH are special."""
_BCD_CODES: Final = (9, 0xA, 0xB, 0xC, 0xE)
_REAL_CODE: Final = 5
_VOLUME: Final = range(0x10, 0x18)
_BACKWARD: Final = 0x3C
"""VIFE: accumulation of negative contributions only."""
_DATE_TIME: Final = 0x6D


@dataclass(frozen=True, slots=True)
class Header:
    """A record's header: ``raw`` is DIF, DIFE, VIF and VIFE; ``vif`` the value information alone."""

    raw: bytes
    vif: bytes
    code: int
    function: int
    storage: int
    tariff: int
    subunit: int

    def is_present(self, tariff: int = 0, subunit: int = 0) -> bool:
        """Say whether it is an instantaneous value of now, not a maximum or one of the past."""
        return (self.function, self.storage, self.tariff, self.subunit) == (0, 0, tariff, subunit)

    @property
    def data_bytes(self) -> int | None:
        """Length of the data; ``None`` where a length byte tells it."""
        return _LENGTHS.get(self.code)


@dataclass(frozen=True, slots=True)
class Record:
    """One record."""

    header: Header
    data: bytes

    @property
    def vif(self) -> bytes:
        """VIF and VIFE."""
        return self.header.vif


def records(payload: bytes) -> list[Record]:
    """Cut a payload into its records. Raises :class:`FrameRefused` unless they fill it to the last byte."""
    result: list[Record] = []
    reader = _Reader(payload)
    while not reader.at_end:
        header = reader.header()
        if header is not None:
            result.append(Record(header, reader.data(header)))
    return result


def headers(raw: bytes) -> list[Header]:
    """Cut record headers that stand without data. Raises :class:`FrameRefused` unless they fill it."""
    result: list[Header] = []
    reader = _Reader(raw)
    while not reader.at_end:
        header = reader.header()
        if header is not None:
            result.append(header)
    return result


class _Reader:
    def __init__(self, payload: bytes) -> None:
        self._payload = payload
        self._place = 0
        self.more_follow = False

    @property
    def at_end(self) -> bool:
        return self._place >= len(self._payload)

    def header(self) -> Header | None:
        """Read a header; ``None`` for idle filler and for the manufacturer's own bytes, which fill the rest."""
        start = self._place
        dif = self._byte("data information")
        if dif == _IDLE:
            return None
        if dif in _MANUFACTURER or (dif == _FILL and self._rest_is(_FILL)):
            self._place = len(self._payload)
            self.more_follow = dif == _MORE_FOLLOW
            return None
        if dif & 0x0F in (0x8, 0xF):
            raise FrameRefused(f"record at byte {start}: DIF {dif:02X}H is no data")
        storage, tariff, subunit = self._difes(dif)
        vif = self._vifs()
        raw = self._payload[start : self._place]
        return Header(raw, vif, dif & 0x0F, dif >> 4 & 3, storage, tariff, subunit)

    def data(self, header: Header) -> bytes:
        """Read the data that belongs to a header."""
        length = header.data_bytes
        return self._take(self._variable() if length is None else length, "data")

    def _rest_is(self, fill: int) -> bool:
        return self._payload.count(fill, self._place) == len(self._payload) - self._place

    def _byte(self, what: str) -> int:
        if self.at_end:
            raise FrameRefused(f"the payload ends within the {what} of a record")
        self._place += 1
        return self._payload[self._place - 1]

    def _take(self, length: int, what: str) -> bytes:
        if self._place + length > len(self._payload):
            raise FrameRefused(f"the payload ends within the {what} of a record")
        self._place += length
        return self._payload[self._place - length : self._place]

    def _difes(self, dif: int) -> tuple[int, int, int]:
        storage, tariff, subunit = (dif >> 6) & 1, 0, 0
        last = dif
        for index in range(_MOST_EXTENSIONS + 1):
            if not last & _EXTENSION:
                return storage, tariff, subunit
            last = self._byte("data information")
            storage |= (last & 0x0F) << (1 + 4 * index)
            tariff |= ((last >> 4) & 3) << (2 * index)
            subunit |= ((last >> 6) & 1) << index
        raise FrameRefused("a record has more than 10 DIFE")

    def _vifs(self) -> bytes:
        first = last = self._byte("value information")
        vifs = [first]
        if first & 0x7F == 0x7C:
            # The unit is text, which stands between the VIF and its extensions.
            self._take(self._byte("value information"), "unit text")
        while last & _EXTENSION:
            if len(vifs) > _MOST_EXTENSIONS:
                raise FrameRefused("a record has more than 10 VIFE")
            last = self._byte("value information")
            vifs.append(last)
        return bytes(vifs)

    def _variable(self) -> int:
        """Length of data with a leading length byte, LVAR (EN 13757-3:2018, table 5)."""
        lvar = self._byte("length")
        if lvar <= 0xBF:
            return lvar
        if lvar <= 0xC9 or 0xD0 <= lvar <= 0xD9 or 0xE0 <= lvar <= 0xEF:
            return lvar & 0x0F
        if 0xF0 <= lvar <= 0xF4:
            return 4 * (lvar - 0xEC)
        if lvar in (0xF5, 0xF6):
            return 48 if lvar == 0xF5 else 64
        raise FrameRefused(f"length byte {lvar:02X}H of a record is reserved")


def more_follow(payload: bytes) -> bool:
    """Say whether a payload ends with DIF 1FH: the meter has more records in a next telegram."""
    reader = _Reader(payload)
    while not reader.at_end:
        header = reader.header()
        if header is not None:
            reader.data(header)
    return reader.more_follow


def register_in(found: list[Record], serial: str | None, status: int, profile: MbusProfile) -> Register:
    """Return the water meter's register among records. Raises :class:`FrameRefused`.

    It is the first instantaneous volume of storage 0 without a qualifier: anything else (a past month, a maximum,
    a tariff, a volume of one direction only) is another quantity and never stands in for it.
    """
    volume = next((one for one in found if _is_volume(one, profile)), None)
    if volume is None:
        raise FrameRefused(f"no volume of storage 0 among its {len(found)} records")
    steps, step_ml = _volume_steps(volume)
    return Register(
        volume_steps=steps,
        step_ml=step_ml,
        serial=serial,
        flow_m3h=_flow_m3h(found, profile),
        reverse_steps=_reverse_steps(found, profile, step_ml),
        meter_time=_meter_time(found),
        flags=_status_flags(status, profile) | _record_flags(found, profile),
    )


def _is_volume(one: Record, profile: MbusProfile) -> bool:
    return (
        len(one.vif) == 1 and one.vif[0] in _VOLUME and one.header.is_present(profile.tariff, profile.subunit)
    )


def _step_ml(one: Record) -> int:
    return 10 ** ((one.vif[0] & 0x7F) - _VOLUME.start)


def _volume_steps(one: Record) -> tuple[int, int]:
    """Return the register of a volume record and its step. Raises :class:`FrameRefused` without a value."""
    if one.header.code == _REAL_CODE:
        raise FrameRefused("the volume is a floating-point number, which has no exact step")
    value = _decimal(one)
    if value is None:
        raise FrameRefused(f"the volume {one.data[::-1].hex().upper()} is marked as invalid or is no number")
    step_ml = _step_ml(one)
    steps = value * 1_000_000 / step_ml
    if steps != int(steps):
        raise FrameRefused(f"the volume {value} m3 is no whole number of its step")
    return int(steps), step_ml


def _decimal(one: Record) -> Decimal | None:
    """Return a record's value in the unit of its VIF; ``None`` where it is marked as invalid."""
    if not one.data or _marked_invalid(one):
        return None
    value = _parsed(one)
    return Decimal(value["value"]) if value.get("kind") == "decimal" else None


def _marked_invalid(one: Record) -> bool:
    """BCD with a half byte that is no digit, and the most negative integer, mean "no value" (OMS vol. 2, 8.5)."""
    if one.header.code in _BCD_CODES:
        text = one.data[::-1].hex()
        return not (text[1:] if text[0] == "f" else text).isdecimal()
    return (
        one.header.code != _REAL_CODE and len(one.data) > 1 and one.data == bytes(len(one.data) - 1) + b"\x80"
    )


def _parsed(one: Record) -> dict[str, str]:
    try:
        (parsed,) = pymbusparser.parse_records(one.header.raw + one.data)
    except (pymbusparser.MbusParserError, ValueError):
        return {}
    return parsed.get("value") or {}


def _flow_m3h(found: list[Record], profile: MbusProfile) -> Decimal | None:
    for one in found:
        if (
            len(one.vif) == 1
            and 0x38 <= one.vif[0] <= 0x4F
            and one.header.is_present(profile.tariff, profile.subunit)
        ):
            value = _decimal(one)
            if value is not None:
                per_hour = (1, 60, 3600)[(one.vif[0] - 0x38) // 8]
                return value * per_hour
    return None


def _reverse_steps(found: list[Record], profile: MbusProfile, step_ml: int) -> int | None:
    for one in found:
        is_reverse = len(one.vif) == 2 and one.vif[0] & 0x7F in _VOLUME and one.vif[1] == _BACKWARD
        if (
            is_reverse
            and one.header.is_present(profile.tariff, profile.subunit)
            and one.header.code != _REAL_CODE
        ):
            value = _decimal(one)
            if value is not None:
                return rescaled(abs(int(value * 1_000_000)), 1, step_ml)
    return None


def _meter_time(found: list[Record]) -> str | None:
    for one in found:
        if one.vif == bytes([_DATE_TIME]) and one.header.is_present():
            value = _parsed(one).get("value")
            if isinstance(value, str):
                # The bit by which a meter says that it does not trust its clock is left aside: it tells the time.
                with suppress(ValueError):
                    return datetime.fromisoformat(value).isoformat()
    return None


def _status_flags(status: int, profile: MbusProfile) -> WaterFlag:
    """Flags of the status byte (EN 13757-3:2018, table 4), and those of the profile."""
    flags = flags_of(profile.status, status)
    if status & 0x04:
        flags |= WaterFlag.LOW_BATTERY
    if status & 0x18 or status & 0x03 == 0x02:
        flags |= WaterFlag.METER_FAULT
    return flags


def _record_flags(found: list[Record], profile: MbusProfile) -> WaterFlag:
    flags = WaterFlag(0)
    for wanted in profile.records:
        vif = bytes.fromhex(wanted.vif)
        for one in found:
            if one.vif == vif and one.header.storage == 0:
                flags |= flags_of(wanted.rules, int.from_bytes(one.data, "little"))
    return flags
