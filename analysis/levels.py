"""Levels of a longer time from hour rows: energy means, percentiles from merged histograms, maxima. Pure."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from analysis.energy import energy_mean, level_exceeded
from analysis.validity import why_not
from store.series.interface import NoiseHour

HOUR: Final = timedelta(hours=1)


@dataclass(frozen=True, slots=True)
class UncountedHour:
    """An hour that does not count, and why."""

    t: datetime
    reason: str


@dataclass(frozen=True, slots=True)
class PeriodStats:
    """Levels over the hours of a period that count, dB; ``None`` where nothing counts.

    ``laeq_db`` is the energy mean over their valid time; LN and SD are of the merged LAF histogram (HJ 640: the
    standard deviation of the sampled levels). ``lafmax_db`` is over all valid time, also of hours that do not count.
    ``valid_share`` is the valid time's share of the whole period.
    """

    laeq_db: float | None
    l5_db: float | None
    l10_db: float | None
    l50_db: float | None
    l90_db: float | None
    l95_db: float | None
    sd_db: float | None
    lafmax_db: float | None
    lafmin_db: float | None
    valid_share: float
    hours_counted: int
    hours: int
    uncounted: tuple[UncountedHour, ...]


def hours_between(start: datetime, end: datetime) -> list[datetime]:
    """Return the starts of the hours from ``start`` to ``end``."""
    return [start + n * HOUR for n in range(round((end - start) / HOUR))]


def period_stats(
    rows: Mapping[datetime, NoiseHour], start: datetime, end: datetime, least_share: float
) -> PeriodStats:
    """Summarise the hours from ``start`` to ``end``; an hour counts from ``least_share`` of valid time on."""
    hours = hours_between(start, end)
    reasons = {t: why_not(rows.get(t), least_share) for t in hours}
    counted = [rows[t] for t in hours if not reasons[t]]
    known = [rows[t] for t in hours if t in rows]
    bins, counts = merge_histograms(counted)

    def exceeded(percent: float) -> float | None:
        return level_exceeded(bins, counts, percent)

    return PeriodStats(
        laeq_db=energy_mean(_levels(counted), [row.valid_s for row in counted]),
        l5_db=exceeded(5), l10_db=exceeded(10), l50_db=exceeded(50), l90_db=exceeded(90), l95_db=exceeded(95),
        sd_db=standard_deviation(bins, counts),
        lafmax_db=max((row.lafmax_db for row in known if row.lafmax_db is not None), default=None),
        lafmin_db=min((row.lafmin_db for row in counted if row.lafmin_db is not None), default=None),
        valid_share=min(1.0, sum(row.valid_s for row in known) / (len(hours) * 3600.0)) if hours else 0.0,
        hours_counted=len(counted), hours=len(hours),
        uncounted=tuple(UncountedHour(t, reason) for t, reason in reasons.items() if reason),
    )  # fmt: skip


def counted_level(
    rows: Mapping[datetime, NoiseHour], start: datetime, end: datetime, least_share: float
) -> tuple[float | None, int]:
    """Return the energy mean over the hours of a period that count, and how many these are."""
    counted = [rows[t] for t in hours_between(start, end) if not why_not(rows.get(t), least_share)]
    return energy_mean(_levels(counted), [row.valid_s for row in counted]), len(counted)


def merge_histograms(rows: Iterable[NoiseHour]) -> tuple[list[int], list[int]]:
    """Add the LAF histograms of hours; percentiles are taken from the sum, never averaged."""
    total: dict[int, int] = {}
    for row in rows:
        for one, count in zip(row.laf_bins, row.laf_counts, strict=True):
            total[one] = total.get(one, 0) + count
    bins = sorted(total)
    return bins, [total[one] for one in bins]


def standard_deviation(bins: Sequence[int], counts: Sequence[int]) -> float | None:
    """Return the standard deviation of a histogram's levels, dB, taking each at its bin's middle."""
    total = sum(counts)
    if total == 0:
        return None
    levels = [(one + 0.5) / 10.0 for one in bins]
    mean = math.fsum(x * n for x, n in zip(levels, counts, strict=True)) / total
    variance = math.fsum(n * (x - mean) ** 2 for x, n in zip(levels, counts, strict=True)) / total
    return math.sqrt(variance)


def _levels(rows: Iterable[NoiseHour]) -> list[float]:
    return [row.laeq_db for row in rows if row.laeq_db is not None]
