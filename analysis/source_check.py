"""A source check: measure at a boundary point with a suspect source on and off, correct for the background, judge.

By GB 12348-2008 and GB 22337-2008: the difference between measured and background, rounded to a whole decibel, gives
the correction (table 4); below 3 dB the measurement is not usable. The result is rounded to a whole decibel before it
is compared. Steady sources are measured for a minute, others over a representative time or the whole working period.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final, Literal

from analysis.energy import energy_mean
from analysis.standard_rows import CorrectionRow
from analysis.standards import LimitRow, standards
from store.series.interface import NoiseWindow, SeriesStore

Standard = Literal["gb22337", "gb12348"]
Where = Literal["boundary", "indoors_instead", "room_a", "room_b"]
"""At the boundary; indoors because the boundary is less than 1 m from a sensitive building; or in a room to which a
source in the same building carries its sound: ``room_a`` for sleep, ``room_b`` used by day."""
NightNoise = Literal["frequent", "occasional", "fluctuating"]
Rooms = ("room_a", "room_b")
CheckVerdict = Literal["pass", "fail", "not_usable"]
LEAST_SECONDS: Final = 60.0
"""A steady source is measured for one minute (GB 12348-2008)."""
LEAST_VALID_SHARE: Final = 0.9
"""Project default: less valid time than this makes a measurement of minutes worthless."""


@dataclass(frozen=True, slots=True)
class Measured:
    """One of the two measurements; ``windows`` are the times (UTC) that it consists of."""

    windows: tuple[tuple[datetime, datetime], ...]
    laeq_db: float
    lafmax_db: float
    valid_s: float
    valid_share: float


@dataclass(frozen=True, slots=True)
class CheckResult:
    """The verdict with everything that led to it, level by level.

    ``correction_db`` is ``None`` where the source stands out too little (``not_usable``). ``result_db`` is the source
    alone, rounded as it is compared. ``max_limit`` and ``max_verdict`` belong to the highest level at night, where the
    standard has one.
    """

    on_db: float
    off_db: float
    difference_db: float
    correction_db: float | None
    result_db: float | None
    limit: LimitRow
    limit_db: float
    verdict: CheckVerdict
    max_db: float | None
    max_limit: LimitRow | None
    max_verdict: CheckVerdict | None
    correction_source: CorrectionRow


class CheckImpossible(ValueError):
    """A source check cannot be made of these times; the message says why and what to do."""


def measure(
    series: SeriesStore, site: str, device: str, windows: Sequence[tuple[datetime, datetime]]
) -> Measured:
    """Read one measurement from the store. Raises :class:`CheckImpossible` for too little valid time."""
    found: list[NoiseWindow] = []
    asked_s = 0.0
    for start, end in windows:
        if end <= start:
            raise CheckImpossible("every window must end after it starts")
        asked_s += (end - start).total_seconds()
        of_device = (w for w in series.noise_windows(start, end, site=site) if w.source == device)
        found += [window for window in of_device if window.laeq_db is not None]
    valid_s = sum(window.valid_s for window in found)
    level = energy_mean([w.laeq_db for w in found if w.laeq_db is not None], [w.valid_s for w in found])
    if level is None or valid_s < LEAST_SECONDS or valid_s < LEAST_VALID_SHARE * asked_s:
        raise CheckImpossible(
            f"{valid_s:.0f} s of {asked_s:.0f} s are valid; a measurement needs {LEAST_SECONDS:.0f} s and "
            f"{LEAST_VALID_SHARE:.0%} of its time: choose other times or measure again"
        )
    peak = max(w.lafmax_db for w in found if w.lafmax_db is not None)
    return Measured(tuple(windows), level, peak, valid_s, valid_s / asked_s)


def check(
    on: Measured, off: Measured, *, standard: Standard, zone_class: str, period: Literal["day", "night"],
    where: Where = "boundary", night_noise: NightNoise | None = None,
) -> CheckResult:  # fmt: skip
    """Judge a source. ``zone_class`` is that of the area outside, 0 to 4. Pure.

    ``indoors_instead`` lowers the limits by the preset ``indoor_penalty``, for a boundary less than 1 m from a
    sensitive building; the rooms have limits of their own (table 2). ``night_noise`` judges the highest level of the
    night too: ``frequent`` or ``occasional`` at the boundary (GB 12348), ``fluctuating``, such as a lift, in a room
    (GB 22337). Raises ``KeyError`` for a class that the standard does not have.
    """
    limit = standards().limit(_row_id(standard, zone_class, where, period))
    table = standards().get(f"{standard}.background", CorrectionRow)
    lowered_db = standards().number(f"{standard}.indoor_penalty") if where == "indoors_instead" else 0.0
    correction = table.correction(on.laeq_db - off.laeq_db)
    result = None if correction is None else limit.rounded(on.laeq_db + correction)
    verdict: CheckVerdict = "not_usable"
    if result is not None:
        verdict = "pass" if result <= limit.value - lowered_db else "fail"
    max_limit = _max_limit(standard, zone_class, period, where, night_noise)
    max_verdict: CheckVerdict | None = None
    if max_limit is not None:
        max_verdict = "pass" if max_limit.rounded(on.lafmax_db) <= max_limit.value - lowered_db else "fail"
    return CheckResult(
        on_db=on.laeq_db, off_db=off.laeq_db, difference_db=on.laeq_db - off.laeq_db, correction_db=correction,
        result_db=result, limit=limit, limit_db=limit.value - lowered_db, verdict=verdict,
        max_db=on.lafmax_db if max_limit else None, max_limit=max_limit, max_verdict=max_verdict,
        correction_source=table,
    )  # fmt: skip


def _row_id(standard: Standard, zone_class: str, where: Where, of: str) -> str:
    if where in Rooms:
        return f"{standard}.indoor.class{zone_class}.{where}.{of}"
    return f"{standard}.boundary.class{zone_class}.{of}"


def _max_limit(
    standard: Standard, zone_class: str, period: str, where: Where, night_noise: NightNoise | None
) -> LimitRow | None:
    if night_noise is None:
        return None
    if period != "night":
        raise CheckImpossible("a highest level is judged at night alone: leave it out")
    if (where in Rooms) != (night_noise == "fluctuating"):
        raise CheckImpossible("'fluctuating' is for rooms, 'frequent' and 'occasional' are for the boundary")
    if (standard == "gb22337") != (night_noise == "fluctuating"):
        raise CheckImpossible(
            "a highest level is judged by GB 12348 at the boundary and by GB 22337 in a room: leave it out"
        )
    of = "fluctuating_max" if where in Rooms else f"night_max_{night_noise}"
    return standards().limit(_row_id(standard, zone_class, where, of))
