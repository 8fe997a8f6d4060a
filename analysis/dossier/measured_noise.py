"""Noise facts of a period, from the days and nights that the API answers with too. Pure but for their reading."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Literal
from urllib.parse import urlencode

from analysis.city import PointTime, hit_rates
from analysis.compliance import area_mean, judge
from analysis.days import NoiseDay, PeriodLevel
from analysis.dossier.facts import Evidence, Fact, SiteThreshold
from analysis.dossier.text import Text
from analysis.energy import energy_mean
from analysis.limits import night_max_limit, period_limit
from analysis.standards import LimitRow, standards
from store.registry.models import Site

Half = Literal["day", "night"]
_AREA_ROWS: Mapping[Half, str] = {"day": "quiet_quarter.2002.day", "night": "quiet_quarter.2002.night"}


@dataclass(frozen=True, slots=True)
class Point:
    """A noise device with its days of the period."""

    device: str
    label: Text
    type_approved: bool
    days: Sequence[NoiseDay]


def noise_facts(site: Site, points: Sequence[Point], first: date, last: date) -> dict[str, Fact]:
    """Return the noise facts of a period; without a point nothing is known."""
    if not points:
        return {}
    made = _Period(site, points, first, last)
    return {
        **{f"noise.area_{half}": made.area(half) for half in ("day", "night")},
        **{f"noise.worst_{half}": made.worst(half) for half in ("day", "night")},
        **{
            f"noise.zone_{half}": made.worst(half, period_limit(site, half, last))
            for half in ("day", "night")
        },
        **{f"noise.hit_{half}": made.hit(half) for half in ("day", "night")},
        "noise.night_max_share": made.night_max(),
        "noise.valid_share": made.valid(),
    }


@dataclass(frozen=True, slots=True)
class _Period:
    site: Site
    points: Sequence[Point]
    first: date
    last: date

    @property
    def dates(self) -> int:
        return (self.last - self.first).days + 1

    def area(self, half: Half) -> Fact:
        """Energy mean over all points of each date on which every point is complete, then over these dates."""
        row = standards().limit(_AREA_ROWS[half])
        found = [area_mean(days, row) for days in zip(*(one.days for one in self.points), strict=True)]
        levels = [
            one.measured_db for one in found if one.measured_db is not None and one.verdict != "incomplete"
        ]
        return self._fact(energy_mean(levels), "dB", len(levels), self.dates, self.points)

    def worst(self, half: Half, limit: LimitRow | None = None) -> Fact:
        """The loudest point's energy mean over its complete dates; completeness is that of the least complete point."""
        known = [(self._level(one, half), one) for one in self.points]
        counts = [len(_complete(one.days, half)) for one in self.points]
        loudest = max(
            ((level, one) for level, one in known if level is not None),
            key=lambda each: each[0],
            default=None,
        )
        level, shown = (None, self.points) if loudest is None else (loudest[0], (loudest[1],))
        return self._fact(level, "dB", min(counts), self.dates, shown, _threshold(limit))

    def hit(self, half: Half) -> Fact:
        """Passing point-times of measured ones."""
        judged = [
            PointTime(self.site.zone_class, half, period.verdict == "pass")
            for one in self.points
            for period in _complete(one.days, half)
        ]
        rate = hit_rates(judged).get(("all", half))
        share = rate.passed / rate.measured if rate else None
        dates = self.dates * len(self.points)
        return self._fact(share, "share", len(judged), dates, self.points)

    def night_max(self) -> Fact:
        """Complete nights whose highest level stays within the limit."""
        row = night_max_limit(self.site)
        found = [judge(day, row).verdict for one in self.points for day in one.days]
        complete = [verdict for verdict in found if verdict != "incomplete"]
        share = complete.count("pass") / len(complete) if complete else None
        return self._fact(share, "share", len(complete), len(found), self.points)

    def valid(self) -> Fact:
        """Valid time of all days and nights."""
        halves = [half for one in self.points for day in one.days for half in (day.day, day.night)]
        hours = sum(half.hours for half in halves)
        share = sum(half.valid_share * half.hours for half in halves) / hours if hours else None
        return self._fact(share, "share", self.dates, self.dates, self.points)

    def _level(self, point: Point, half: Half) -> float | None:
        return energy_mean([one.laeq_db for one in _complete(point.days, half) if one.laeq_db is not None])

    def _fact(
        self, value: float | None, unit: str, counted: int, of: int, shown: Sequence[Point],
        threshold: SiteThreshold | None = None,
    ) -> Fact:  # fmt: skip
        return Fact(
            value, unit, self.first, self.last, counted / of if of else 0.0, counted,
            tuple(_evidence(self.site.name, one, self.first, self.last) for one in shown), threshold,
            indicative=any(not one.type_approved for one in self.points),
        )  # fmt: skip


def _complete(days: Sequence[NoiseDay], half: Half) -> list[PeriodLevel]:
    of: Callable[[NoiseDay], PeriodLevel] = (
        (lambda one: one.day) if half == "day" else (lambda one: one.night)
    )
    return [period for period in map(of, days) if period.verdict != "incomplete"]


def _threshold(row: LimitRow | None) -> SiteThreshold | None:
    if row is None:
        return None
    return SiteThreshold(row.value, row.standard, row.edition, row.clause, row.source, row.verified)


def _evidence(site: str, point: Point, first: date, last: date) -> Evidence:
    query = urlencode({"site": site, "device": point.device, "first": first, "last": last})
    return Evidence(point.label, f"/api/v1/noise/days?{query}", f"#/site/{site}/patterns/{point.device}")
