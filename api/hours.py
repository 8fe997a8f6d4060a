"""The hours of a range: computed from the seconds where that is exact and quick, else from the stored rows."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Final

from contract.sitetime import floor_hour
from store.series.interface import NoiseHour, SeriesStore, WaterHour

COMPUTED: Final = timedelta(hours=50)
"""Up to this long, hours are computed anew: they hold what is stored this very moment, late data included."""
_FRESH: Final = timedelta(hours=3)
_HOUR: Final = timedelta(hours=1)


def whole_hours(start: datetime, end: datetime) -> tuple[datetime, datetime]:
    """Widen a range to whole hours."""
    last = floor_hour(end)
    return floor_hour(start), last if last == end else last + _HOUR


def noise_hours(
    series: SeriesStore, site: str, source: str, start: datetime, end: datetime, now: datetime
) -> list[NoiseHour]:
    """Return the hours of a whole-hour range, ascending; hours without any data are left out."""
    if end - start <= COMPUTED:
        rows = series.noise_hours(site, source, start, end)
    else:
        border = max(start, min(end, floor_hour(now) - _FRESH))
        rows = [*series.noise_rollups(start, border, site=site, source=source)]
        if border < end:
            rows += series.noise_hours(site, source, border, end)
    return sorted((row for row in rows if row.seconds), key=lambda row: row.t)


def water_hours(
    series: SeriesStore, site: str, meter: str, start: datetime, end: datetime, now: datetime
) -> list[WaterHour]:
    """Return a meter's hours of a whole-hour range, ascending."""
    if end - start <= COMPUTED:
        return sorted(series.water_hours(site, meter, start, end), key=lambda row: row.t)
    border = max(start, min(end, floor_hour(now) - _FRESH))
    rows = [*series.water_rollups(start, border, site=site, source=meter)]
    if border < end:
        rows += series.water_hours(site, meter, border, end)
    return sorted(rows, key=lambda row: row.t)
