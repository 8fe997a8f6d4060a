"""Collect a quarter's water of a period: days, meters, use per person, balance, plan and tiers."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from datetime import date, datetime, timedelta

from analysis.days import WaterDay, water_days
from analysis.limits import site_clock
from analysis.report.facts import MeterFacts, QuarterWaterDay, TierFacts, WaterFacts, WaterOrigin
from analysis.report.period import Period
from analysis.site_settings import settings_of
from analysis.water.account import quarter, tariff_of, tariff_span
from analysis.water.known import KNOWN_ENOUGH, counted_use, every_date, known_share, loss, summed
from analysis.water.quota import per_head, quota_for
from analysis.water.tariff import bill, standing
from store.registry.models import Meter, Site
from store.series.interface import SeriesStore


def gather_water(
    series: SeriesStore, site: Site, meters: Sequence[Meter], period: Period, now: datetime
) -> WaterFacts:
    """Collect the water of a site with at least one meter. Raises ``StoreUnavailable``."""
    clock, settings = site_clock(site), settings_of(site).water
    known = water_days(series, clock, site.name, period.first, period.last)
    origins = _origins(series, site, period)
    facts = tuple(_meter(one, known, origins, period) for one in meters)
    days = tuple(_day(facts, period.first + timedelta(days=n), n) for n in range(period.days))
    masters = [one for one in facts if one.role == "master"]
    homes = [one for one in facts if one.role == "household"]
    used = counted_use(summed([one.days for one in masters or homes]))
    persons = settings.persons or sum(one.persons or 0 for one in homes) or None
    households = settings.households or len(homes)
    until = min(period.last, clock.local(now).date())
    tariff = tariff_of(settings)
    span = tariff_span(tariff.period, until)
    return WaterFacts(
        measured_by="master" if masters else "households" if homes else "none", meters=facts, days=days,
        known_days=used.dates, persons=persons, households=households,
        per_head=per_head(used.volume_l, used.dates, persons, quota_for(settings, until)),
        litres_per_household_day=used.volume_l / used.dates / households if used.dates and households else None,
        loss=loss(known, meters, period.first, period.last),
        year=quarter(series, site, meters, until), year_until=until, tariff=tariff, tariff_first=span.first,
        tiers=_tiers(series, site, [one for one in meters if one.role == "household"], span.first, until),
    )  # fmt: skip


def _origins(series: SeriesStore, site: Site, period: Period) -> dict[tuple[str, date], WaterOrigin]:
    """Return how many readings each meter's days rest on, and the highest revision of their hour rows."""
    clock = site_clock(site)
    start, end = clock.midnight(period.first), clock.midnight(period.last + timedelta(days=1))
    found: dict[tuple[str, date], WaterOrigin] = {}
    for row in series.water_rollups(start, end, site=site.name):
        key = (row.source, clock.local(row.t).date())
        before = found.get(key, WaterOrigin())
        found[key] = WaterOrigin(before.readings + row.readings, max(before.revision, row.revision))
    return found


def _meter(
    meter: Meter, known: Sequence[WaterDay], origins: Mapping[tuple[str, date], WaterOrigin], period: Period
) -> MeterFacts:
    days = tuple(every_date(known, meter.name, period.first, period.last))
    counted = [day.volume_l for day in days if day.volume_l is not None and day.known_share >= KNOWN_ENOUGH]
    return MeterFacts(
        name=meter.name, label_zh=meter.label_zh, label_en=meter.label_en, role=meter.role, persons=meter.persons,
        volume_l=sum(counted) if counted else None, known_days=len(counted), days=days,
        origins=tuple(origins.get((meter.name, day.date), WaterOrigin()) for day in days),
    )  # fmt: skip


def _day(meters: Sequence[MeterFacts], day: date, number: int) -> QuarterWaterDay:
    masters = [one.days[number] for one in meters if one.role == "master"]
    subs = [one.days[number] for one in meters if one.role != "master"]
    return QuarterWaterDay(day, _sum(masters), known_share(masters), _sum(subs), known_share(subs))


def _sum(days: Sequence[WaterDay]) -> float | None:
    known = [day.volume_l for day in days if day.volume_l is not None]
    return sum(known) if known else None


def _tiers(
    series: SeriesStore, site: Site, homes: Sequence[Meter], first: date, until: date
) -> tuple[TierFacts, ...]:
    """Return how many households stand in which tier of the tariff period that ``until`` lies in."""
    tariff = tariff_of(settings_of(site).water)
    used: dict[str, float] = defaultdict(float)
    names = {one.name for one in homes}
    for day in water_days(series, site_clock(site), site.name, first, until):
        if day.meter in names and day.volume_l is not None:
            used[day.meter] += day.volume_l / 1000.0
    count = [0] * len(tariff.tiers)
    volume, amount = [0.0] * len(tariff.tiers), [0.0] * len(tariff.tiers)
    for home in homes:
        m3 = round(used.get(home.name, 0.0), 3)
        tier = standing(tariff, m3, persons=home.persons).tier - 1
        count[tier] += 1
        volume[tier] += m3
        amount[tier] += float(bill(tariff, m3, persons=home.persons).total)
    return tuple(TierFacts(n + 1, count[n], volume[n], amount[n]) for n in range(len(tariff.tiers)))
