"""Figures of many days together: counts of verdicts, mean levels, valid shares, hit rates. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Final, Literal

from analysis.city import HitRate, PointTime, hit_rates
from analysis.days import NoiseDay, PeriodLevel
from analysis.energy import energy_mean
from analysis.report.facts import QuarterFacts, SourceFacts
from contract.sitetime import SiteClock

PeriodName = Literal["day", "night"]
PERIODS: Final[tuple[PeriodName, ...]] = ("day", "night")


@dataclass(frozen=True, slots=True)
class Count:
    """Verdicts of many days or nights. ``level_db`` is the energy mean over the valid time of the complete ones."""

    passed: int
    failed: int
    incomplete: int
    level_db: float | None
    valid_share: float
    max_db: float | None

    @property
    def rate(self) -> HitRate:
        """Passed of measured."""
        return HitRate(self.passed, self.passed + self.failed)

    @property
    def share(self) -> float | None:
        """The hit rate as a share; ``None`` without a complete one."""
        return None if self.rate.percent is None else self.rate.percent / 100.0


def period_of(day: NoiseDay, period: PeriodName) -> PeriodLevel:
    """Return a date's day or night."""
    return day.day if period == "day" else day.night


def count(days: Iterable[NoiseDay], period: PeriodName) -> Count:
    """Count the verdicts of days or nights."""
    found = [period_of(day, period) for day in days]
    complete = [one for one in found if one.verdict != "incomplete" and one.laeq_db is not None]
    return Count(
        passed=sum(one.verdict == "pass" for one in found),
        failed=sum(one.verdict == "fail" for one in found),
        incomplete=sum(one.verdict == "incomplete" for one in found),
        level_db=energy_mean(
            (one.laeq_db for one in complete if one.laeq_db is not None),
            [one.valid_share * one.hours for one in complete],
        ),
        valid_share=sum(one.valid_share for one in found) / len(found) if found else 0.0,
        max_db=max((one.stats.lafmax_db for one in found if one.stats.lafmax_db is not None), default=None),
    )


def rates(quarters: Iterable[QuarterFacts]) -> dict[tuple[str, str], HitRate]:
    """Return the hit rates (达标率) by (zone class, period) and ("all", period) over every point of every quarter."""
    return hit_rates(point for facts in quarters for point in point_times(facts))


def point_times(facts: QuarterFacts) -> Iterator[PointTime]:
    """Yield every complete day and night of every point."""
    for source in facts.sources:
        for day in source.days:
            for period in PERIODS:
                verdict = period_of(day, period).verdict
                if verdict != "incomplete":
                    yield PointTime(facts.site.zone_class, period, verdict == "pass")


def valid_share(sources: Sequence[SourceFacts]) -> float | None:
    """Return the valid time's share of all the time, over all points; ``None`` without any."""
    shares = [
        (one.valid_share, one.hours)
        for source in sources
        for day in source.days
        for one in (day.day, day.night)
        if one.reason != "not_over"
    ]
    hours = sum(hours for _, hours in shares)
    return sum(share * hours for share, hours in shares) / hours if hours else None


@dataclass(frozen=True, slots=True)
class Worst:
    """The day or night that is most above its limit."""

    source: SourceFacts
    date: date
    period: PeriodName
    level_db: float
    over_db: float


def worst(sources: Iterable[SourceFacts]) -> Worst | None:
    """Return the worst failed day or night of all points; ``None`` where every one met its limit."""
    found = [
        Worst(source, day.date, period, one.laeq_db, one.laeq_db - one.limit.value)
        for source in sources
        for day in source.days
        for period in PERIODS
        if (one := period_of(day, period)).verdict == "fail" and one.laeq_db is not None
    ]
    return max(found, key=lambda one: one.over_db, default=None)


def bounds(clock: SiteClock, day: date, period: PeriodName) -> tuple[datetime, datetime]:
    """Return from when to when a date's day or night is, UTC."""
    return clock.day_bounds(day) if period == "day" else clock.night_bounds(day)


def months_of(days: Sequence[NoiseDay]) -> list[tuple[date, list[NoiseDay]]]:
    """Return the days by their month, each month by its first date."""
    found: dict[date, list[NoiseDay]] = {}
    for day in days:
        found.setdefault(day.date.replace(day=1), []).append(day)
    return list(found.items())
