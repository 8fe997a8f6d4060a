"""Water: today against yesterday, hours and days."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from datetime import date, datetime, timedelta
from typing import Annotated, Final, Literal

from fastapi import APIRouter, Query, Request
from pydantic import Field

from analysis.days import water_days
from analysis.limits import site_clock
from api import registry_reads as reads
from api.cache import caches_of
from api.context import ApiContext
from api.guard import Context
from api.hours import water_hours, whole_hours
from api.problems import documented
from api.schemas import INDICATIVE, Label, Out
from api.times import End, FirstDay, LastDay, SiteName, Start, dates_of, range_of
from api.water_today import DayBounds, WaterToday, day_bounds, water_today
from contract.flags import WaterFlag, names
from store.registry.models import Meter

router = APIRouter(tags=["water"], prefix="/water")

_REACH_BACK: Final = timedelta(hours=26)
TotalFrom = Literal["master", "sum", "none"]


class MeterTodayOut(Out):
    """One meter today, and yesterday up to the same time of day and in full. Litres, null where not known."""

    meter: str = Field(examples=["b1-0302"])
    label: Label
    role: Literal["household", "master", "public"]
    today_l: float | None = Field(examples=[183.4])
    yesterday_same_time_l: float | None = Field(examples=[171.0])
    yesterday_l: float | None = Field(examples=[402.5])
    until: datetime | None = Field(
        description="The newest reading of today; yesterday is compared up to this time."
    )
    register_ml: int | None = Field(description="The register at the newest reading.")


class TotalTodayOut(Out):
    """The quarter: its master meter where it has one that reports, else the sum of the meters that can be compared."""

    total_from: TotalFrom
    today_l: float | None
    yesterday_same_time_l: float | None
    yesterday_l: float | None
    compared_meters: int
    meters: int


class WaterTodayOut(Out):
    """A quarter's water today against yesterday."""

    site: str
    indicative: bool = Field(description=INDICATIVE)
    date: date
    now: datetime
    today_start: datetime
    yesterday_start: datetime
    total: TotalTodayOut
    meters: list[MeterTodayOut]


class WaterHourOut(Out):
    """One hour; `volume_l` is null where no two readings enclose it."""

    t: datetime
    volume_l: float | None
    readings: int
    flags: list[str]
    revision: int


class WaterHoursOut(Out):
    """Hours of one meter, or of the quarter where `meter` is null."""

    site: str
    indicative: bool = Field(description=INDICATIVE)
    meter: str | None
    total_from: TotalFrom | None
    hours: list[WaterHourOut]


class WaterDayOut(Out):
    """One meter's local calendar day over the hours that are known."""

    date: date
    meter: str
    volume_l: float | None
    known_share: float


class WaterDaysOut(Out):
    """Days of a range, by meter, then date."""

    site: str
    indicative: bool = Field(description=INDICATIVE)
    days: list[WaterDayOut]


@router.get("/today", summary="Water today against yesterday", responses=documented(401, 404, 503))
def get_water_today(request: Request, context: Context, site: SiteName) -> WaterTodayOut:
    """Return the quarter's and each meter's litres today and yesterday at the same time of day."""
    cache = caches_of(request).water
    return cache.get(("today", site), lambda: _today(context, site))


@router.get("/hours", summary="Water by the hour", responses=documented(401, 404, 422, 503))
def get_water_hours(
    request: Request, context: Context, site: SiteName, start: Start = None, end: End = None,
    meter: Annotated[str | None, Query(max_length=32, description="Meter; the whole quarter without it.")] = None,
) -> WaterHoursOut:  # fmt: skip
    """Return whole hours of a meter or of the quarter."""
    now = context.clock.now()
    with context.registry.reader() as session:
        reads.one_site(session, site)
        if meter is not None:
            reads.one_meter(session, site, meter)
        meters = reads.meters_of(session, site)
        approved = reads.approved_meters(session, site)
    span = range_of(start, end, now, usual=timedelta(days=2), longest=timedelta(days=100))
    since, until = whole_hours(span.start, span.end)
    if meter is not None:
        rows = water_hours(context.series, site, meter, since, until, now)
        hours = [
            WaterHourOut(t=one.t, volume_l=one.volume_l, readings=one.readings,
                         flags=names(WaterFlag(one.flags)), revision=one.revision)
            for one in rows
        ]  # fmt: skip
        return WaterHoursOut(
            site=site, indicative=meter not in approved, meter=meter, total_from=None, hours=hours
        )
    cache = caches_of(request).water
    return cache.get(
        ("hours", site, since, until),
        lambda: _quarter_hours(context, site, meters, approved, since, until, now),
    )


@router.get("/days", summary="Water by the day", responses=documented(401, 404, 422, 503))
def get_water_days(
    context: Context, site: SiteName,
    first: FirstDay = None, last: LastDay = None,
    meter: Annotated[str | None, Query(max_length=32, description="Meter; all of them without it.")] = None,
) -> WaterDaysOut:  # fmt: skip
    """Return litres by meter and date from the stored hours."""
    with context.registry.reader() as session:
        row = reads.one_site(session, site)
        if meter is not None:
            reads.one_meter(session, site, meter)
        approved = reads.approved_meters(session, site)
    clock = site_clock(row)
    today = clock.local(context.clock.now()).date()
    since, until = dates_of(first, last, today, usual_days=30, longest_days=400)
    days = water_days(context.series, clock, site, since, until, meter=meter)
    return WaterDaysOut(
        site=site,
        indicative=not {one.meter for one in days} <= approved,
        days=[
            WaterDayOut(date=one.date, meter=one.meter, volume_l=one.volume_l, known_share=one.known_share)
            for one in days
        ],
    )


def total_today(rows: Sequence[tuple[Meter, WaterToday]]) -> TotalTodayOut:
    """Put the quarter's total together from its meters. Pure."""
    masters = [one for meter, one in rows if meter.role == "master"]
    others = [one for meter, one in rows if meter.role != "master"]
    for candidates, total_from in ((masters, "master"), (others, "sum")):
        compared = [
            one for one in candidates if one.today_l is not None and one.yesterday_same_time_l is not None
        ]
        shown = compared or [one for one in candidates if one.today_l is not None]
        if shown:
            return TotalTodayOut(
                total_from="master" if total_from == "master" else "sum",
                today_l=sum(one.today_l or 0.0 for one in shown),
                yesterday_same_time_l=sum(one.yesterday_same_time_l or 0.0 for one in shown) if compared else None,
                yesterday_l=_sum_all([one.yesterday_l for one in shown]),
                compared_meters=len(compared), meters=len(candidates),
            )  # fmt: skip
    return TotalTodayOut(
        total_from="none", today_l=None, yesterday_same_time_l=None, yesterday_l=None, compared_meters=0,
        meters=len(rows),
    )  # fmt: skip


def _today(context: ApiContext, site: str) -> WaterTodayOut:
    now = context.clock.now()
    with context.registry.reader() as session:
        row = reads.one_site(session, site)
        meters = reads.meters_of(session, site)
        approved = reads.approved_meters(session, site)
    bounds = day_bounds(site_clock(row), now)
    rows = [(meter, _meter_today(context, site, meter.name, bounds)) for meter in meters]
    return WaterTodayOut(
        site=site, indicative=not {meter.name for meter in meters} <= approved,
        date=site_clock(row).local(now).date(), now=now, today_start=bounds.today,
        yesterday_start=bounds.yesterday, total=total_today(rows),
        meters=[
            MeterTodayOut.model_validate(
                {
                    "meter": meter.name, "label": {"zh": meter.label_zh, "en": meter.label_en},
                    "role": meter.role, "today_l": one.today_l,
                    "yesterday_same_time_l": one.yesterday_same_time_l, "yesterday_l": one.yesterday_l,
                    "until": one.until, "register_ml": one.register_ml,
                }
            )
            for meter, one in rows
        ],
    )  # fmt: skip


def _meter_today(context: ApiContext, site: str, meter: str, bounds: DayBounds) -> WaterToday:
    start = bounds.yesterday - _REACH_BACK
    points = context.series.water_readings(site, meter, start, bounds.now + timedelta(seconds=1))
    return water_today(points, bounds)


def _quarter_hours(
    context: ApiContext, site: str, meters: Sequence[Meter], approved: set[str], start: datetime, end: datetime,
    now: datetime,
) -> WaterHoursOut:  # fmt: skip
    masters = [one.name for one in meters if one.role == "master"]
    others = [one.name for one in meters if one.role != "master"]
    for names_, total_from in ((masters, "master"), (others, "sum")):
        sums: dict[datetime, list[float]] = defaultdict(list)
        readings: dict[datetime, int] = defaultdict(int)
        for name in names_:
            for one in water_hours(context.series, site, name, start, end, now):
                readings[one.t] += one.readings
                if one.volume_l is not None:
                    sums[one.t].append(one.volume_l)
        if sums:
            return WaterHoursOut(
                site=site, indicative=not set(names_) <= approved, meter=None,
                total_from="master" if total_from == "master" else "sum",
                hours=[
                    WaterHourOut(t=t, volume_l=sum(sums[t]) if t in sums else None, readings=count, flags=[],
                                 revision=0)
                    for t, count in sorted(readings.items())
                ],
            )  # fmt: skip
    return WaterHoursOut(site=site, indicative=True, meter=None, total_from="none", hours=[])


def _sum_all(values: Sequence[float | None]) -> float | None:
    known = [one for one in values if one is not None]
    return sum(known) if values and len(known) == len(values) else None
