"""Days and nights of noise, calendar days of water, from the hour rows.

A night belongs to the date on which it begins (a project rule: the standards seen do not say). Ld and Ln are energy
means over the valid time of the hours that count (GB 3096-2008, HJ 906-2017: "energy mean over the valid samples
only"); which count, and when a period is complete, says ``analysis.validity``. Only these whole periods are judged: a
shorter time above a limit is an alert, not a finding.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from typing import Literal
from zoneinfo import ZoneInfo

from analysis.energy import lden, ldn
from analysis.exclusions import Span, cut_hours
from analysis.levels import PeriodStats, UncountedHour, counted_level, period_stats
from analysis.limits import LimitPeriod, period_limit
from analysis.standards import LimitRow
from analysis.validity import Validity
from contract.sitetime import SiteClock
from store.registry.models import Site
from store.series.interface import NoiseHour, SeriesStore, WaterHour

__all__ = ["NoiseDay", "PeriodLevel", "UncountedHour", "Validity", "WaterDay", "noise_days", "water_days"]

PeriodVerdict = Literal["pass", "fail", "incomplete"]
IncompleteReason = Literal["", "no_data", "too_few_valid_hours", "not_over"]

_DAY = timedelta(days=1)
_HOUR = timedelta(hours=1)


@dataclass(frozen=True, slots=True)
class PeriodLevel:
    """A day's Ld or a night's Ln with its judgement.

    ``laeq_db`` is the level over the hours that count, also when they are too few for a verdict; ``valid_share`` is
    the valid time's share of the whole period. ``reason`` says why a verdict is ``incomplete``; ``stats`` has the
    percentiles, the maximum, and each hour that does not count with why.
    """

    laeq_db: float | None
    valid_share: float
    hours_counted: int
    hours: int
    limit: LimitRow
    verdict: PeriodVerdict
    reason: IncompleteReason
    stats: PeriodStats


@dataclass(frozen=True, slots=True)
class NoiseDay:
    """One date at one source: its day, and the night that begins on it.

    ``ldn_db`` is over these two (16/8 h in China; ISO 1996-1). ``lden_db`` and ``lnight_db`` are those of Directive
    2002/49/EC, day 07-19, evening 19-23, night 23-07 site time, from the date's 07:00 on. All are ``None`` unless each
    of their parts is complete.
    """

    date: date
    day: PeriodLevel
    night: PeriodLevel
    ldn_db: float | None
    lden_db: float | None
    lnight_db: float | None

    @property
    def ld_db(self) -> float | None:
        """Day level Ld."""
        return self.day.laeq_db

    @property
    def ln_db(self) -> float | None:
        """Night level Ln of the night that begins on this date."""
        return self.night.laeq_db


@dataclass(frozen=True, slots=True)
class WaterDay:
    """Litres through one meter on one local calendar day, over the hours that are known.

    ``known_share`` is the share of the day's hours (23 to 25 at a change of clocks) with a known volume.
    """

    date: date
    meter: str
    volume_l: float | None
    known_share: float


def noise_days(
    series: SeriesStore, site_clock: SiteClock, site: Site, source: str, first_date: date, last_date: date, *,
    now: datetime | None = None, validity: Validity | None = None, exclusions: Sequence[Span] = (),
) -> list[NoiseDay]:  # fmt: skip
    """Return each date from ``first_date`` to ``last_date`` (inclusive) with Ld, Ln and verdicts.

    ``now`` tells a period that is still under way (``not_over``) from one that lost data. ``exclusions`` are times to
    be left out (see ``analysis.exclusions.spans_of``). Day and night borders must fall on whole UTC hours.
    """
    start = min(site_clock.day_bounds(first_date)[0], _at(site_clock, first_date, 7))
    end = max(site_clock.night_bounds(last_date)[1], _at(site_clock, last_date + _DAY, 7))
    rows = series.noise_rollups(start, end, site=site.name, source=source)
    hours = {row.t: row for row in cut_hours(series, rows, exclusions)}
    judge = _Judge(site, site_clock, hours, now, validity or Validity.of(site))
    return [judge.day(day) for day in _dates(first_date, last_date)]


@dataclass(frozen=True, slots=True)
class _Judge:
    site: Site
    clock: SiteClock
    hours: Mapping[datetime, NoiseHour]
    now: datetime | None
    validity: Validity

    def day(self, day: date) -> NoiseDay:
        by_day = self._period(day, "day", *self.clock.day_bounds(day))
        by_night = self._period(day, "night", *self.clock.night_bounds(day))
        both = _levels_of_complete(by_day, by_night)
        day_h, night_h = float(by_day.hours), float(by_night.hours)
        eu_day, eu_evening, eu_night = (
            self._eu_level(day, *span) for span in ((7, 19, 12), (19, 23, 4), (23, 31, 8))
        )
        eu = (
            lden(eu_day, eu_evening, eu_night)
            if eu_day is not None and eu_evening is not None and eu_night is not None
            else None
        )
        return NoiseDay(
            day, by_day, by_night, ldn(*both, day_h=day_h, night_h=night_h) if both else None, eu, eu_night
        )

    def _period(self, day: date, period: LimitPeriod, start: datetime, end: datetime) -> PeriodLevel:
        stats = period_stats(self.hours, start, end, self.validity.hour_share)
        limit = period_limit(self.site, period, day)
        share = self.validity.day_share if period == "day" else self.validity.night_share
        reason = self._incomplete(stats, end, share)
        verdict: PeriodVerdict = (
            "incomplete" if reason or stats.laeq_db is None else limit.judge(stats.laeq_db)
        )
        return PeriodLevel(
            stats.laeq_db, stats.valid_share, stats.hours_counted, stats.hours, limit, verdict, reason, stats
        )

    def _eu_level(self, day: date, from_h: int, to_h: int, hours: int) -> float | None:
        start = _at(self.clock, day, from_h)
        end = _at(self.clock, day + _DAY, to_h - 24) if to_h > 24 else _at(self.clock, day, to_h)
        level_db, counted = counted_level(self.hours, start, end, self.validity.hour_share)
        over = self.now is None or self.now >= end
        return level_db if over and counted >= hours * self.validity.night_share else None

    def _incomplete(self, stats: PeriodStats, end: datetime, share: float) -> IncompleteReason:
        if self.now is not None and self.now < end:
            return "not_over"
        if all(one.reason == "no_data" for one in stats.uncounted) and stats.hours_counted == 0:
            return "no_data"
        return "" if stats.hours_counted >= stats.hours * share else "too_few_valid_hours"


def water_days(
    series: SeriesStore, site_clock: SiteClock, site: str, first_date: date, last_date: date, *,
    meter: str | None = None,
) -> list[WaterDay]:  # fmt: skip
    """Return the litres of each meter (or one) and date, ascending by meter, then date.

    Dates on which a meter has no row at all are given too, with ``volume_l`` ``None``, for every meter that has one
    somewhere in the range.
    """
    start = site_clock.midnight(first_date)
    end = site_clock.midnight(last_date + _DAY)
    by_day: dict[str, dict[date, list[WaterHour]]] = defaultdict(lambda: defaultdict(list))
    for row in series.water_rollups(start, end, site=site, source=meter):
        by_day[row.source][site_clock.local(row.t).date()].append(row)
    return [
        _water_day(site_clock, name, day, rows.get(day, ()))
        for name, rows in sorted(by_day.items())
        for day in _dates(first_date, last_date)
    ]


def _water_day(clock: SiteClock, meter: str, day: date, rows: Iterable[WaterHour]) -> WaterDay:
    hours = round((clock.midnight(day + _DAY) - clock.midnight(day)) / _HOUR)
    known = [row.volume_l for row in rows if row.volume_l is not None]
    return WaterDay(day, meter, sum(known) if known else None, len(known) / hours)


def _levels_of_complete(day: PeriodLevel, night: PeriodLevel) -> tuple[float, float] | None:
    complete = day.verdict != "incomplete" and night.verdict != "incomplete"
    if not complete or day.laeq_db is None or night.laeq_db is None:
        return None
    return day.laeq_db, night.laeq_db


def _dates(first: date, last: date) -> list[date]:
    return [first + timedelta(days=n) for n in range((last - first).days + 1)]


def _at(clock: SiteClock, day: date, hour: int) -> datetime:
    return datetime.combine(day, time(hour), ZoneInfo(clock.zone)).astimezone(UTC)
