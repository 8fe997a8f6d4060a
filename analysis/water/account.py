"""Where a household and a quarter stand: use, quota, tier, plan and money, from the hour rows. Reads, never writes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, timedelta

from analysis.days import WaterDay, water_days
from analysis.limits import site_clock
from analysis.site_settings import WaterSettings, settings_of
from analysis.standard_rows import SurchargeRow, TariffRow
from analysis.standards import standards
from analysis.water.forecast import Forecast, Outlook, forecast, outlook, passes_plan
from analysis.water.known import (
    KNOWN_ENOUGH,
    Loss,
    counted_use,
    counted_volume_l,
    every_date,
    known_share,
    loss,
    summed,
)
from analysis.water.night import NightFlow, night_flow
from analysis.water.peers import LEAST_GROUP, PeerComparison, compare
from analysis.water.plan import OverPlan, over_plan
from analysis.water.quota import PerHead, per_head, quota_for
from analysis.water.tariff import Bill, TierStanding, bill, standing
from store.registry.models import Meter, Site
from store.series.interface import SeriesStore

_DAY = timedelta(days=1)
_COMPARED_DAYS = 28


@dataclass(frozen=True, slots=True)
class Span:
    """Days of a tariff period or a plan year, both inclusive."""

    first: date
    last: date


@dataclass(frozen=True, slots=True)
class HouseholdAccount:
    """A household in its present tariff period, up to and with ``today``.

    ``known_share`` is the share of the period's hours so far whose volume is known: below 1 the bill is too low.
    ``outlook`` is ``None`` with too few known days.
    """

    meter: str
    span: Span
    used_m3: float
    known_share: float
    bill: Bill
    standing: TierStanding
    outlook: Outlook | None
    per_head: PerHead
    tariff: TariffRow


@dataclass(frozen=True, slots=True)
class QuarterAccount:
    """A quarter: use per person and household and night flow over the last 30 whole days, the year against its plan.

    ``measured_by`` says whether the volume is the master meter's or the sum of the households'. ``passes_plan`` is the
    probability (share of the forecast's runs) that the year ends above the plan; ``expected`` is the surcharge of the
    probable year.
    """

    measured_by: str
    per_head: PerHead
    litres_per_household_day: float | None
    night_flow: NightFlow | None
    year: Span
    used_m3: float
    known_share: float
    plan_m3: float | None
    over_plan: OverPlan | None
    forecast: Forecast | None
    passes_plan: float | None
    expected: OverPlan | None


def tariff_of(settings: WaterSettings) -> TariffRow:
    """Return a site's tariff: its own, else the preset that it names. Raises ``KeyError`` for an unknown one."""
    return settings.own_tariff or standards().get(settings.tariff_id, TariffRow)


def surcharge_of(settings: WaterSettings) -> SurchargeRow:
    """Return a site's surcharge above the plan. Raises ``KeyError`` for an unknown one."""
    return settings.own_surcharge or standards().get(settings.surcharge_id, SurchargeRow)


def tariff_span(period: str, day: date) -> Span:
    """Return the tariff period that ``day`` lies in; two-month periods begin in odd months."""
    if period == "year":
        return Span(date(day.year, 1, 1), date(day.year, 12, 31))
    months = 2 if period == "two_months" else 1
    first_month = (day.month - 1) // months * months + 1
    following = date(day.year + (first_month + months > 12), (first_month + months - 1) % 12 + 1, 1)
    return Span(date(day.year, first_month, 1), following - _DAY)


def household(series: SeriesStore, site: Site, meter: Meter, today: date) -> HouseholdAccount:
    """Return where a household stands today."""
    settings = settings_of(site).water
    tariff = tariff_of(settings)
    span = tariff_span(tariff.period, today)
    days = _days_of(series, site, meter.name, span.first, today)
    used = sum(day.volume_l or 0.0 for day in days) / 1000.0
    whole = [_m3(day) for day in days[:-1]]  # today is not over
    recent = counted_use(days[-31:-1])
    return HouseholdAccount(
        meter=meter.name, span=span, used_m3=used, known_share=known_share(days),
        bill=bill(tariff, round(used, 3), persons=meter.persons),
        standing=standing(tariff, round(used, 3), persons=meter.persons),
        outlook=outlook(whole, span.first, span.last, tariff, persons=meter.persons),
        per_head=per_head(recent.volume_l, recent.dates, meter.persons, quota_for(settings, today)), tariff=tariff,
    )  # fmt: skip


def quarter(series: SeriesStore, site: Site, meters: Sequence[Meter], today: date) -> QuarterAccount:
    """Return where a quarter stands today; ``meters`` are all of the site's."""
    settings = settings_of(site).water
    masters = [meter.name for meter in meters if meter.role == "master"]
    households = [meter for meter in meters if meter.role == "household"]
    counted = masters or [meter.name for meter in households]
    year = Span(date(today.year, 1, 1), date(today.year, 12, 31))
    days = summed([_days_of(series, site, name, year.first, today) for name in counted])
    month = counted_use(days[-31:-1])
    persons = settings.persons or sum(meter.persons or 0 for meter in households) or None
    homes = settings.households or len(households)
    used = sum(day.volume_l or 0.0 for day in days) / 1000.0
    found = forecast([_m3(day) for day in days[:-1]], year.first, year.last)
    plan = settings.plan_m3.get(str(today.year))
    return QuarterAccount(
        measured_by="master" if masters else "households",
        per_head=per_head(month.volume_l, month.dates, persons, quota_for(settings, today)),
        litres_per_household_day=month.volume_l / month.dates / homes if month.dates and homes else None,
        night_flow=_night_flow(series, site, masters, today), year=year,
        used_m3=used, known_share=known_share(days), plan_m3=plan,
        over_plan=_over(settings, used, plan), forecast=found[0] if found else None,
        passes_plan=passes_plan(found[1], plan) if found and plan else None,
        expected=_over(settings, found[0].likely_m3, plan) if found else None,
    )  # fmt: skip


def peers(
    series: SeriesStore, site: Site, meters: Sequence[Meter], own: Meter, today: date
) -> PeerComparison | None:
    """Compare a household with those of its kind over the last four weeks; ``None`` where that would show them."""
    group = {m.name for m in meters if m.role == "household" and m.peer_kind == own.peer_kind}
    if len(group) < LEAST_GROUP:
        return None
    first, last = today - timedelta(days=_COMPARED_DAYS), today - _DAY
    known: dict[str, list[float]] = {}
    for day in water_days(series, site_clock(site), site.name, first, last):
        if day.meter in group and day.volume_l is not None and day.known_share >= KNOWN_ENOUGH:
            known.setdefault(day.meter, []).append(day.volume_l)
    use = {name: sum(of) / len(of) for name, of in known.items() if len(of) >= _COMPARED_DAYS * KNOWN_ENOUGH}
    return compare(own.name, use)


def loss_of(series: SeriesStore, site: Site, meters: Sequence[Meter], first: date, last: date) -> Loss:
    """Return what a quarter lost over whole dates (see :func:`analysis.water.known.loss`)."""
    return loss(water_days(series, site_clock(site), site.name, first, last), meters, first, last)


def _over(settings: WaterSettings, used_m3: float, plan_m3: float | None) -> OverPlan | None:
    if plan_m3 is None:
        return None
    row = surcharge_of(settings)
    price = tariff_of(settings).tiers[0].parts.get(row.on_part, 0.0)
    return over_plan(round(used_m3, 3), plan_m3, row, price)


def _days_of(series: SeriesStore, site: Site, meter: str, first: date, last: date) -> list[WaterDay]:
    found = water_days(series, site_clock(site), site.name, first, last, meter=meter)
    return every_date(found, meter, first, last)


def _night_flow(series: SeriesStore, site: Site, masters: Sequence[str], today: date) -> NightFlow | None:
    clock = site_clock(site)
    start, end = clock.midnight(today - 30 * _DAY), clock.midnight(today + _DAY)
    hours = [row for name in masters for row in series.water_rollups(start, end, site=site.name, source=name)]
    return night_flow(hours, masters, clock)


def _m3(day: WaterDay) -> float | None:
    volume_l = counted_volume_l(day)
    return None if volume_l is None else volume_l / 1000.0
