"""The record of a source check that a case file needs: who, where, when, with what, and every step to the verdict."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import msgspec
from sqlalchemy.orm import Session

from analysis.exclusions import spans_of
from analysis.limits import site_clock
from analysis.source_bands import BandResult, check_bands, whole_minutes
from analysis.source_check import (
    CheckImpossible,
    CheckResult,
    Measured,
    NightNoise,
    Rooms,
    Standard,
    Where,
    check,
    measure,
)
from analysis.standard_rows import BandLimitRow, CorrectionRow
from analysis.standards import standards
from contract.sitetime import Period
from store.registry.models import Device, Site, SourceCheck
from store.series.interface import EventRow, SeriesStore

_EVER: Final = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class CheckRequest:
    """What a person asks for: the times with the source on and off (UTC), what the source is, and the standard."""

    site: str
    device: str
    suspect: str
    on: tuple[tuple[datetime, datetime], ...]
    off: tuple[tuple[datetime, datetime], ...]
    standard: Standard
    zone_class: str
    where: Where = "boundary"
    night_noise: NightNoise | None = None
    note: str = ""


def run_check(
    session: Session, series: SeriesStore, request: CheckRequest, *, who: str, now: datetime
) -> SourceCheck:
    """Measure, judge and keep the record. Raises ``CheckImpossible`` with what to do.

    All times must lie in the same period, day or night, since it decides the limit.
    """
    site = session.get(Site, request.site)
    device = session.get(Device, (request.site, request.device))
    if site is None or device is None:
        raise CheckImpossible(f"there is no device {request.device!r} at {request.site!r}")
    if not request.on or not request.off:
        raise CheckImpossible("a check needs at least one time with the source on and one with it off")
    if any(end <= start for start, end in (*request.on, *request.off)):
        raise CheckImpossible("every window must end after it starts")
    period = _one_period(site, request)
    _demand_dry(session, series, request)
    on, off = (
        measure(series, request.site, request.device, windows) for windows in (request.on, request.off)
    )
    result = check(
        on, off, standard=request.standard, zone_class=request.zone_class, period=period, where=request.where,
        night_noise=request.night_noise,
    )  # fmt: skip
    row = SourceCheck(
        site=request.site, device=request.device, made_at=now, made_by=who, asked=_plain(asdict(request)),
        result=_record(series, request, device, period, on, off, result, _bands(series, request, period)),
    )  # fmt: skip
    session.add(row)
    session.flush()
    return row


def _one_period(site: Site, request: CheckRequest) -> Period:
    clock = site_clock(site)
    second = timedelta(seconds=1)
    moments = (t for start, end in (*request.on, *request.off) for t in (start, end - second))
    periods: set[Period] = {clock.period(t) for t in moments}
    if len(periods) != 1:
        raise CheckImpossible("the times lie partly in the day and partly in the night: check each by itself")
    return periods.pop()


def _demand_dry(session: Session, series: SeriesStore, request: CheckRequest) -> None:
    """Refuse times that do not count: rain, wind, or what was left out by hand (GB 12348-2008, GB 22337-2008)."""
    for start, end in (*request.on, *request.off):
        for span in spans_of(session, series, request.site, start, end):
            if span.source in (None, request.device) and span.start < end and span.end > start:
                raise CheckImpossible(
                    f"from {span.start:%Y-%m-%d %H:%M} UTC on measurements do not count ({span.reason}): "
                    "choose times without rain and strong wind"
                )


def _bands(series: SeriesStore, request: CheckRequest, period: Period) -> list[BandResult]:
    """Judge the octave bands of a room, as far as both spectra are there."""
    if request.where not in Rooms:
        return []
    name = f"{request.standard}.indoor_bands.class{request.zone_class}.{request.where}.{period}"
    table = standards().get(f"{request.standard}.background", CorrectionRow)
    on, off = (
        [
            one
            for start, end in windows
            for one in whole_minutes(
                series.spectrum(request.site, request.device, start, end), ((start, end),)
            )
        ]
        for windows in (request.on, request.off)
    )
    return check_bands(on, off, standards().get(name, BandLimitRow), table)


def _record(
    series: SeriesStore, request: CheckRequest, device: Device, period: Period, on: Measured, off: Measured,
    result: CheckResult, bands: list[BandResult],
) -> dict[str, Any]:  # fmt: skip
    first = min(start for start, _ in (*request.on, *request.off))
    calibrations = series.events(
        _EVER, first, site=request.site, device=request.device, kind="calibration", limit=1
    )
    return _plain(
        {
            **asdict(result),
            "limit": result.limit,
            "max_limit": result.max_limit,
            "correction_source": result.correction_source,
            "period": period,
            "on": asdict(on),
            "off": asdict(off),
            "bands": [asdict(one) for one in bands],
            "calibration": _calibration(calibrations),
            "type_approved": device.type_approved,
            "indicative": not device.type_approved,
        }
    )


def _calibration(events: list[EventRow]) -> dict[str, Any] | None:
    return {"t": events[0].t, "detail": dict(events[0].detail)} if events else None


def _plain(value: Any) -> Any:
    """Return what JSON can hold, times in ISO 8601."""
    return msgspec.json.decode(msgspec.json.encode(value))
