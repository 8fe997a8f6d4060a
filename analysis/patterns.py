"""What many hours look like together: the profile of the day, and the mean spectrum. Pure."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Final

from analysis.energy import energy_mean, level_exceeded
from analysis.levels import merge_histograms
from contract.flags import NOISE_EXCLUDED
from contract.sitetime import SiteClock
from store.series.interface import NoiseHour, SpectrumMinute

LEAST_SHARE: Final = 0.75
_NOMINAL: Final = (1.0, 1.25, 1.6, 2.0, 2.5, 3.15, 4.0, 5.0, 6.3, 8.0)


@dataclass(frozen=True, slots=True)
class ProfileHour:
    """One hour of the day over many days: energy mean of LAeq, LN of the merged histograms. ``None`` without data."""

    hour: int
    laeq_db: float | None
    l10_db: float | None
    l50_db: float | None
    l90_db: float | None
    hours: int


@dataclass(frozen=True, slots=True)
class Band:
    """One 1/3-octave band: IEC number, nominal mid-band frequency, energy mean of its Leq (Z)."""

    band: int
    nominal_hz: float
    leq_db: float


def day_profile(
    rows: Iterable[NoiseHour], clock: SiteClock, wanted: Callable[[date], bool]
) -> list[ProfileHour]:
    """Return the 24 hours of the site's day over the dates that are ``wanted``.

    An hour counts from a valid share of 75 % on (a project default).
    """
    by_hour: dict[int, list[NoiseHour]] = defaultdict(list)
    for row in rows:
        local = clock.local(row.t)
        if row.laeq_db is not None and row.valid_share >= LEAST_SHARE and wanted(local.date()):
            by_hour[local.hour].append(row)
    return [_profile_hour(hour, by_hour.get(hour, [])) for hour in range(24)]


def _profile_hour(hour: int, rows: Sequence[NoiseHour]) -> ProfileHour:
    bins, counts = merge_histograms(rows)
    mean = energy_mean(
        (row.laeq_db for row in rows if row.laeq_db is not None), [row.valid_s for row in rows]
    )
    l10, l50, l90 = (level_exceeded(bins, counts, percent) for percent in (10.0, 50.0, 90.0))
    return ProfileHour(hour, mean, l10, l50, l90, len(rows))


def mean_spectrum(minutes: Iterable[SpectrumMinute]) -> tuple[list[Band], int]:
    """Return the energy mean of each band over the minutes that count, weighted by measured time, and their number."""
    sums: dict[int, float] = defaultdict(float)
    weights: dict[int, float] = defaultdict(float)
    counted = 0
    for minute in minutes:
        if minute.flags & NOISE_EXCLUDED or not minute.bands_db:
            continue
        counted += 1
        for offset, level in enumerate(minute.bands_db):
            sums[minute.first_band + offset] += 10.0 ** (level / 10.0) * minute.measured_ms
            weights[minute.first_band + offset] += minute.measured_ms
    bands = [
        Band(number, nominal_hz(number), 10.0 * math.log10(sums[number] / weights[number]))
        for number in sorted(sums)
        if sums[number] > 0.0
    ]
    return bands, counted


def nominal_hz(band: int) -> float:
    """Return the nominal mid-band frequency of a 1/3-octave band (IEC 61260-1): 30 is 1000 Hz, 17 is 50 Hz."""
    return round(_NOMINAL[band % 10] * 10.0 ** (band // 10), 3)
