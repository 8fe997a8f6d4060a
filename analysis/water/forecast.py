"""Where a year's (or a tariff period's) use is heading: a range, not a number. Pure.

What is still to come is taken from the daily volumes known so far: resampled weeks of the last days, so that weekdays
keep their weight and quiet and heavy weeks both occur. The same input gives the same forecast.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from typing import Final

from analysis.standard_rows import TariffRow
from analysis.water.tariff import standing

LEAST_DAYS: Final = 14
"""Known days that a forecast needs (project default)."""
_RECENT_DAYS: Final = 91
_RUNS: Final = 400
_WEEK: Final = 7


@dataclass(frozen=True, slots=True)
class Forecast:
    """The volume at the period's end, m³: what it will probably be, and the range that holds it four times of five."""

    used_m3: float
    low_m3: float
    likely_m3: float
    high_m3: float
    days_left: int


@dataclass(frozen=True, slots=True)
class Outlook:
    """What a forecast means: the probable tier at the period's end, and how probable it is that ``bound`` is passed."""

    forecast: Forecast
    tier_now: int
    tier_likely: int
    passes_next_tier: float
    """Share of the forecast's runs that end above the present tier."""


def forecast(
    daily_m3: Sequence[float | None], first_day: date, last_day: date
) -> tuple[Forecast, list[float]] | None:
    """Forecast the volume of ``first_day`` to ``last_day`` (inclusive) from its days so far, in order.

    Unknown days (``None``) count with the mean of the known ones. Returns the forecast and the end of every run,
    ascending; ``None`` with fewer than ``LEAST_DAYS`` known days.
    """
    known = [volume for volume in daily_m3 if volume is not None]
    days_left = (last_day - first_day).days + 1 - len(daily_m3)
    if len(known) < LEAST_DAYS or days_left < 0:
        return None
    used = sum(known) / len(known) * len(daily_m3)
    # A meter that has been silent for longer goes on as it was when it was last heard.
    recent = [volume for volume in daily_m3[-_RECENT_DAYS:] if volume is not None] or known[-_RECENT_DAYS:]
    ends = sorted(used + _rest(recent, days_left, run) for run in range(_RUNS))
    at = [ends[int(share * (_RUNS - 1))] for share in (0.1, 0.5, 0.9)]
    return Forecast(used, at[0], at[1], at[2], days_left), ends


def outlook(
    daily_m3: Sequence[float | None],
    first_day: date,
    last_day: date,
    tariff: TariffRow,
    *,
    persons: int | None = None,
) -> Outlook | None:
    """Return where a household's tariff period is heading, or ``None`` with too few known days."""
    result = forecast(daily_m3, first_day, last_day)
    if result is None:
        return None
    found, ends = result
    now = standing(tariff, found.used_m3, persons=persons).tier
    beyond = sum(1 for end in ends if standing(tariff, end, persons=persons).tier > now)
    likely = standing(tariff, found.likely_m3, persons=persons).tier
    return Outlook(found, now, likely, beyond / len(ends))


def passes_plan(ends: Sequence[float], plan_m3: float) -> float:
    """Return the share of a forecast's runs that end above a plan."""
    return sum(1 for end in ends if end > plan_m3) / len(ends)


def _rest(recent: Sequence[float], days_left: int, run: int) -> float:
    """Return one possible volume of the days left: whole weeks drawn from the recent days."""
    draw = random.Random(f"{run}/{len(recent)}")  # noqa: S311 - a reproducible sample, nothing secret
    total = 0.0
    left = days_left
    while left > 0:
        start = draw.randrange(max(1, len(recent) - _WEEK + 1))
        week = recent[start : start + min(_WEEK, left)]
        total += sum(week)
        left -= len(week)
    return total
