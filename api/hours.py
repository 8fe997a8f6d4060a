"""The hours of a range: computed from the readings as far as that is quick and they are there, else the stored rows."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import datetime, timedelta
from typing import Any, Final, TypeVar

from contract.sitetime import floor_hour
from store.series.interface import NoiseHour, SeriesStore, WaterHour

COMPUTED: Final = timedelta(hours=50)
"""Up to this long, hours are computed anew: they hold what is stored this very moment, late data included."""
_FRESH: Final = timedelta(hours=3)
_HOUR: Final = timedelta(hours=1)
_R = TypeVar("_R", NoiseHour, WaterHour)


def whole_hours(start: datetime, end: datetime) -> tuple[datetime, datetime]:
    """Widen a range to whole hours."""
    last = floor_hour(end)
    return floor_hour(start), last if last == end else last + _HOUR


def noise_hours(
    series: SeriesStore, site: str, source: str, start: datetime, end: datetime, now: datetime
) -> list[NoiseHour]:
    """Return the hours of a whole-hour range, ascending; hours without any data are left out."""
    computed = series.noise_hours(site, source, _computed_from(start, end, now), end)
    stored = series.noise_rollups(start, end, site=site, source=source)
    rows = _joined(computed, stored, lambda row: (row.seconds, round(row.measured_s, 3), sum(row.laf_counts)))
    return [row for row in rows if row.measured_s]


def water_hours(
    series: SeriesStore, site: str, meter: str, start: datetime, end: datetime, now: datetime
) -> list[WaterHour]:
    """Return a meter's hours of a whole-hour range, ascending; hours without any data are left out."""
    computed = series.water_hours(site, meter, _computed_from(start, end, now), end)
    stored = series.water_rollups(start, end, site=site, source=meter)
    rows = _joined(computed, stored, lambda row: (row.volume_l is not None, row.readings))
    return [row for row in rows if row.readings or row.volume_l is not None]


def _computed_from(start: datetime, end: datetime, now: datetime) -> datetime:
    return start if end - start <= COMPUTED else max(start, min(end, floor_hour(now) - _FRESH))


def _joined(computed: Iterable[_R], stored: Iterable[_R], knows: Callable[[_R], Any]) -> list[_R]:
    """Return each hour's computed row, but the stored one where that knows more.

    Retention deletes readings whose hour has its row: then only the row still knows. ``computed`` must have been read
    before ``stored``, so that an hour that goes in between is in one of them.
    """
    rows = {row.t: row for row in computed}
    for row in stored:
        if row.t not in rows or knows(row) > knows(rows[row.t]):
            rows[row.t] = row
    return sorted(rows.values(), key=lambda row: row.t)
