"""Water facts of a period, from the days and hours that the API answers with too. Pure but for their reading."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Final
from urllib.parse import urlencode

from analysis.days import WaterDay
from analysis.dossier.facts import Evidence, Fact, SiteThreshold
from analysis.dossier.text import Text
from analysis.site_settings import settings_of
from analysis.water.known import KNOWN_ENOUGH, counted_use, every_date, loss, summed
from analysis.water.night import night_flows
from analysis.water.quota import PerHead, per_head, quota_for
from contract.sitetime import SiteClock
from store.registry.models import Meter, Site
from store.series.interface import WaterHour

DAYS_A_MONTH: Final = 365.25 / 12.0
_WATER = Text("用水", "water")
_NO_PEOPLE = Text("人数未填写", "the number of people is not entered")
_NO_HOMES = Text("户数未填写", "the number of households is not entered")
_UNKNOWN_METERS = Text(
    "有分表数据不足，其用量计入漏损", "the use of sub-meters with too little data counts as lost"
)
_NO_PLAN = Text("当年用水计划未填写", "the year's plan is not entered")


@dataclass(frozen=True, slots=True)
class WaterPeriod:
    """What the water facts are made of. ``days`` are those of every meter, ``master_hours`` those of master meters.

    ``people`` and ``homes`` are the profile's; the site's settings and meters take precedence and fill in.
    """

    site: Site
    meters: Sequence[Meter]
    days: Sequence[WaterDay]
    master_hours: Sequence[WaterHour]
    clock: SiteClock
    first: date
    last: date
    people: int | None = None
    homes: int | None = None
    plan_share: float | None = None


def water_facts(period: WaterPeriod) -> dict[str, Fact]:
    """Return the water facts of a period; without a meter nothing is known."""
    if not period.meters:
        return {}
    settings = settings_of(period.site).water
    homes = settings.households or period.homes
    households = _names(period.meters, "household")
    return {
        "water.per_head": _per_head(period),
        "water.metered_share": _fact(
            period, min(1.0, len(households) / homes) if homes else None, "share", None, len(households),
            note=None if homes else _NO_HOMES,
        ),
        "water.loss_share": _loss(period),
        "water.night_ratio": _night(period),
        "water.household_month": _household_month(period, households),
        "water.plan_share": _fact(
            period, period.plan_share, "share", None, None,
            note=None if str(period.last.year) in settings.plan_m3 else _NO_PLAN,
        ),
    }  # fmt: skip


def _names(meters: Iterable[Meter], *roles: str) -> list[str]:
    return [one.name for one in meters if one.role in roles]


def _by_date(days: Iterable[WaterDay], names: Sequence[str]) -> dict[date, dict[str, float]]:
    """Return litres by date and meter, well known days only."""
    wanted, found = set(names), defaultdict[date, dict[str, float]](dict)
    for one in days:
        if one.meter in wanted and one.volume_l is not None and one.known_share >= KNOWN_ENOUGH:
            found[one.date][one.meter] = one.volume_l
    return found


def _whole_dates(days: Iterable[WaterDay], names: Sequence[str]) -> dict[date, Mapping[str, float]]:
    return {day: of for day, of in _by_date(days, names).items() if len(of) == len(names)}


def _per_head(period: WaterPeriod) -> Fact:
    settings = settings_of(period.site).water
    counted = _names(period.meters, "master") or _names(period.meters, "household")
    used = counted_use(summed([every_date(period.days, name, period.first, period.last) for name in counted]))
    people = (
        settings.persons
        or period.people
        or sum(one.persons or 0 for one in period.meters if one.role == "household")
        or None
    )
    use = per_head(used.volume_l, used.dates, people, quota_for(settings, period.last))
    note = _NO_PEOPLE if people is None else None
    return _fact(
        period, use.litres_per_person_day, "lpd", used.dates / _dates(period), used.dates, _quota(use), note
    )


def _quota(use: PerHead) -> SiteThreshold | None:
    row = use.quota
    if row is None:
        return None
    return SiteThreshold(row.highest_lpd, row.standard, row.edition, row.clause, row.source, row.verified)


def _loss(period: WaterPeriod) -> Fact:
    """The balance over the dates that count at every master meter; without a sub-meter there is none."""
    found = loss(period.days, period.meters, period.first, period.last)
    whole = found.balance is not None and found.balance.known_share == 1.0
    share = found.balance.lost_share if found.balance and found.balance.known_share > 0.0 else None
    note = None if whole or share is None else _UNKNOWN_METERS
    return _fact(period, share, "share", found.dates / _dates(period), found.dates, note=note)


def _night(period: WaterPeriod) -> Fact:
    """The smallest hour of the night over the day's mean hour, averaged over the dates that are known."""
    masters = _names(period.meters, "master")
    dates = _whole_dates(period.days, masters) if masters else {}
    flows = night_flows(period.master_hours, masters, period.clock)
    ratios = [
        flows[day] / (sum(of.values()) / 24.0)
        for day, of in dates.items()
        if day in flows and sum(of.values()) > 0.0
    ]
    share = sum(ratios) / len(ratios) if ratios else None
    return _fact(period, share, "share", len(ratios) / _dates(period), len(ratios))


def _household_month(period: WaterPeriod, households: Sequence[str]) -> Fact:
    found = _by_date(period.days, households)
    volumes = [volume for of in found.values() for volume in of.values()]
    value = sum(volumes) / len(volumes) * DAYS_A_MONTH / 1000.0 if volumes else None
    meter_days = _dates(period) * len(households)
    return _fact(period, value, "m3_month", len(volumes) / meter_days if meter_days else 0.0, len(found))


def _dates(period: WaterPeriod) -> int:
    return (period.last - period.first).days + 1


def _fact(
    period: WaterPeriod, value: float | None, unit: str, completeness: float | None, counted: int | None,
    threshold: SiteThreshold | None = None, note: Text | None = None,
) -> Fact:  # fmt: skip
    site = period.site.name
    query = urlencode({"site": site, "first": period.first, "last": period.last})
    link = Evidence(_WATER, f"/api/v1/water/days?{query}", f"#/site/{site}/water")
    return Fact(value, unit, period.first, period.last, completeness, counted, (link,), threshold, note=note)
