"""Days and nights of noise, calendar days of water, from the hour rows.

A night belongs to the date on which it begins (a project rule: the standards seen do not say). Ld and Ln are energy
means over the valid time of the hours that count (GB 3096-2008, HJ 906-2017: "energy mean over the valid samples
only"); an hour counts, and a period is complete, by the shares of :class:`Validity`.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Final, Literal

from analysis.energy import energy_mean
from analysis.limits import LimitPeriod, period_limit
from analysis.standards import LimitRow
from contract.sitetime import SiteClock
from store.registry.models import Site
from store.series.interface import NoiseHour, SeriesStore, WaterHour

PeriodVerdict = Literal["pass", "fail", "incomplete"]
IncompleteReason = Literal["", "no_data", "too_few_valid_hours", "not_over"]

_HOUR: Final = timedelta(hours=1)


@dataclass(frozen=True, slots=True)
class Validity:
    """Which hours count and when a period is complete. The numbers are project defaults, not from HJ 906."""

    hour_share: float = 0.75
    period_share: float = 0.75
    """Share of the period's hours that must count: 12 of 16, 6 of 8."""


@dataclass(frozen=True, slots=True)
class PeriodLevel:
    """A day's Ld or a night's Ln with its judgement.

    ``laeq_db`` is the level over the hours that count, also when they are too few for a verdict; ``valid_share`` is
    the valid time's share of the whole period. ``reason`` says why a verdict is ``incomplete``.
    """

    laeq_db: float | None
    valid_share: float
    hours_counted: int
    hours: int
    limit: LimitRow
    verdict: PeriodVerdict
    reason: IncompleteReason


@dataclass(frozen=True, slots=True)
class NoiseDay:
    """One date at one source: its day, and the night that begins on it."""

    date: date
    day: PeriodLevel
    night: PeriodLevel

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
    now: datetime | None = None, validity: Validity | None = None,
) -> list[NoiseDay]:  # fmt: skip
    """Return each date from ``first_date`` to ``last_date`` (inclusive) with Ld, Ln and verdicts.

    ``now`` tells a period that is still under way (``not_over``) from one that lost data.
    """
    start = site_clock.day_bounds(first_date)[0]
    end = site_clock.night_bounds(last_date)[1]
    hours = {row.t: row for row in series.noise_rollups(start, end, site=site.name, source=source)}
    rules = validity or Validity()

    def judged(day: date, period: LimitPeriod, bounds: tuple[datetime, datetime]) -> PeriodLevel:
        rows = [hours[t] for t in _hours(*bounds) if t in hours]
        return judge_period(rows, bounds, period_limit(site, period, day), now=now, validity=rules)

    return [
        NoiseDay(
            day,
            judged(day, "day", site_clock.day_bounds(day)),
            judged(day, "night", site_clock.night_bounds(day)),
        )
        for day in _dates(first_date, last_date)
    ]


def judge_period(
    rows: Sequence[NoiseHour], bounds: tuple[datetime, datetime], limit: LimitRow, *,
    now: datetime | None, validity: Validity,
) -> PeriodLevel:  # fmt: skip
    """Average a period's hours and judge it; ``rows`` are those of its hours that are known."""
    hours = round((bounds[1] - bounds[0]) / _HOUR)
    counted = [row for row in rows if row.laeq_db is not None and row.valid_share >= validity.hour_share]
    mean = energy_mean(
        (row.laeq_db for row in counted if row.laeq_db is not None), [row.valid_s for row in counted]
    )
    valid_share = sum(row.valid_s for row in rows) / (hours * 3600.0)
    reason = _incomplete(rows, counted, hours, over=now is None or now >= bounds[1], validity=validity)
    verdict: PeriodVerdict = "incomplete" if reason or mean is None else limit.judge(mean)
    return PeriodLevel(mean, min(1.0, valid_share), len(counted), hours, limit, verdict, reason)


def water_days(
    series: SeriesStore, site_clock: SiteClock, site: str, first_date: date, last_date: date, *,
    meter: str | None = None,
) -> list[WaterDay]:  # fmt: skip
    """Return the litres of each meter (or one) and date, ascending by meter, then date.

    Dates on which a meter has no row at all are given too, with ``volume_l`` ``None``, for every meter that has one
    somewhere in the range.
    """
    start = site_clock.midnight(first_date)
    end = site_clock.midnight(last_date + timedelta(days=1))
    by_day: dict[str, dict[date, list[WaterHour]]] = defaultdict(lambda: defaultdict(list))
    for row in series.water_rollups(start, end, site=site, source=meter):
        by_day[row.source][site_clock.local(row.t).date()].append(row)
    return [
        _water_day(site_clock, name, day, rows.get(day, ()))
        for name, rows in sorted(by_day.items())
        for day in _dates(first_date, last_date)
    ]


def _water_day(clock: SiteClock, meter: str, day: date, rows: Iterable[WaterHour]) -> WaterDay:
    hours = round((clock.midnight(day + timedelta(days=1)) - clock.midnight(day)) / _HOUR)
    known = [row.volume_l for row in rows if row.volume_l is not None]
    return WaterDay(day, meter, sum(known) if known else None, len(known) / hours)


def _incomplete(
    rows: Sequence[NoiseHour], counted: Sequence[NoiseHour], hours: int, *, over: bool, validity: Validity
) -> IncompleteReason:
    if not over:
        return "not_over"
    if not rows:
        return "no_data"
    return "" if len(counted) >= hours * validity.period_share else "too_few_valid_hours"


def _dates(first: date, last: date) -> list[date]:
    return [first + timedelta(days=n) for n in range((last - first).days + 1)]


def _hours(start: datetime, end: datetime) -> list[datetime]:
    return [start + n * _HOUR for n in range(round((end - start) / _HOUR))]
