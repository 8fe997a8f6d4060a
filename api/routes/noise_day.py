"""One date in full: levels, the hours that count and those that do not, and every limit that it is judged by."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import date, datetime, timedelta
from typing import Annotated, Literal

from fastapi import APIRouter, Query
from pydantic import Field

from analysis.compliance import Finding, findings, judge, preset_rows
from analysis.days import NoiseDay, PeriodLevel, noise_days
from analysis.exclusions import spans_of
from analysis.limits import site_clock
from api.context import ApiContext
from api.guard import Context
from api.problems import documented, invalid
from api.routes.noise import DeviceName, site_and_device
from api.schemas import INDICATIVE, LimitRowOut, Out, limit_row_out
from api.times import Day, SiteName
from contract.sitetime import SiteClock
from store.registry.models import Site

router = APIRouter(tags=["noise"], prefix="/noise")

_DAY = timedelta(days=1)
_MOST_EVENTS = 10_000


class UncountedHourOut(Out):
    """An hour that does not count for Ld or Ln, and why."""

    t: datetime
    reason: str = Field(
        description="`no_data`, `gap` (not measured), or what took most of the lost time: `rain`, `wind`, `snow`, "
        "`lightning`, `overload`, `calibrating`, `clock_unsynced`, `other` …",
        examples=["rain"],
    )


class PeriodDetailOut(Out):
    """Levels of a day or night over the hours that count, dB; null where nothing counts."""

    laeq_db: float | None = Field(examples=[47.31])
    l5_db: float | None
    l10_db: float | None
    l50_db: float | None
    l90_db: float | None
    l95_db: float | None
    sd_db: float | None = Field(description="Standard deviation of the LAF samples (HJ 640).")
    lafmax_db: float | None = Field(description="Over all valid time, also of hours that do not count.")
    lafmin_db: float | None
    valid_share: float
    hours_counted: int
    hours: int
    reason: Literal["", "no_data", "too_few_valid_hours", "not_over"]
    uncounted: list[UncountedHourOut]
    sound_events: int = Field(description="Loud single events that the device reported.")


class FindingOut(Out):
    """One quantity against one limit. `shown_db` is `measured_db` rounded as the limit wants it."""

    limit: LimitRowOut
    measured_db: float | None
    shown_db: float | None
    verdict: Literal["pass", "fail", "incomplete"]
    reason: str


class NoiseDayOut(Out):
    """One date: its day, and the night that begins on it.

    A night belongs to the date on which it begins. `ldn_db` is over the Chinese day and night (16 h and 8 h); `lden_db`
    and `lnight_db` are those of Directive 2002/49/EC, from the date's 07:00 on.
    """

    site: str
    device: str
    date: date
    indicative: bool = Field(description=INDICATIVE)
    day_start: datetime
    night_start: datetime
    night_end: datetime
    day: PeriodDetailOut
    night: PeriodDetailOut
    ldn_db: float | None
    lden_db: float | None
    lnight_db: float | None
    findings: list[FindingOut]


@router.get("/day", summary="One date in full, with every verdict", responses=documented(401, 404, 422, 503))
def get_noise_day(
    context: Context, site: SiteName, device: DeviceName,
    on: Annotated[Day | None, Query(alias="date", description="The date (the site's); without it yesterday.")] = None,
    also: Annotated[
        list[str] | None,
        Query(description="Further presets to judge by: beginnings of their ids.", max_length=20, examples=[["who."]]),
    ] = None,
) -> NoiseDayOut:  # fmt: skip
    """Judge a date by the site's limits, the night's maximum, the presets that the site names, and those asked for.

    A night belongs to the date on which it begins. Only whole days and nights with enough valid hours get a verdict.
    """
    row, measured = site_and_device(context, site, device)
    clock = site_clock(row)
    day = on or clock.local(context.clock.now()).date() - _DAY
    one = _judged_day(context, row, clock, device, day)
    found = findings(one, row) + _asked_for(one, also or (), day)
    known = {finding.row.id: finding for finding in found}
    (day_start, night_start), (_, night_end) = clock.day_bounds(day), clock.night_bounds(day)
    return NoiseDayOut(
        site=site, device=device, date=day, indicative=not measured.type_approved,
        day_start=day_start, night_start=night_start, night_end=night_end,
        day=_detail(one.day, _events(context, site, device, day_start, night_start)),
        night=_detail(one.night, _events(context, site, device, night_start, night_end)),
        ldn_db=one.ldn_db, lden_db=one.lden_db, lnight_db=one.lnight_db,
        findings=[_finding_out(finding) for finding in known.values()],
    )  # fmt: skip


def _judged_day(context: ApiContext, site: Site, clock: SiteClock, device: str, day: date) -> NoiseDay:
    with context.registry.reader() as session:
        start, end = clock.midnight(day), clock.midnight(day + 2 * _DAY)
        left_out = spans_of(session, context.series, site.name, start, end)
    (one,) = noise_days(
        context.series, clock, site, device, day, day, now=context.clock.now(), exclusions=left_out
    )
    return one


def _asked_for(one: NoiseDay, prefixes: Iterable[str], day: date) -> list[Finding]:
    found: list[Finding] = []
    for prefix in prefixes:
        rows = preset_rows([prefix], day) if prefix else []
        if not rows:
            raise invalid("query.also", f"no preset that a day is judged by begins with {prefix!r} on {day}")
        found += [judge(one, row) for row in rows]
    return found


def _events(context: ApiContext, site: str, device: str, start: datetime, end: datetime) -> int:
    found = context.series.events(
        start, end, site=site, device=device, kind="sound_event", limit=_MOST_EVENTS
    )
    return len(found)


def _detail(one: PeriodLevel, sound_events: int) -> PeriodDetailOut:
    stats = one.stats
    return PeriodDetailOut(
        laeq_db=stats.laeq_db, l5_db=stats.l5_db, l10_db=stats.l10_db, l50_db=stats.l50_db, l90_db=stats.l90_db,
        l95_db=stats.l95_db, sd_db=stats.sd_db, lafmax_db=stats.lafmax_db, lafmin_db=stats.lafmin_db,
        valid_share=stats.valid_share, hours_counted=stats.hours_counted, hours=stats.hours, reason=one.reason,
        uncounted=[UncountedHourOut(t=hour.t, reason=hour.reason) for hour in stats.uncounted],
        sound_events=sound_events,
    )  # fmt: skip


def _finding_out(one: Finding) -> FindingOut:
    return FindingOut(
        limit=limit_row_out(one.row), measured_db=one.measured_db, shown_db=one.shown_db, verdict=one.verdict,
        reason=one.reason,
    )  # fmt: skip
