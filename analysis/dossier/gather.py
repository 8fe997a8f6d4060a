"""Read what a dossier is made of and put it together; freeze it, and read a frozen one. The thin part."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, datetime, timedelta
from typing import Any, Final

from sqlalchemy import select
from sqlalchemy.orm import Session

from analysis.days import noise_days, water_days
from analysis.dossier import snapshot, survey
from analysis.dossier.assess import assess
from analysis.dossier.entered import entered_facts
from analysis.dossier.entries import KINDS, Entry, Kind, Profile, parse_entry, parse_profile
from analysis.dossier.facts import Evidence, Fact
from analysis.dossier.measured_noise import Point, noise_facts
from analysis.dossier.measured_water import WaterPeriod, water_facts
from analysis.dossier.registers import profile_rows, registers
from analysis.dossier.standard import Override, Programme, Standard, Topic, parse_overrides, standard_of
from analysis.dossier.text import Text
from analysis.dossier.tree import AttachmentLine, Contents, Dossier, Place, SurveyLine, dossier
from analysis.exclusions import spans_of
from analysis.limits import site_clock
from analysis.water import account
from store.registry import dossier as kept
from store.registry.dossier_models import DossierVersion, Survey
from store.registry.models import Device, Meter, Site
from store.series.interface import SeriesStore

USUAL_DAYS: Final = 30
LONGEST_DAYS: Final = 400
_DAY: Final = timedelta(days=1)
_KINDS_OF: Final[dict[Topic, tuple[Kind, ...]]] = {
    "noise": ("complaint", "source", "measure", "rule"),
    "water": ("complaint", "measure", "rule", "appliance"),
}


def usual_period(site: Site, now: datetime) -> tuple[date, date]:
    """Return the last 30 whole dates: the night of the last one is over as well."""
    last = site_clock(site).local(now).date() - 2 * _DAY
    return last - timedelta(days=USUAL_DAYS - 1), last


def present_dossier(
    session: Session, series: SeriesStore, site: Site, programme: Programme, first: date, last: date, now: datetime,
    measured: dict[str, Fact] | None = None,
) -> Dossier:  # fmt: skip
    """Return a quarter's dossier over a period (both dates included) from what is stored at this moment.

    ``measured`` spares the reading of the series where the facts of this very period are at hand.
    """
    standard = standard_of(programme)
    profile, overrides = _profile(session, site.name, standard)
    entries = entries_of(session, site.name)
    surveys = [_survey_line(session, one, now) for one in kept.surveys_of(session, site.name, standard.topic)]
    facts = {
        **(
            measured
            if measured is not None
            else measured_facts(session, series, site, standard.topic, first, last, now)
        ),
        **entered_facts(site.name, entries, profile, first, last),
        **_survey_fact(site, standard.topic, surveys),
    }
    contents = Contents(
        profile_rows(profile),
        registers(entries, _KINDS_OF[standard.topic]),
        tuple(surveys),
        _files(session, site.name),
    )
    place = Place(site.name, Text(site.label_zh, site.label_en), site.district, site.zone_class)
    return dossier(place, assess(standard, facts, overrides), contents, first, last, now)


def measured_facts(
    session: Session, series: SeriesStore, site: Site, topic: Topic, first: date, last: date, now: datetime
) -> dict[str, Fact]:
    """Return the facts that are measured, from the series store."""
    if topic == "noise":
        return noise_facts(site, _points(session, series, site, first, last, now), first, last)
    return water_facts(_water(session, series, site, first, last, now))


def frozen_dossier(version: DossierVersion) -> Dossier:
    """Return what was frozen. Raises :class:`analysis.dossier.snapshot.BrokenSnapshot`."""
    return snapshot.thaw(version.document, version.sha256, version.previous_sha256)


def freeze(session: Session, one: Dossier, *, note: str, who: str, now: datetime) -> DossierVersion:
    """Keep a dossier as the next version, for ever."""
    previous = kept.newest_version(session, one.site, one.programme)
    document, sha256 = snapshot.freeze(one, previous.sha256 if previous else "")
    return kept.keep_version(
        session, one.site, one.programme, document=document, sha256=sha256, previous=previous, score=one.score,
        passed=one.passed, note=note, who=who, now=now,
    )  # fmt: skip


def entries_of(session: Session, site: str) -> list[Entry]:
    """Return all entries of a site, oldest first."""
    rows = reversed(kept.entries_of(session, site))
    return [Entry(row.id, parse_entry(row.kind, row.data)) for row in rows if row.kind in KINDS]


def overrides_of(raw: dict[str, Any], standard: Standard) -> dict[str, Override]:
    """Return what a site's local rule changes of a programme; an indicator that is shipped no more is left out."""
    known = {key: one for key, one in raw.get(standard.id, {}).items() if standard.indicator(key) is not None}
    return parse_overrides(known, standard)


def _profile(session: Session, site: str, standard: Standard) -> tuple[Profile, dict[str, Override]]:
    row = kept.profile_of(session, site)
    if row is None:
        return Profile(), {}
    return parse_profile(row.data), overrides_of(row.overrides, standard)


def _points(
    session: Session, series: SeriesStore, site: Site, first: date, last: date, now: datetime
) -> list[Point]:
    clock = site_clock(site)
    left_out = spans_of(session, series, site.name, clock.midnight(first), clock.midnight(last + 2 * _DAY))
    query = select(Device).where(Device.site == site.name, Device.enabled, Device.kind.in_(("noise", "both")))
    return [
        Point(
            device.name, Text(device.label_zh, device.label_en), device.type_approved,
            noise_days(series, clock, site, device.name, first, last, now=now, exclusions=left_out),
        )
        for device in session.scalars(query.order_by(Device.name))
    ]  # fmt: skip


def _water(
    session: Session, series: SeriesStore, site: Site, first: date, last: date, now: datetime
) -> WaterPeriod:
    clock = site_clock(site)
    meters = list(session.scalars(select(Meter).where(Meter.site == site.name).order_by(Meter.name)))
    start, end = clock.midnight(first), clock.midnight(last + _DAY)
    masters = [one.name for one in meters if one.role == "master"]
    hours = [row for name in masters for row in series.water_rollups(start, end, site=site.name, source=name)]
    row = kept.profile_of(session, site.name)
    profile = parse_profile(row.data) if row else Profile()
    until = min(clock.local(now).date(), date(last.year, 12, 31))
    return WaterPeriod(
        site, meters, water_days(series, clock, site.name, first, last), hours, clock, first, last,
        profile.persons, profile.households, _plan_share(series, site, meters, until),
    )  # fmt: skip


def _plan_share(series: SeriesStore, site: Site, meters: Sequence[Meter], today: date) -> float | None:
    """The probable volume of the year of ``today`` over its plan; ``None`` without a plan or known days enough."""
    if not meters:
        return None
    stands = account.quarter(series, site, meters, today)
    if stands.plan_m3 is None or stands.forecast is None:
        return None
    return stands.forecast.likely_m3 / stands.plan_m3


def _survey_line(session: Session, row: Survey, now: datetime) -> SurveyLine:
    questions = survey.parse_questions(row.questions)
    result = survey.evaluate(questions, kept.answers_of(session, row.id))
    state = "open" if now < row.closes_at else "closed"
    return SurveyLine(row.id, Text(row.title_zh, row.title_en), row.opened_at, row.closes_at, state, result)


def _survey_fact(site: Site, topic: Topic, lines: Sequence[SurveyLine]) -> dict[str, Fact]:
    """The newest survey that anybody answered speaks for the residents."""
    newest = next((one for one in lines if one.result.satisfied_share is not None), None)
    if newest is None:
        return {}
    clock = site_clock(site)
    link = Evidence(
        newest.title, f"/api/v1/sites/{site.name}/dossier/surveys", f"#/dossier/{site.name}/surveys"
    )
    note = Text("问卷仍在进行", "the survey is still open") if newest.state == "open" else None
    fact = Fact(
        newest.result.satisfied_share, "share", clock.local(newest.opened_at).date(),
        clock.local(newest.closes_at).date(), counted=newest.result.valid, evidence=(link,), note=note,
    )  # fmt: skip
    return {f"survey.{topic}": fact}


def _files(session: Session, site: str) -> tuple[AttachmentLine, ...]:
    return tuple(
        AttachmentLine(
            one.id, one.name, one.media_type, one.size_bytes, one.sha256, one.indicator, one.entry_id
        )
        for one in kept.attachments_of(session, site)
    )
