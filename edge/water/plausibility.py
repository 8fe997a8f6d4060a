"""What the reader finds about a reading beside the one before it. It flags, and never alters a volume. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final

import msgspec

from contract.flags import WaterFlag, names, parse
from contract.messages import WaterReading

_FROZEN_AFTER: Final = timedelta(minutes=10)
"""Clocks of meters have minutes at the coarsest."""
_ML_PER_M3: Final = 1_000_000


class Seen(msgspec.Struct, frozen=True, omit_defaults=True):
    """What is remembered of a meter's newest reading. Times are microseconds since 1970."""

    t_us: int
    volume_ml: int
    step_ml: int
    serial: str | None = None
    meter_time: str | None = None
    meter_time_since_us: int = 0
    """When this time of the meter's clock was first seen."""
    tampered: bool = False


@dataclass(frozen=True, slots=True)
class Judged:
    """A reading with the reader's flags, what to remember, and what it says about the meter."""

    reading: WaterReading
    seen: Seen
    replaced: bool = False
    tamper_begins: bool = False


def judge(
    before: Seen | None, reading: WaterReading, q4_m3h: float | None, clock_synced: bool | None
) -> Judged:
    """Judge a reading beside the one before it.

    A changed serial number is another meter, whose register stands for itself. ``q4_m3h`` is the meter's overload
    flow rate (ISO 4064-1); without it nothing is too fast.
    """
    flags = parse(WaterFlag, reading.flags)
    if clock_synced is False:
        flags |= WaterFlag.CLOCK_UNSYNCED
    # A reader that knows of the change by itself, such as a pulse counter set by hand, has flagged it already.
    replaced = before is not None and (bool(flags & WaterFlag.METER_REPLACED) or _is_another(before, reading))
    since_us = _us(reading.t)
    if replaced:
        flags |= WaterFlag.METER_REPLACED
    elif before is not None:
        flags |= _volume_flags(before, reading, q4_m3h)
        if reading.meter_time is not None and reading.meter_time == before.meter_time:
            since_us = min(since_us, before.meter_time_since_us)
            if timedelta(microseconds=_us(reading.t) - since_us) >= _FROZEN_AFTER:
                flags |= WaterFlag.CLOCK_FROZEN
    tampered = bool(flags & WaterFlag.TAMPER)
    seen = Seen(
        t_us=_us(reading.t),
        volume_ml=reading.volume_ml,
        step_ml=reading.step_ml,
        serial=reading.serial or (before.serial if before is not None else None),
        meter_time=reading.meter_time,
        meter_time_since_us=since_us,
        tampered=tampered,
    )
    judged = msgspec.structs.replace(reading, flags=tuple(names(flags)))
    return Judged(judged, seen, replaced, tampered and not (before is not None and before.tampered))


def _is_another(before: Seen, reading: WaterReading) -> bool:
    return None not in (before.serial, reading.serial) and before.serial != reading.serial


def _volume_flags(before: Seen, reading: WaterReading, q4_m3h: float | None) -> WaterFlag:
    gain_ml = reading.volume_ml - before.volume_ml
    if gain_ml < 0:
        return WaterFlag.WENT_BACKWARDS
    if q4_m3h is None:
        return WaterFlag(0)
    hours = max(0, _us(reading.t) - before.t_us) / 3_600_000_000
    # Both registers show full steps only, so that a gain may be one step above what has flowed.
    most_ml = q4_m3h * hours * _ML_PER_M3 + max(reading.step_ml, before.step_ml)
    return WaterFlag.TOO_FAST if gain_ml > most_ml else WaterFlag(0)


def _us(t: datetime) -> int:
    return (t - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(microseconds=1)
