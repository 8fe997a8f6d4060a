"""Noise: series for charts, seconds, hours, days and nights."""

from __future__ import annotations

from datetime import date, datetime, timedelta
from typing import Annotated, Final, Literal

import msgspec
from fastapi import APIRouter, Query, Request, Response
from pydantic import Field

from analysis.days import NoiseDay, PeriodLevel, noise_days
from analysis.exclusions import cut_hours, spans_of
from analysis.limits import site_clock
from analysis.validity import Validity, why_not
from api import registry_reads as reads
from api.cache import caches_of
from api.context import ApiContext
from api.guard import Context
from api.hours import noise_hours, whole_hours
from api.noise_steps import LimitStep, limit_steps, step_for
from api.problems import documented
from api.schemas import LimitRowOut, Out, limit_row_out
from api.times import End, FirstDay, LastDay, SiteName, Start, dates_of, range_of
from contract.flags import NoiseFlag
from store.registry.models import Device, Site
from store.series.interface import LevelPoint, NoiseHour, SecondsTable

router = APIRouter(tags=["noise"], prefix="/noise")

_DAY: Final = timedelta(days=1)
_SECONDS_PAGE: Final = 20_000
_TREND_STEP_S: Final = 600
_MOST_ASKED: Final = 20_000
"""Points at most where a step is asked for: a finer one is coarsened."""
DeviceName = Annotated[str, Query(description="Noise device.", max_length=32, examples=["east-gate"])]


class LimitStepOut(Out):
    """The limit over part of the range."""

    start: datetime
    end: datetime
    period: Literal["day", "night"]
    value_db: float = Field(examples=[55.0])


class SeriesOut(Out):
    """A level series in columns of one length. A step without any data is left out; one without valid time is null."""

    site: str
    device: str
    indicative: bool
    start: datetime
    end: datetime
    step_s: int = Field(examples=[60])
    limits: list[LimitStepOut]
    t: list[datetime]
    laeq_db: list[float | None]
    lafmax_db: list[float | None]
    valid_share: list[float]


class SecondsOut(Out):
    """Seconds as stored, in columns of one length. `next` is the start of the next page, null on the last."""

    site: str
    device: str
    indicative: bool
    t: list[datetime]
    laeq_db: list[float]
    lafmax_db: list[float]
    lafmin_db: list[float]
    laf_db: list[float]
    lceq_db: list[float | None]
    lcpeak_db: list[float | None]
    measured_ms: list[int]
    flags: list[int] = Field(description="Bits of `flag_names`, lowest first.")
    flag_names: list[str]
    next: datetime | None


class HourOut(Out):
    """One hour. LN is the level exceeded for N % of the valid time. Levels are null without valid time."""

    t: datetime
    laeq_db: float | None = Field(examples=[47.312])
    l5_db: float | None
    l10_db: float | None
    l50_db: float | None
    l90_db: float | None
    l95_db: float | None
    lafmax_db: float | None
    lafmin_db: float | None
    sd_db: float | None
    valid_s: float
    valid_share: float
    measured_s: float
    seconds: int = Field(description="Seconds that are stored.", examples=[3600])
    ln_from: Literal["histogram", "seconds", "none"]
    excluded_s: dict[str, float] = Field(description="Measured seconds with each validity flag.")
    revision: int = Field(description="0 where computed just now from the seconds.")
    limit_db: float
    period: Literal["day", "night"]
    not_counted: str = Field(
        description="Why the hour does not count for Ld or Ln (`rain`, `wind`, `gap`, `overload` …); empty if it does."
    )


class HoursOut(Out):
    """The hours of a range."""

    site: str
    device: str
    indicative: bool
    hours: list[HourOut]


class PeriodOut(Out):
    """A day's Ld or a night's Ln, judged by GB 3096-2008."""

    laeq_db: float | None
    valid_share: float
    hours_counted: int
    hours: int
    limit_db: float
    margin_db: float | None
    verdict: Literal["pass", "fail", "incomplete"]
    reason: Literal["", "no_data", "too_few_valid_hours", "not_over"]


class DayOut(Out):
    """One date: its day, and the night that begins on it: a night belongs to the date on which it begins."""

    date: date
    day: PeriodOut
    night: PeriodOut
    ldn_db: float | None = Field(
        description="Over 16 h of day and 8 h of night; null unless both are complete."
    )
    lden_db: float | None = Field(description="Of Directive 2002/49/EC.")


class DaysOut(Out):
    """Days and nights of a range."""

    site: str
    device: str
    indicative: bool
    day_limit: LimitRowOut
    night_limit: LimitRowOut
    days: list[DayOut]


class TrendOut(Out):
    """The quarter's loudest source in each step: what a small picture of the last day shows."""

    site: str
    indicative: bool
    start: datetime
    end: datetime
    step_s: int
    limits: list[LimitStepOut]
    t: list[datetime]
    laeq_db: list[float | None]


@router.get(
    "/series", summary="Levels of a range, thinned out", response_model=SeriesOut,
    responses=documented(401, 404, 422, 503),
)  # fmt: skip
def get_noise_series(
    context: Context, site: SiteName, device: DeviceName, start: Start = None, end: End = None,
    step_s: Annotated[int | None, Query(ge=1, le=86_400, description="Step; chosen for the range without it.")] = None,
) -> Response:  # fmt: skip
    """Return energetic averages and highest LAFmax per step, with the limit's line over the range."""
    row, measured = site_and_device(context, site, device)
    span = range_of(start, end, context.clock.now(), usual=_DAY, longest=timedelta(days=400))
    step = (
        max(step_s or 0, step_for(span.seconds))
        if step_s is None
        else max(step_s, step_for(span.seconds, 20_000))
    )
    points = _points(context, site, device, span.start, span.end, step)
    return _json(
        {
            **_head(measured), "start": span.start, "end": span.end, "step_s": step,
            "limits": limit_steps(row, span.start, span.end),
            "t": [one.t for one in points],
            "laeq_db": [one.laeq_db for one in points],
            "lafmax_db": [one.lafmax_db for one in points],
            "valid_share": [one.valid_share for one in points],
        }
    )  # fmt: skip


@router.get(
    "/seconds",
    summary="Seconds as stored",
    response_model=SecondsOut,
    responses=documented(401, 404, 422, 503),
)
def get_noise_seconds(
    context: Context, site: SiteName, device: DeviceName, start: Start = None, end: End = None,
    limit: Annotated[int, Query(ge=1, le=_SECONDS_PAGE)] = 3600,
) -> Response:  # fmt: skip
    """Return a page of seconds, invalid ones included; ask for the next one with ``start`` = ``next``."""
    _, measured = site_and_device(context, site, device)
    span = range_of(start, end, context.clock.now(), usual=timedelta(minutes=10), longest=timedelta(days=31))
    table = context.series.noise_seconds(site, device, span.start, span.end, limit=limit + 1)
    return _json({**_head(measured), **_seconds_page(table, limit)})


@router.get("/hours", summary="Hours: LAeq, LN, maximum", responses=documented(401, 404, 422, 503))
def get_noise_hours(
    context: Context, site: SiteName, device: DeviceName, start: Start = None, end: End = None
) -> HoursOut:
    """Return whole hours. Up to 50 hours are computed from what is stored at this moment.

    Rain and wind of the quarter's weather station, and what people left out, are left out here too.
    """
    row, measured = site_and_device(context, site, device)
    now = context.clock.now()
    span = range_of(start, end, now, usual=_DAY, longest=timedelta(days=100))
    since, until = whole_hours(span.start, span.end)
    hours = noise_hours(context.series, site, device, since, until, now)
    with context.registry.reader() as session:
        left_out = spans_of(session, context.series, site, since, until)
    least_share = Validity.of(row).hour_share
    return HoursOut(
        site=site, device=device, indicative=not measured.type_approved,
        hours=[_hour_out(row, one, least_share) for one in cut_hours(context.series, hours, left_out)],
    )  # fmt: skip


@router.get("/days", summary="Days and nights: Ld, Ln and verdicts", responses=documented(401, 404, 422, 503))
def get_noise_days(
    request: Request, context: Context, site: SiteName, device: DeviceName,
    first: FirstDay = None, last: LastDay = None,
) -> DaysOut:  # fmt: skip
    """Return Ld and Ln of each date with their verdict by GB 3096-2008. A night belongs to the date it begins on."""
    row, measured = site_and_device(context, site, device)
    clock, now = site_clock(row), context.clock.now()
    since, until = dates_of(first, last, clock.local(now).date(), usual_days=30, longest_days=400)
    cache = caches_of(request).days
    days = cache.get((site, device, since, until), lambda: _days(context, row, device, since, until))
    return DaysOut(
        site=site, device=device, indicative=not measured.type_approved,
        day_limit=limit_row_out(days[-1].day.limit), night_limit=limit_row_out(days[-1].night.limit),
        days=[_day_out(one) for one in days],
    )  # fmt: skip


def _days(context: ApiContext, site: Site, device: str, first: date, last: date) -> list[NoiseDay]:
    clock = site_clock(site)
    start, end = clock.midnight(first), clock.midnight(last + 2 * _DAY)
    with context.registry.reader() as session:
        left_out = spans_of(session, context.series, site.name, start, end)
    return noise_days(
        context.series, clock, site, device, first, last, now=context.clock.now(), exclusions=left_out
    )


@router.get("/trend", summary="The quarter's last 24 hours in small", responses=documented(401, 404, 503))
def get_noise_trend(request: Request, context: Context, site: SiteName) -> TrendOut:
    """Return the level of the loudest source in steps of ten minutes."""
    with context.registry.reader() as session:
        row = reads.one_site(session, site)
        devices = reads.noise_devices(session, site).get(site, [])
    cache = caches_of(request).trends
    points, start, end = cache.get(site, lambda: _trend(context, site, [one.name for one in devices]))
    return TrendOut(
        site=site, indicative=any(not one.type_approved for one in devices), start=start, end=end,
        step_s=_TREND_STEP_S, limits=[_step_out(one) for one in limit_steps(row, start, end)],
        t=[t for t, _ in points], laeq_db=[level for _, level in points],
    )  # fmt: skip


def _trend(
    context: ApiContext, site: str, devices: list[str]
) -> tuple[list[tuple[datetime, float | None]], datetime, datetime]:
    end = context.clock.now()
    start = end - _DAY
    loudest: dict[datetime, float | None] = {}
    for device in devices:
        for one in context.series.noise_series(site, device, start, end, step_s=_TREND_STEP_S):
            known = loudest.get(one.t)
            if one.laeq_db is not None and (known is None or one.laeq_db > known):
                loudest[one.t] = one.laeq_db
            else:
                loudest.setdefault(one.t, None)
    return sorted(loudest.items()), start, end


def site_and_device(context: ApiContext, site: str, name: str) -> tuple[Site, Device]:
    """Return a site and its device or raise the problem "not found"."""
    with context.registry.reader() as session:
        return reads.one_site(session, site), reads.one_device(session, site, name)


def _points(
    context: ApiContext, site: str, device: str, start: datetime, end: datetime, step_s: int
) -> list[LevelPoint]:
    if step_s == 3600 and end - start > timedelta(days=4):
        since, until = whole_hours(start, end)
        hours = noise_hours(context.series, site, device, since, until, context.clock.now())
        return [LevelPoint(one.t, one.laeq_db, one.lafmax_db, one.valid_share) for one in hours]
    return context.series.noise_series(site, device, start, end, step_s=step_s)


def _head(device: Device) -> dict[str, object]:
    return {"site": device.site, "device": device.name, "indicative": not device.type_approved}


def _seconds_page(table: SecondsTable, limit: int) -> dict[str, object]:
    more = len(table.t) > limit
    columns = {key: list(getattr(table, key))[:limit] for key in SecondsTable.__slots__}
    return {
        **columns,
        "flag_names": [str(one.name).lower() for one in NoiseFlag],
        "next": table.t[limit] if more else None,
    }


def _hour_out(site: Site, one: NoiseHour, least_share: float) -> HourOut:
    (limit, *_) = limit_steps(site, one.t, one.t + timedelta(seconds=1))
    return HourOut(
        t=one.t, laeq_db=one.laeq_db, l5_db=one.l5_db, l10_db=one.l10_db, l50_db=one.l50_db, l90_db=one.l90_db,
        l95_db=one.l95_db, lafmax_db=one.lafmax_db, lafmin_db=one.lafmin_db, sd_db=one.sd_db,
        valid_s=one.valid_s, valid_share=one.valid_share, measured_s=one.measured_s, seconds=one.seconds,
        ln_from=one.ln_from, excluded_s=dict(one.excluded_s), revision=one.revision,
        limit_db=limit.value_db, period=limit.period, not_counted=why_not(one, least_share),
    )  # fmt: skip


def _day_out(one: NoiseDay) -> DayOut:
    return DayOut(
        date=one.date, day=_period_out(one.day), night=_period_out(one.night), ldn_db=one.ldn_db,
        lden_db=one.lden_db,
    )  # fmt: skip


def _period_out(one: PeriodLevel) -> PeriodOut:
    return PeriodOut(
        laeq_db=one.laeq_db, valid_share=one.valid_share, hours_counted=one.hours_counted, hours=one.hours,
        limit_db=one.limit.value, margin_db=None if one.laeq_db is None else one.laeq_db - one.limit.value,
        verdict=one.verdict, reason=one.reason,
    )  # fmt: skip


def _step_out(one: LimitStep) -> LimitStepOut:
    return LimitStepOut(start=one.start, end=one.end, period=one.period, value_db=one.value_db)


def _json(body: object) -> Response:
    """Encode columns: ten times as fast as through models, whose shape the tests hold it to."""
    return Response(msgspec.json.encode(body), media_type="application/json")
