"""Hour rows: computed when an hour is complete, and again, as a higher revision, when late data changes it."""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import islice
from typing import Final, Literal

from store.series.interface import DirtyHour, NoiseHour, SeriesStore, WaterHour

_HOUR: Final = timedelta(hours=1)
_MOST_HOURS: Final = 2_000
"""Hours taken by one call."""
_STRETCHES_A_COMMIT: Final = 16


@dataclass(frozen=True, slots=True)
class Stretch:
    """Consecutive hours of one source: from the start of the first to the end of the last."""

    kind: Literal["noise", "water"]
    site: str
    source: str
    start: datetime
    end: datetime


def stretches(dirty: Iterable[DirtyHour]) -> Iterator[Stretch]:
    """Merge hours into stretches, so that a day of late data is one query and not 24."""
    by_source: dict[tuple[Literal["noise", "water"], str, str], list[datetime]] = defaultdict(list)
    for hour in dirty:
        by_source[hour.kind, hour.site, hour.source].append(hour.t)
    for (kind, site, source), times in by_source.items():
        times.sort()
        start = end = times[0]
        for t in times:
            if t > end:
                yield Stretch(kind, site, source, start, end)
                start = t
            end = t + _HOUR
        yield Stretch(kind, site, source, start, end)


def roll_up(
    series: SeriesStore, before: datetime, *, budget_s: float = 1.0,
    sites: Callable[[], Collection[str] | None] = lambda: None, monotonic: Callable[[], float] = time.monotonic,
) -> int:  # fmt: skip
    """Compute and store the rows of hours that ended at or before ``before`` and changed; return how many.

    ``sites`` tells whose hours are to be computed (``None``: everybody's); it is asked again before each write.
    Stops after ``budget_s`` of real time: what is left stays marked and is taken by the next call. Raises
    ``StoreUnavailable``; what was committed until then stands.
    """
    deadline = monotonic() + budget_s
    done = 0
    dirty = series.dirty_hours(before, limit=_MOST_HOURS, sites=sites())
    for chunk in _chunks(stretches(dirty), _STRETCHES_A_COMMIT):
        noise, water = _compute(series, chunk)
        mine = sites()
        if mine is not None:
            noise = [row for row in noise if row.site in mine]
            water = [row for row in water if row.site in mine]
        series.write_rollups(noise, water)
        done += len(noise) + len(water)
        if monotonic() >= deadline:
            break
    return done


def _compute(series: SeriesStore, chunk: Iterable[Stretch]) -> tuple[list[NoiseHour], list[WaterHour]]:
    noise: list[NoiseHour] = []
    water: list[WaterHour] = []
    for one in chunk:
        # An hour without a row (all that marked it is gone again) gets an empty one, or it would stay marked for ever.
        hours = [one.start + n * _HOUR for n in range(round((one.end - one.start) / _HOUR))]
        if one.kind == "noise":
            found = {row.t: row for row in series.noise_hours(one.site, one.source, one.start, one.end)}
            noise += [found.get(t) or _empty_noise(one, t) for t in hours]
        else:
            flows = {row.t: row for row in series.water_hours(one.site, one.source, one.start, one.end)}
            water += [flows.get(t) or WaterHour(one.site, one.source, t, None, 0) for t in hours]
    return noise, water


def _chunks(all_of_them: Iterable[Stretch], size: int) -> Iterator[list[Stretch]]:
    left = iter(all_of_them)
    while chunk := list(islice(left, size)):
        yield chunk


def _empty_noise(one: Stretch, t: datetime) -> NoiseHour:
    return NoiseHour(
        site=one.site, source=one.source, t=t, laeq_db=None, l5_db=None, l10_db=None, l50_db=None, l90_db=None,
        l95_db=None, lafmax_db=None, lafmin_db=None, sd_db=None, valid_s=0.0, valid_share=0.0, measured_s=0.0,
        seconds=0,
    )  # fmt: skip
