"""Noise over a longer time: the profile of the day, and the spectrum."""

from __future__ import annotations

from datetime import date, timedelta
from typing import Final

from fastapi import APIRouter
from pydantic import Field

from analysis.exclusions import cut_hours, spans_of
from analysis.limits import period_limit, site_clock
from analysis.patterns import ProfileHour, day_profile, mean_spectrum
from analysis.site_settings import settings_of
from analysis.workdays import is_workday
from api.guard import Context
from api.problems import documented
from api.routes.noise import DeviceName, site_and_device
from api.schemas import Out
from api.times import End, FirstDay, LastDay, SiteName, Start, dates_of, range_of
from store.registry.models import Site

router = APIRouter(tags=["noise"], prefix="/noise")

_LONGEST_SPECTRUM: Final = timedelta(days=2)


class ProfileHourOut(Out):
    """One hour of the day."""

    hour: int = Field(examples=[7])
    laeq_db: float | None = Field(description="Energy mean over the dates.", examples=[51.2])
    l10_db: float | None = Field(description="Of the merged histograms of LAF.")
    l50_db: float | None
    l90_db: float | None
    hours: int = Field(description="Hours that counted (valid for 75 % or more).", examples=[21])


class ProfileOut(Out):
    """The day of a device over many dates, working days and days of rest apart."""

    site: str
    device: str
    indicative: bool
    first: date
    last: date
    day_limit_db: float
    night_limit_db: float
    day_starts_h: int
    night_starts_h: int
    workdays: list[ProfileHourOut]
    restdays: list[ProfileHourOut]


class BandOut(Out):
    """One 1/3-octave band, unweighted."""

    band: int = Field(description="IEC band number; 30 is 1 kHz.", examples=[30])
    nominal_hz: float = Field(examples=[1000.0])
    leq_db: float = Field(examples=[38.4])


class SpectrumOut(Out):
    """The mean spectrum of a range over the minutes that count."""

    site: str
    device: str
    indicative: bool
    minutes: int
    bands: list[BandOut]


@router.get("/profile", summary="The day of a device, hour by hour", responses=documented(401, 404, 422, 503))
def get_noise_profile(
    context: Context, site: SiteName, device: DeviceName, first: FirstDay = None, last: LastDay = None
) -> ProfileOut:
    """Return the mean day over a range of dates from the stored hours. Working days are those of the site's country."""
    row, measured = site_and_device(context, site, device)
    clock = site_clock(row)
    today = clock.local(context.clock.now()).date()
    since, until = dates_of(first, last, today, usual_days=30, longest_days=120)
    start, end = clock.midnight(since), clock.midnight(until + timedelta(days=1))
    with context.registry.reader() as session:
        left_out = spans_of(session, context.series, site, start, end)
    rows = context.series.noise_rollups(start, end, site=site, source=device)
    hours = cut_hours(context.series, rows, left_out)
    return ProfileOut(
        site=site, device=device, indicative=not measured.type_approved, first=since, last=until,
        day_limit_db=period_limit(row, "day", until).value, night_limit_db=period_limit(row, "night", until).value,
        day_starts_h=row.day_starts_h, night_starts_h=row.night_starts_h,
        workdays=[_hour_out(one) for one in day_profile(hours, clock, lambda day: _works(row, day))],
        restdays=[_hour_out(one) for one in day_profile(hours, clock, lambda day: not _works(row, day))],
    )  # fmt: skip


@router.get("/spectrum", summary="Mean 1/3-octave spectrum", responses=documented(401, 404, 422, 503))
def get_noise_spectrum(
    context: Context, site: SiteName, device: DeviceName, start: Start = None, end: End = None
) -> SpectrumOut:
    """Return the energy mean of each band; the last hour unless a range is given."""
    _, measured = site_and_device(context, site, device)
    span = range_of(start, end, context.clock.now(), usual=timedelta(hours=1), longest=_LONGEST_SPECTRUM)
    bands, minutes = mean_spectrum(context.series.spectrum(site, device, span.start, span.end))
    return SpectrumOut(
        site=site, device=device, indicative=not measured.type_approved, minutes=minutes,
        bands=[BandOut(band=one.band, nominal_hz=one.nominal_hz, leq_db=one.leq_db) for one in bands],
    )  # fmt: skip


def _works(site: Site, day: date) -> bool:
    return is_workday(day, settings_of(site).country)


def _hour_out(one: ProfileHour) -> ProfileHourOut:
    return ProfileHourOut(
        hour=one.hour,
        laeq_db=one.laeq_db,
        l10_db=one.l10_db,
        l50_db=one.l50_db,
        l90_db=one.l90_db,
        hours=one.hours,
    )
