"""Keep and find what a dossier is made of. What an entry may hold is decided in ``analysis.dossier``."""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Mapping, Sequence
from datetime import date, datetime
from typing import Any, Final

from sqlalchemy import func, select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session, defer

from store.registry.dossier_models import (
    DossierAttachment,
    DossierEntry,
    DossierProfile,
    DossierVersion,
    Survey,
    SurveyAnswer,
)

MOST_ENTRIES: Final = 5_000
MOST_SURVEYS: Final = 200
MOST_ANSWERS: Final = 20_000
MOST_VERSIONS: Final = 500


class TooMany(ValueError):
    """A bound is reached; the message names it."""


class ChangedMeanwhile(ValueError):
    """Somebody else changed it since it was read."""


class AnsweredAlready(ValueError):
    """This browser has answered this survey."""


# -- profile ---------------------------------------------------------------------------------------------------


def profile_of(session: Session, site: str) -> DossierProfile | None:
    """Return a site's profile, ``None`` before anything was entered."""
    return session.get(DossierProfile, site)


def keep_profile(
    session: Session, site: str, *, who: str, now: datetime, data: Mapping[str, Any] | None = None,
    overrides: Mapping[str, Any] | None = None, expected_version: int | None = None,
) -> DossierProfile:  # fmt: skip
    """Replace the profile or the local rule (or both). Raises :class:`ChangedMeanwhile`."""
    row = session.get(DossierProfile, site)
    if row is None:
        row = DossierProfile(site=site, version=0, data={}, overrides={}, updated_at=now, updated_by=who)
        session.add(row)
    _demand_version(row.version, expected_version)
    row.data = row.data if data is None else dict(data)
    row.overrides = row.overrides if overrides is None else dict(overrides)
    row.version, row.updated_at, row.updated_by = row.version + 1, now, who
    session.flush()
    return row


# -- entries ---------------------------------------------------------------------------------------------------


def entries_of(
    session: Session,
    site: str,
    kind: str | None = None,
    *,
    before_id: int | None = None,
    limit: int = MOST_ENTRIES,
) -> list[DossierEntry]:
    """Return entries that were not removed, newest first."""
    query = select(DossierEntry).where(DossierEntry.site == site, DossierEntry.removed_at.is_(None))
    if kind is not None:
        query = query.where(DossierEntry.kind == kind)
    if before_id is not None:
        query = query.where(DossierEntry.id < before_id)
    return list(session.scalars(query.order_by(DossierEntry.id.desc()).limit(limit)))


def find_entry(session: Session, site: str, entry_id: int) -> DossierEntry | None:
    """Return an entry of a site unless it was removed."""
    row = session.get(DossierEntry, entry_id)
    return row if row is not None and row.site == site and row.removed_at is None else None


def add_entry(
    session: Session, site: str, kind: str, data: Mapping[str, Any], *, who: str, now: datetime
) -> DossierEntry:
    """Add a line to a register. Raises :class:`TooMany`."""
    count = (
        session.scalar(select(func.count()).select_from(DossierEntry).where(DossierEntry.site == site)) or 0
    )
    _demand_room(count, MOST_ENTRIES, "entries of a quarter, removed ones included")
    row = DossierEntry(
        site=site,
        kind=kind,
        version=1,
        data=dict(data),
        created_at=now,
        created_by=who,
        updated_at=now,
        updated_by=who,
    )
    session.add(row)
    session.flush()
    return row


def change_entry(
    session: Session, row: DossierEntry, data: Mapping[str, Any], *, who: str, now: datetime,
    expected_version: int | None = None,
) -> None:  # fmt: skip
    """Replace a line. Raises :class:`ChangedMeanwhile`."""
    _demand_version(row.version, expected_version)
    row.data, row.version, row.updated_at, row.updated_by = dict(data), row.version + 1, now, who
    session.flush()


# -- attachments -----------------------------------------------------------------------------------------------


def attachments_of(session: Session, site: str) -> list[DossierAttachment]:
    """Return a site's files that were not removed, oldest first."""
    query = select(DossierAttachment).where(
        DossierAttachment.site == site, DossierAttachment.removed_at.is_(None)
    )
    return list(session.scalars(query.order_by(DossierAttachment.id)))


def find_attachment(session: Session, site: str, attachment_id: int) -> DossierAttachment | None:
    """Return a file of a site; a removed one too, since a frozen version may name it."""
    row = session.get(DossierAttachment, attachment_id)
    return row if row is not None and row.site == site else None


def attached_bytes(session: Session, site: str) -> tuple[int, int]:
    """Return (files, bytes) of a site, removed ones included."""
    query = select(func.count(), func.coalesce(func.sum(DossierAttachment.size_bytes), 0)).where(
        DossierAttachment.site == site
    )
    count, size = session.execute(query).one()
    return int(count), int(size)


# -- surveys ---------------------------------------------------------------------------------------------------


def open_survey(
    session: Session, site: str, *, topic: str, title_zh: str, title_en: str, questions: Sequence[Mapping[str, Any]],
    now: datetime, closes_at: datetime, who: str,
) -> Survey:  # fmt: skip
    """Begin a survey with a random link. Raises :class:`TooMany`."""
    count = session.scalar(select(func.count()).select_from(Survey).where(Survey.site == site)) or 0
    _demand_room(count, MOST_SURVEYS, "surveys of a quarter")
    row = Survey(
        site=site, topic=topic, title_zh=title_zh, title_en=title_en, questions=[dict(one) for one in questions],
        token=secrets.token_urlsafe(12), opened_at=now, closes_at=closes_at, created_by=who,
    )  # fmt: skip
    session.add(row)
    session.flush()
    return row


def surveys_of(session: Session, site: str, topic: str | None = None) -> list[Survey]:
    """Return a site's surveys, newest first."""
    query = select(Survey).where(Survey.site == site)
    if topic is not None:
        query = query.where(Survey.topic == topic)
    return list(session.scalars(query.order_by(Survey.id.desc())))


def find_survey(session: Session, site: str, survey_id: int) -> Survey | None:
    """Return a survey of a site."""
    row = session.get(Survey, survey_id)
    return row if row is not None and row.site == site else None


def linked_survey(session: Session, token: str) -> Survey | None:
    """Return the survey that a public link leads to."""
    return session.scalars(select(Survey).where(Survey.token == token)).one_or_none()


def answers_of(session: Session, survey_id: int) -> list[dict[str, int]]:
    """Return every browser's answers."""
    return list(session.scalars(select(SurveyAnswer.answers).where(SurveyAnswer.survey_id == survey_id)))


def has_answered(session: Session, survey_id: int, browser: str) -> bool:
    """Whether a browser has answered a survey."""
    query = select(SurveyAnswer.id).where(
        SurveyAnswer.survey_id == survey_id, SurveyAnswer.browser == _browser(survey_id, browser)
    )
    return session.scalar(query) is not None


def add_answer(session: Session, survey: Survey, browser: str, answers: Mapping[str, int], on: date) -> None:
    """Keep the answers of a browser. Raises :class:`AnsweredAlready` and :class:`TooMany`."""
    if has_answered(session, survey.id, browser):
        raise AnsweredAlready("this browser has answered already")
    count = session.scalar(
        select(func.count()).select_from(SurveyAnswer).where(SurveyAnswer.survey_id == survey.id)
    )
    _demand_room(count or 0, MOST_ANSWERS, "answers of a survey")
    row = SurveyAnswer(
        survey_id=survey.id,
        browser=_browser(survey.id, browser),
        answers=dict(answers),
        answered_on=on.isoformat(),
    )
    try:
        with session.begin_nested():
            session.add(row)
    except IntegrityError:  # two tabs of one browser at the same moment
        raise AnsweredAlready("this browser has answered already") from None


def _browser(survey_id: int, secret: str) -> bytes:
    return hashlib.sha256(f"{survey_id}:{secret}".encode()).digest()


# -- versions --------------------------------------------------------------------------------------------------


def versions_of(
    session: Session, site: str, programme: str, *, before: int | None = None, limit: int = MOST_VERSIONS
) -> list[DossierVersion]:
    """Return a dossier's frozen versions, newest first; their documents are read when they are asked for."""
    query = select(DossierVersion).where(DossierVersion.site == site, DossierVersion.programme == programme)
    if before is not None:
        query = query.where(DossierVersion.number < before)
    ordered = query.order_by(DossierVersion.number.desc()).limit(limit)
    return list(session.scalars(ordered.options(defer(DossierVersion.document))))


def newest_version(session: Session, site: str, programme: str) -> DossierVersion | None:
    """Return the newest frozen version."""
    query = select(DossierVersion).where(DossierVersion.site == site, DossierVersion.programme == programme)
    return session.scalars(query.order_by(DossierVersion.number.desc()).limit(1)).one_or_none()


def find_version(session: Session, site: str, programme: str, number: int) -> DossierVersion | None:
    """Return one frozen version."""
    return session.get(DossierVersion, (site, programme, number))


def keep_version(
    session: Session, site: str, programme: str, *, document: str, sha256: str, previous: DossierVersion | None,
    score: float, passed: bool, note: str, who: str, now: datetime,
) -> DossierVersion:  # fmt: skip
    """Append a frozen version. Raises :class:`TooMany`, and ``IntegrityError`` where another came first."""
    number = previous.number + 1 if previous else 1
    _demand_room(number - 1, MOST_VERSIONS, "frozen versions of a dossier")
    row = DossierVersion(
        site=site, programme=programme, number=number, frozen_at=now, frozen_by=who, note=note, score=score,
        passed=passed, document=document, sha256=sha256, previous_sha256=previous.sha256 if previous else "",
    )  # fmt: skip
    session.add(row)
    session.flush()
    return row


def _demand_room(count: int, most: int, what: str) -> None:
    if count >= most:
        raise TooMany(f"there are {most} {what} already, which is the most")


def _demand_version(present: int, expected: int | None) -> None:
    if expected is not None and expected != present:
        raise ChangedMeanwhile(
            f"version {expected} was changed by somebody else meanwhile; it is {present} now"
        )
