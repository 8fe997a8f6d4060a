"""Where a household and a quarter stand: use, quota, tier, plan and money, from the hour rows. Reads, never writes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Final, Literal

from analysis.days import WaterDay, water_days
from analysis.limits import site_clock
from analysis.site_settings import WaterSettings, settings_of
from analysis.standard_rows import SurchargeRow, TariffRow
from analysis.standards import standards
from analysis.water.forecast import Forecast, Outlook, forecast, outlook, passes_plan
from analysis.water.leakage import Balance, balance
from analysis.water.peers import LEAST_GROUP, PeerComparison, compare
from analysis.water.plan import OverPlan, over_plan
from analysis.water.quota import PerHead, per_head, quota_for
from analysis.water.tariff import Bill, TierStanding, bill, standing
from store.registry.models import Meter, Site
from store.series.interface import SeriesStore

_DAY = timedelta(days=1)
_COMPARED_DAYS = 28
KNOWN_ENOUGH: Final = 0.75
"""Share of a day's hours that must be known for the day to count (project default)."""


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
    """A quarter: use per person and household over the last 30 whole days, and the year against its plan.

    ``measured_by`` says whether the volume is the master meter's or the sum of the households'. ``passes_plan`` is the
    probability (share of the forecast's runs) that the year ends above the plan; ``expected`` is the surcharge of the
    probable year.
    """

    measured_by: str
    per_head: PerHead
    litres_per_household_day: float | None
    year: Span
    used_m3: float
    known_share: float
    plan_m3: float | None
    over_plan: OverPlan | None
    forecast: Forecast | None
    passes_plan: float | None
    expected: OverPlan | None


@dataclass(frozen=True, slots=True)
class Loss:
    """A quarter's balance over whole days, and the sub-meters whose volume is not known well enough.

    ``balance`` is ``None`` without a master meter, or where its own volume is not known: ``reason`` says which.
    """

    balance: Balance | None
    unknown: tuple[str, ...] = ()
    reason: Literal["", "no_master_meter", "master_unknown"] = ""


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
    whole = [_counting_m3(day) for day in days[:-1]]  # today is not over
    recent = [
        day.volume_l for day in days[-31:-1] if day.volume_l is not None and day.known_share >= KNOWN_ENOUGH
    ]
    return HouseholdAccount(
        meter=meter.name, span=span, used_m3=used, known_share=_known_share(days),
        bill=bill(tariff, round(used, 3), persons=meter.persons),
        standing=standing(tariff, round(used, 3), persons=meter.persons),
        outlook=outlook(whole, span.first, span.last, tariff, persons=meter.persons),
        per_head=per_head(sum(recent), len(recent), meter.persons, quota_for(settings, today)), tariff=tariff,
    )  # fmt: skip


def quarter(series: SeriesStore, site: Site, meters: Sequence[Meter], today: date) -> QuarterAccount:
    """Return where a quarter stands today; ``meters`` are all of the site's."""
    settings = settings_of(site).water
    masters = [meter.name for meter in meters if meter.role == "master"]
    households = [meter for meter in meters if meter.role == "household"]
    counted = masters or [meter.name for meter in households]
    year = Span(date(today.year, 1, 1), date(today.year, 12, 31))
    days = _sum_by_day([_days_of(series, site, name, year.first, today) for name in counted])
    month = [
        day.volume_l for day in days[-31:-1] if day.volume_l is not None and day.known_share >= KNOWN_ENOUGH
    ]
    persons = settings.persons or sum(meter.persons or 0 for meter in households) or None
    homes = settings.households or len(households)
    used = sum(day.volume_l or 0.0 for day in days) / 1000.0
    found = forecast([_counting_m3(day) for day in days[:-1]], year.first, year.last)
    plan = settings.plan_m3.get(str(today.year))
    return QuarterAccount(
        measured_by="master" if masters else "households",
        per_head=per_head(sum(month), len(month), persons, quota_for(settings, today)),
        litres_per_household_day=sum(month) / len(month) / homes if month and homes else None, year=year,
        used_m3=used, known_share=_known_share(days), plan_m3=plan,
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
    """Balance a quarter's master meters with its sub-meters over whole days, what is missing of one taken as its mean.

    A sub-meter counts as known where at least three quarters of the hours are.
    """
    by_meter: dict[str, list[WaterDay]] = {one.name: [] for one in meters}
    for day in water_days(series, site_clock(site), site.name, first, last):
        if day.meter in by_meter:
            by_meter[day.meter].append(day)
    masters = [one.name for one in meters if one.role == "master"]
    subs = [one.name for one in meters if one.role != "master"]
    if not masters:
        return Loss(None, reason="no_master_meter")
    let_in = [_known_volume(by_meter[name]) for name in masters]
    volumes = {name: _known_volume(by_meter[name]) for name in subs}
    total = sum(volume for volume in let_in if volume is not None)
    unknown = tuple(name for name, volume in volumes.items() if volume is None)
    if None in let_in or total <= 0.0:
        return Loss(None, unknown, "master_unknown")
    return Loss(balance(total, list(volumes.values())), unknown)


def _known_volume(days: Sequence[WaterDay]) -> float | None:
    """Return a meter's litres, what is missing taken as the mean of the rest; ``None`` where too much is missing."""
    share = _known_share(days)
    if share < KNOWN_ENOUGH:
        return None
    return sum(day.volume_l or 0.0 for day in days) / share


def _over(settings: WaterSettings, used_m3: float, plan_m3: float | None) -> OverPlan | None:
    if plan_m3 is None:
        return None
    row = surcharge_of(settings)
    price = tariff_of(settings).tiers[0].parts.get(row.on_part, 0.0)
    return over_plan(round(used_m3, 3), plan_m3, row, price)


def _days_of(series: SeriesStore, site: Site, meter: str, first: date, last: date) -> list[WaterDay]:
    """Return every day of a meter; one that it has no row on at all is unknown."""
    found = {
        day.date: day for day in water_days(series, site_clock(site), site.name, first, last, meter=meter)
    }
    count = (last - first).days + 1
    dates = (first + n * _DAY for n in range(count))
    return [found.get(day) or WaterDay(day, meter, None, 0.0) for day in dates]


def _sum_by_day(of_meters: Sequence[Sequence[WaterDay]]) -> list[WaterDay]:
    """Add meters day by day; a day is as well known as its meters are on average."""
    summed: list[WaterDay] = []
    for days in zip(*of_meters, strict=True):
        volumes = [day.volume_l for day in days if day.volume_l is not None]
        share = sum(day.known_share for day in days) / len(days)
        summed.append(WaterDay(days[0].date, "", sum(volumes) if volumes else None, share))
    return summed


def _counting_m3(day: WaterDay) -> float | None:
    if day.volume_l is None or day.known_share < KNOWN_ENOUGH:
        return None
    return day.volume_l / day.known_share / 1000.0


def _known_share(days: Sequence[WaterDay]) -> float:
    return sum(day.known_share for day in days) / len(days) if days else 0.0
