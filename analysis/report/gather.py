"""Collect the facts of a report, by the same functions of ``analysis`` that answer the API. Reads, never writes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Final

from sqlalchemy import or_, select
from sqlalchemy.orm import Session

from analysis.calibrations import newest_calibration
from analysis.compliance import findings
from analysis.days import noise_days
from analysis.exclusions import Span, cut_hours, spans_of
from analysis.leaks.began import began
from analysis.limits import site_clock
from analysis.patterns import day_profile
from analysis.report.facts import (
    AlertFacts,
    InstrumentFacts,
    QuarterFacts,
    RuleFacts,
    SourceFacts,
)
from analysis.report.gather_water import gather_water
from analysis.report.period import Period
from analysis.report.presets import presets_used
from analysis.rules.catalog import new_kinds
from analysis.rules.edit import effective
from analysis.rules.kinds import kind_of, parse_params
from analysis.site_settings import settings_of
from analysis.validity import Validity
from analysis.workdays import is_workday
from contract.sitetime import SiteClock
from store.registry.models import Alert, Device, DeviceState, Meter, Rule, RuleVersion, Site
from store.series.interface import NoiseHour, SeriesStore

MOST_ALERTS: Final = 5_000
_NOISE_KINDS: Final = ("noise", "both")
_DAY: Final = timedelta(days=1)
_OF_ALL: Final = ("restart", "clock_step", "readings_dropped")
_OF_NOISE: Final = ("gap", "source_lost", "overload")
_OF_METERS: Final = ("meter_silent", "tamper")
_COUNTED_EVENTS: Final = {
    "noise": (*_OF_ALL, *_OF_NOISE),
    "gateway": (*_OF_ALL, *_OF_METERS),
    "both": (*_OF_ALL, *_OF_NOISE, *_OF_METERS),
}
_MOST_EVENTS: Final = 10_000


def gather_quarter(
    series: SeriesStore,
    session: Session,
    site: Site,
    period: Period,
    now: datetime,
    *,
    with_hours: bool = True,
) -> QuarterFacts:
    """Collect everything about a quarter in a period.

    ``with_hours`` false leaves the hour rows out once the days are made, as a report on many quarters needs.
    Raises ``StoreUnavailable``.
    """
    clock, settings = site_clock(site), settings_of(site)
    start, end = clock.midnight(period.first), clock.midnight(period.last + 2 * _DAY)
    left_out = spans_of(session, series, site.name, start, end)
    states = {
        row.device: row for row in session.scalars(select(DeviceState).where(DeviceState.site == site.name))
    }
    instruments = [_instrument(series, clock, one, states, period) for one in _devices(session, site.name)]
    sources = tuple(
        _source(series, clock, site, one, period, now, left_out, with_hours)
        for one in instruments
        if one.kind in _NOISE_KINDS
    )
    meters = list(session.scalars(select(Meter).where(Meter.site == site.name).order_by(Meter.name)))
    alerts = _alerts(session, site.name, start, clock.midnight(period.last + _DAY))
    water = gather_water(series, site, meters, period, now) if meters else None
    return QuarterFacts(
        site=site, clock=clock, settings=settings, validity=Validity.of(site), period=period, data_until=now,
        sources=sources, others=tuple(one for one in instruments if one.kind not in _NOISE_KINDS),
        alerts=tuple(alerts[:MOST_ALERTS]), alerts_left_out=max(0, len(alerts) - MOST_ALERTS), water=water,
        rules=_rules(session, site.name, start, clock.midnight(period.last + _DAY)),
        presets=presets_used(settings, sources, water), left_out=tuple(left_out),
    )  # fmt: skip


def _devices(session: Session, site: str) -> Sequence[Device]:
    return session.scalars(
        select(Device).where(Device.site == site, Device.enabled).order_by(Device.name)
    ).all()


def _instrument(
    series: SeriesStore, clock: SiteClock, device: Device, states: Mapping[str, DeviceState], period: Period
) -> InstrumentFacts:
    start, end = clock.midnight(period.first), clock.midnight(period.last + _DAY)
    counts: Counter[str] = Counter()
    for kind in _COUNTED_EVENTS[device.kind]:
        found = series.events(start, end, site=device.site, device=device.name, kind=kind, limit=_MOST_EVENTS)
        counts[kind] = len(found)
    state = states.get(device.name)
    return InstrumentFacts(
        name=device.name, label_zh=device.label_zh, label_en=device.label_en, kind=device.kind,
        type_approved=device.type_approved, version=str((state.status if state else {}).get("version", "")),
        state=state.state if state else "", calibration=newest_calibration(series, device, end), events=counts,
    )  # fmt: skip


def _source(
    series: SeriesStore, clock: SiteClock, site: Site, device: InstrumentFacts, period: Period, now: datetime,
    left_out: Sequence[Span], with_hours: bool,
) -> SourceFacts:  # fmt: skip
    days = noise_days(
        series, clock, site, device.name, period.first, period.last, now=now, exclusions=left_out
    )
    judged = [finding for day in days for finding in findings(day, site)[2:]]
    start, end = clock.midnight(period.first), clock.night_bounds(period.last)[1]
    stored = series.noise_rollups(start, end, site=site.name, source=device.name)
    since = clock.day_bounds(period.first)[0]
    seconds = sum(row.seconds for row in stored if row.t >= since)
    revision = max((row.revision for row in stored), default=0)
    if not with_hours:
        return SourceFacts(device, tuple(days), (), tuple(judged), (), (), seconds, revision)
    rows = cut_hours(series, stored, left_out)
    within = [row for row in rows if row.t < clock.midnight(period.last + _DAY)]
    works = settings_of(site).country
    return SourceFacts(
        device=device, days=tuple(days), hours=tuple(_without_histogram(row) for row in rows),
        findings=tuple(judged),
        workdays=tuple(day_profile(within, clock, lambda day: is_workday(day, works))),
        restdays=tuple(day_profile(within, clock, lambda day: not is_workday(day, works))),
        seconds=seconds, revision=revision,
    )  # fmt: skip


def _without_histogram(row: NoiseHour) -> NoiseHour:
    return replace(row, laf_bins=(), laf_counts=())


def _alerts(session: Session, site: str, start: datetime, end: datetime) -> list[AlertFacts]:
    """Return the alerts that were told to somebody and open within the period, oldest first."""
    rows = session.scalars(
        select(Alert)
        .where(
            Alert.site == site, Alert.state.not_in(("pending", "cancelled")), Alert.pending_since < end,
            or_(Alert.resolved_at.is_(None), Alert.resolved_at >= start),
        )
        .order_by(Alert.pending_since, Alert.id)
    )  # fmt: skip
    named: dict[str, tuple[str, str]] = {}
    for kind in (Meter, Device):
        for one in session.scalars(select(kind).where(kind.site == site)):
            named[one.name] = (one.label_zh, one.label_en)
    return [_alert(row, *named.get(row.source, (row.source, row.source))) for row in rows]


def _alert(row: Alert, zh: str, en: str) -> AlertFacts:
    return AlertFacts(
        id=row.id, kind=row.rule_kind, source_zh=zh, source_en=en, severity=row.severity, state=row.state,
        since=began(row.detail, row.pending_since), until=row.resolved_at, peak=row.peak_value, limit=row.limit,
        acknowledged_at=row.acknowledged_at, acknowledged_by=row.acknowledged_by,
    )  # fmt: skip


def _rules(session: Session, site: str, start: datetime, end: datetime) -> tuple[RuleFacts, ...]:
    """Return the rules as they were at ``end``; one that was made later is left out."""
    found: list[RuleFacts] = []
    kinds = new_kinds()
    for rule in session.scalars(select(Rule).where(Rule.site == site).order_by(Rule.kind, Rule.id)):
        versions = session.scalars(
            select(RuleVersion).where(RuleVersion.rule_id == rule.id).order_by(RuleVersion.version)
        ).all()
        then = [one for one in versions if one.at < end]
        if versions and not then:
            continue
        at = then[-1] if then else rule
        try:
            params = effective(parse_params(kind_of(kinds, rule.kind, "rule"), at.params, "rule"))
        except ValueError:  # a rule that today's code does not know is shown as it is stored
            params = dict(at.params)
        changes = sum(1 for one in then if one.at >= start and one.version > 1)
        found.append(RuleFacts(rule.id, rule.kind, at.enabled, at.version, params, changes))
    return tuple(found)
