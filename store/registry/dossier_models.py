"""Tables of the dossier: what the committee enters, files, surveys, and the versions that were frozen."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import ForeignKey, Index, LargeBinary, String, Text, UniqueConstraint, event
from sqlalchemy.orm import Mapped, mapped_column

from store.registry.models import Base


class DossierProfile(Base):
    """What holds for a quarter as a whole, and where its local rule departs from the shipped indicators."""

    __tablename__ = "dossier_profiles"

    site: Mapped[str] = mapped_column(ForeignKey("sites.name"), primary_key=True)
    version: Mapped[int] = mapped_column(default=1)
    data: Mapped[dict[str, Any]] = mapped_column(default=dict)
    overrides: Mapped[dict[str, Any]] = mapped_column(default=dict)
    """By programme, then indicator."""
    updated_at: Mapped[datetime]
    updated_by: Mapped[str] = mapped_column(String(64))


class DossierEntry(Base):
    """A line of a register: ``complaint``, ``source``, ``measure``, ``rule`` or ``appliance``."""

    __tablename__ = "dossier_entries"
    __table_args__ = (Index("ix_dossier_entries_site_kind", "site", "kind"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    site: Mapped[str] = mapped_column(ForeignKey("sites.name"))
    kind: Mapped[str] = mapped_column(String(16))
    version: Mapped[int] = mapped_column(default=1)
    data: Mapped[dict[str, Any]]
    created_at: Mapped[datetime]
    created_by: Mapped[str] = mapped_column(String(64))
    updated_at: Mapped[datetime]
    updated_by: Mapped[str] = mapped_column(String(64))
    removed_at: Mapped[datetime | None]


class DossierAttachment(Base):
    """A file of a dossier; its bytes lie under their SHA-256 in the folder of files."""

    __tablename__ = "dossier_attachments"

    id: Mapped[int] = mapped_column(primary_key=True)
    site: Mapped[str] = mapped_column(ForeignKey("sites.name"), index=True)
    entry_id: Mapped[int | None] = mapped_column(ForeignKey("dossier_entries.id"))
    indicator: Mapped[str | None] = mapped_column(String(40))
    name: Mapped[str] = mapped_column(String(120))
    media_type: Mapped[str] = mapped_column(String(100))
    size_bytes: Mapped[int]
    sha256: Mapped[str] = mapped_column(String(64))
    created_at: Mapped[datetime]
    created_by: Mapped[str] = mapped_column(String(64))
    removed_at: Mapped[datetime | None]
    """The bytes stay: a frozen version may name them."""


class Survey(Base):
    """A questionnaire at a public link; the link's ``token`` is no secret, and only guards against guessing."""

    __tablename__ = "dossier_surveys"

    id: Mapped[int] = mapped_column(primary_key=True)
    site: Mapped[str] = mapped_column(ForeignKey("sites.name"), index=True)
    topic: Mapped[str] = mapped_column(String(8))
    title_zh: Mapped[str] = mapped_column(String(120))
    title_en: Mapped[str] = mapped_column(String(120))
    questions: Mapped[list[Any]]
    token: Mapped[str] = mapped_column(String(32), unique=True)
    opened_at: Mapped[datetime]
    closes_at: Mapped[datetime]
    created_by: Mapped[str] = mapped_column(String(64))


class SurveyAnswer(Base):
    """The answers of one browser: numbers only, with no address, and no time finer than the date."""

    __tablename__ = "dossier_survey_answers"
    __table_args__ = (UniqueConstraint("survey_id", "browser"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    survey_id: Mapped[int] = mapped_column(ForeignKey("dossier_surveys.id"), index=True)
    browser: Mapped[bytes] = mapped_column(LargeBinary(32))
    """SHA-256 of a random number that only the browser keeps, for this survey."""
    answers: Mapped[dict[str, Any]]
    answered_on: Mapped[str] = mapped_column(String(10))


class DossierVersion(Base):
    """A frozen dossier: never changed, never removed. ``sha256`` covers the one before too."""

    __tablename__ = "dossier_versions"

    site: Mapped[str] = mapped_column(ForeignKey("sites.name"), primary_key=True)
    programme: Mapped[str] = mapped_column(String(32), primary_key=True)
    number: Mapped[int] = mapped_column(primary_key=True)
    frozen_at: Mapped[datetime]
    frozen_by: Mapped[str] = mapped_column(String(64))
    note: Mapped[str] = mapped_column(String(200), default="")
    score: Mapped[float]
    passed: Mapped[bool]
    document: Mapped[str] = mapped_column(Text())
    sha256: Mapped[str] = mapped_column(String(64))
    previous_sha256: Mapped[str] = mapped_column(String(64), default="")


def _refuse(*_: object) -> None:
    raise RuntimeError("a frozen version is never changed or removed")


event.listen(DossierVersion, "before_update", _refuse)
event.listen(DossierVersion, "before_delete", _refuse)
