"""The audit log: one line for every change that a person or a program makes."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from store.registry.models import AuditEntry


def record(
    session: Session, who: str, action: str, target: str, now: datetime, detail: dict[str, Any] | None = None
) -> None:
    """Add a line in the transaction of the change itself. Never give it a secret."""
    session.add(AuditEntry(at=now, who=who[:64], action=action, target=target[:200], detail=detail or {}))


def newest(session: Session, *, limit: int, before_id: int | None = None) -> list[AuditEntry]:
    """Return lines, newest first; page on with ``before_id``."""
    query = select(AuditEntry).order_by(AuditEntry.id.desc()).limit(limit)
    if before_id is not None:
        query = query.where(AuditEntry.id < before_id)
    return list(session.scalars(query))
