"""Water today against yesterday, from a meter's register readings. Pure.

Yesterday is taken up to the instant of today's newest reading, so that a meter that reports once an hour is
compared with the same part of yesterday.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import pairwise
from typing import Final

from contract.flags import WaterFlag
from contract.sitetime import SiteClock
from store.series.interface import WaterPoint

LONGEST_GAP: Final = timedelta(hours=26)
"""A register is interpolated between readings no further apart than this."""


@dataclass(frozen=True, slots=True)
class DayBounds:
    """Instants that a comparison needs: both midnights, now, and the same time of day yesterday."""

    yesterday: datetime
    today: datetime
    now: datetime
    same_time: datetime


@dataclass(frozen=True, slots=True)
class WaterToday:
    """Litres of one meter. ``None`` where readings do not reach. ``until`` is the newest reading of today."""

    today_l: float | None
    yesterday_same_time_l: float | None
    yesterday_l: float | None
    until: datetime | None
    register_ml: int | None


def day_bounds(clock: SiteClock, now: datetime) -> DayBounds:
    """Return the instants for a moment in a site's own time."""
    date = clock.local(now).date()
    today = clock.midnight(date)
    yesterday = clock.midnight(date - timedelta(days=1))
    return DayBounds(yesterday, today, now, min(today, yesterday + (now - today)))


def water_today(points: Sequence[WaterPoint], bounds: DayBounds) -> WaterToday:
    """Compare today with yesterday. ``points`` ascend in time and reach back before yesterday's start if they can."""
    if not points:
        return WaterToday(None, None, None, None, None)
    newest = points[-1]
    until = min(newest.t, bounds.now)
    running = newest.t > bounds.today
    same = min(bounds.today, bounds.yesterday + (until - bounds.today)) if running else bounds.same_time
    return WaterToday(
        today_l=volume_l(points, bounds.today, until) if running else None,
        yesterday_same_time_l=volume_l(points, bounds.yesterday, same),
        yesterday_l=volume_l(points, bounds.yesterday, bounds.today),
        until=until if running else None,
        register_ml=newest.volume_ml,
    )


def volume_l(points: Sequence[WaterPoint], start: datetime, end: datetime) -> float | None:
    """Return the litres between two instants; ``None`` where readings do not enclose them.

    A step back of the register, or another meter in its place, is left out of the sum.
    """
    first, last = _register_ml(points, start), _register_ml(points, end)
    if first is None or last is None or end < start:
        return None
    inside = [(one.t, float(one.volume_ml), one.flags) for one in points if start < one.t < end]
    path = [(start, first, 0), *inside, (end, last, _flags_after(points, end))]
    gained = sum(
        max(0.0, b - a) for (_, a, _), (_, b, flags) in pairwise(path) if not flags & WaterFlag.METER_REPLACED
    )
    return gained / 1000.0


def _register_ml(points: Sequence[WaterPoint], t: datetime) -> float | None:
    """Return the register at an instant, interpolated between the readings around it."""
    after = bisect_right(points, t, key=lambda one: one.t)
    if after == 0:
        return None
    before = points[after - 1]
    if before.t == t:
        return float(before.volume_ml)
    if after == len(points):
        return None
    following = points[after]
    if following.t - before.t > LONGEST_GAP:
        return None
    if following.volume_ml < before.volume_ml or following.flags & WaterFlag.METER_REPLACED:
        return float(before.volume_ml)
    share = (t - before.t) / (following.t - before.t)
    return before.volume_ml + share * (following.volume_ml - before.volume_ml)


def _flags_after(points: Sequence[WaterPoint], t: datetime) -> int:
    after = bisect_right(points, t, key=lambda one: one.t)
    exact = after > 0 and points[after - 1].t == t
    return points[after - 1].flags if exact else 0
