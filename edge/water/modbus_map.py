"""Register maps of Modbus meters: which registers to read, and what they say."""

from __future__ import annotations

import math
import struct
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Final, Literal

from contract.flags import WaterFlag
from edge.water.profiles import ModbusField, ModbusProfile, StatusRule, flags_of
from edge.water.register import NO_FLAGS, FrameRefused, Register, rescaled

Table = Literal["holding", "input"]
Words = Mapping[tuple[Table, int], int]
"""16-bit words that were read, by table and address."""

_UNIT_ML: Final = {"mL": Decimal(1), "L": Decimal(1000), "m3": Decimal(1_000_000)}
_UNIT_M3H: Final = {
    "m3/h": Decimal(1), "L/h": Decimal("0.001"), "L/min": Decimal("0.06"), "L/s": Decimal("3.6"),
}  # fmt: skip
_FORMATS: Final = {
    "uint16": ">H", "int16": ">h", "uint32": ">I", "int32": ">i", "uint64": ">Q", "int64": ">q",
    "float32": ">f", "float64": ">d", "bcd32": ">I", "bcd64": ">Q",
}  # fmt: skip
_GAP: Final = 8
"""Registers between two wanted ones that are read along rather than asked for separately."""
_SPAN_MOST: Final = 125
"""Registers in one request (Modbus application protocol, 6.3)."""


@dataclass(frozen=True, slots=True)
class Span:
    """Registers that are read with one request."""

    table: Table
    start: int
    count: int


def plan(profile: ModbusProfile) -> list[Span]:
    """Return the requests that read all of a map, few and short."""
    spans: list[Span] = []
    for table, start, end in sorted(_wanted(profile)):
        last = spans[-1] if spans else None
        joins = last is not None and last.table == table and start <= last.start + last.count + _GAP
        if last is not None and joins and max(end, last.start + last.count) - last.start <= _SPAN_MOST:
            spans[-1] = Span(table, last.start, max(end, last.start + last.count) - last.start)
        else:
            spans.append(Span(table, start, end - start))
    return spans


def _wanted(profile: ModbusProfile) -> list[tuple[Table, int, int]]:
    fields = [*profile.volume, *profile.reverse]
    fields += [one for one in (profile.flow, profile.serial) if one is not None]
    wanted: list[tuple[Table, int, int]] = [
        (one.table, one.register, one.register + _words_of(one)) for one in fields
    ]
    return wanted + [(one.table, one.register, one.register + 1) for one in profile.status]


def _words_of(one: ModbusField) -> int:
    return struct.calcsize(_FORMATS[one.type]) // 2


def register_of(words: Words, profile: ModbusProfile) -> Register:
    """Return the register that the words of a map hold. Raises :class:`FrameRefused` where they make no sense."""
    steps, step_ml = _volume(words, profile.volume)
    reverse = _volume(words, profile.reverse) if profile.reverse else None
    return Register(
        volume_steps=steps,
        step_ml=step_ml,
        serial=None if profile.serial is None else f"{_number(words, profile.serial):f}",
        flow_m3h=None if profile.flow is None else _flow_m3h(words, profile.flow),
        reverse_steps=None if reverse is None else rescaled(*reverse, step_ml),
        flags=_flags(words, profile),
    )


def step_ml_of(one: ModbusField) -> int:
    """Return a volume field's step, millilitres."""
    return one.step_ml or int(Decimal(one.scale) * _UNIT_ML[one.unit])


def _volume(words: Words, fields: tuple[ModbusField, ...]) -> tuple[int, int]:
    step_ml = math.gcd(*(step_ml_of(one) for one in fields))
    return sum(_volume_ml(words, one) for one in fields) // step_ml, step_ml


def _volume_ml(words: Words, one: ModbusField) -> int:
    volume_ml = _number(words, one) * Decimal(one.scale) * _UNIT_ML[one.unit]
    step_ml = step_ml_of(one)
    return int((volume_ml / step_ml).to_integral_value()) * step_ml


def _flow_m3h(words: Words, one: ModbusField) -> Decimal:
    return _number(words, one) * Decimal(one.scale) * _UNIT_M3H[one.unit]


def _number(words: Words, one: ModbusField) -> Decimal:
    try:
        raw = [words[one.table, one.register + index] for index in range(_words_of(one))]
    except KeyError:
        raise FrameRefused(f"register {one.register} is not among those that were read") from None
    if one.word_order == "little":
        raw.reverse()
    data = b"".join(word.to_bytes(2, "big") for word in raw)
    if one.type.startswith("bcd"):
        if not data.hex().isdecimal():
            raise FrameRefused(f"register {one.register}: {data.hex().upper()} is not in BCD digits")
        return Decimal(data.hex())
    (value,) = struct.unpack(_FORMATS[one.type], data)
    if isinstance(value, float):
        if not math.isfinite(value):
            raise FrameRefused(f"register {one.register}: {value} is no number")
        # float32 is shown with the seven digits that it holds: 0.1 is 0.1, not 0.10000000149.
        return Decimal(f"{value:.7g}") if one.type == "float32" else Decimal(repr(value))
    return Decimal(value)


def _flags(words: Words, profile: ModbusProfile) -> WaterFlag:
    flags = NO_FLAGS
    for status in profile.status:
        rules: tuple[StatusRule, ...] = status.rules
        flags |= flags_of(rules, words.get((status.table, status.register), 0))
    return flags
