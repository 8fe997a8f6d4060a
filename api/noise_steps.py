"""Pure helpers of noise series: how finely a range is shown, and the limit's line over it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from analysis.limits import LimitPeriod, present_limit
from store.registry.models import Site

STEPS_S: Final = (1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 10800, 21600, 43200, 86400)
MOST_POINTS: Final = 1500


@dataclass(frozen=True, slots=True)
class LimitStep:
    """The limit over part of a range."""

    start: datetime
    end: datetime
    period: LimitPeriod
    value_db: float


def step_for(range_s: float, most_points: int = MOST_POINTS) -> int:
    """Return the finest step, in seconds, that shows a range in at most ``most_points`` points."""
    for step in STEPS_S:
        if range_s / step <= most_points:
            return step
    return STEPS_S[-1]


def limit_steps(site: Site, start: datetime, end: datetime) -> list[LimitStep]:
    """Return the limit's line over a range: one step for each day and night in it."""
    steps: list[LimitStep] = []
    t = start
    while t < end:
        limit = present_limit(site, t)
        until = min(end, max(limit.until, t + timedelta(seconds=1)))
        steps.append(LimitStep(t, until, limit.period, limit.value_db))
        t = until
    return steps
