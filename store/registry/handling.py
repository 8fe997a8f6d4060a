"""What those who handle an alert write down about it: notes, photos, "done". Append-only.

An alert ends when its measurement says so, never by "done"; that says what somebody did and when.
"""

from __future__ import annotations

from datetime import datetime
from typing import Final, Literal

from sqlalchemy import ForeignKey, String, func, select
from sqlalchemy.orm import Mapped, Session, mapped_column

from store.registry.models import Base

HandlingKind = Literal["note", "photo", "done"]
MOST_TEXT: Final = 500
MOST_ENTRIES: Final = 200
MOST_PHOTOS: Final = 20
PHOTO_TYPES: Final = ("image/jpeg", "image/png", "image/webp")


class TooManyEntries(ValueError):
    """The alert has as many notes or photos as an alert may have."""


class AlertHandling(Base):
    """One line about how an alert was handled; a photo's bytes lie under their SHA-256 in the folder of files."""

    __tablename__ = "alert_handling"

    id: Mapped[int] = mapped_column(primary_key=True)
    alert_id: Mapped[int] = mapped_column(ForeignKey("alerts.id"), index=True)
    at: Mapped[datetime]
    who: Mapped[str] = mapped_column(String(64))
    kind: Mapped[HandlingKind] = mapped_column(String(8))
    text: Mapped[str] = mapped_column(String(MOST_TEXT), default="")
    photo_sha256: Mapped[str | None] = mapped_column(String(64))
    photo_type: Mapped[str | None] = mapped_column(String(32))


def handling_of(session: Session, alert_id: int) -> list[AlertHandling]:
    """Return the lines about an alert, oldest first."""
    query = select(AlertHandling).where(AlertHandling.alert_id == alert_id).order_by(AlertHandling.id)
    return list(session.scalars(query))


def demand_room(session: Session, alert_id: int, kind: HandlingKind) -> None:
    """Raise :class:`TooManyEntries` where one more of a kind is too much."""
    query = select(func.count()).where(AlertHandling.alert_id == alert_id)
    if session.scalar(query.where(AlertHandling.kind == "photo")) == MOST_PHOTOS and kind == "photo":
        raise TooManyEntries(f"an alert may have {MOST_PHOTOS} photos")
    if (session.scalar(query) or 0) >= MOST_ENTRIES:
        raise TooManyEntries(f"an alert may have {MOST_ENTRIES} notes")


def add_handling(
    session: Session, alert_id: int, kind: HandlingKind, *, who: str, now: datetime, text: str = "",
    photo: tuple[str, str] | None = None,
) -> AlertHandling:  # fmt: skip
    """Write a line down; ``photo`` is its SHA-256 and media type. Raises :class:`TooManyEntries`."""
    demand_room(session, alert_id, kind)
    sha256, media_type = photo or (None, None)
    row = AlertHandling(
        alert_id=alert_id, at=now, who=who, kind=kind, text=text.strip()[:MOST_TEXT], photo_sha256=sha256,
        photo_type=media_type,
    )  # fmt: skip
    session.add(row)
    session.flush()
    return row
