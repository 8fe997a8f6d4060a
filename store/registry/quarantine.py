"""The quarantine: what arrived and did not validate, countable, readable and bounded."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from sqlalchemy import delete, func, select
from sqlalchemy.orm import Session

from store.registry.models import Counter, QuarantinedMessage

MAX_ROWS: Final = 10_000
MAX_PAYLOAD_BYTES: Final = 64 << 10
"""Of a larger payload the beginning is kept; its whole size is noted."""
_EVICTED: Final = "quarantine_evicted"


@dataclass(frozen=True, slots=True)
class Rejected:
    """One message, or one reading of one, with the reason why it cannot be stored."""

    topic: str
    code: str
    reason: str
    payload: bytes
    size_bytes: int

    @property
    def sha256(self) -> str:
        """Digest of topic and payload: a re-sent copy counts up, it does not fill the quarantine."""
        return hashlib.sha256(self.topic.encode() + b"\0" + self.payload).hexdigest()


def hold(session: Session, rejected: Sequence[Rejected], now: datetime, *, max_rows: int = MAX_ROWS) -> None:
    """Put messages into the quarantine. Above ``max_rows`` the oldest go, and are counted."""
    known: dict[tuple[str, str], QuarantinedMessage] = {}
    for one in rejected:
        key = (one.sha256, one.code)
        row = (
            known.get(key)
            or session.scalars(
                select(QuarantinedMessage).filter_by(sha256=one.sha256, code=one.code)
            ).one_or_none()
        )
        if row is None:
            row = _new_row(one, now)
            session.add(row)
        else:
            row.times += 1
            row.last_at = now
        known[key] = row
    session.flush()
    _evict(session, max_rows)


def counts(session: Session) -> dict[str, int]:
    """Return the number of rows by code, and under ``evicted`` how many had to go."""
    by_code = session.execute(select(QuarantinedMessage.code, func.count()).group_by(QuarantinedMessage.code))
    evicted = session.get(Counter, _EVICTED)
    return {**{code: int(count) for code, count in by_code}, "evicted": evicted.value if evicted else 0}


def newest(session: Session, *, limit: int = 100, before_id: int | None = None) -> list[QuarantinedMessage]:
    """Return rows, newest first; page on with ``before_id``."""
    query = select(QuarantinedMessage).order_by(QuarantinedMessage.id.desc()).limit(limit)
    if before_id is not None:
        query = query.where(QuarantinedMessage.id < before_id)
    return list(session.scalars(query))


def _new_row(one: Rejected, now: datetime) -> QuarantinedMessage:
    return QuarantinedMessage(
        first_at=now, last_at=now, times=1, topic=one.topic[:200], code=one.code, reason=one.reason[:500],
        payload=one.payload[:MAX_PAYLOAD_BYTES], size_bytes=one.size_bytes, sha256=one.sha256,
    )  # fmt: skip


def _evict(session: Session, max_rows: int) -> None:
    total = session.scalar(select(func.count()).select_from(QuarantinedMessage)) or 0
    excess = total - max_rows
    if excess <= 0:
        return
    oldest = select(QuarantinedMessage.id).order_by(QuarantinedMessage.id).limit(excess)
    session.execute(delete(QuarantinedMessage).where(QuarantinedMessage.id.in_(oldest.scalar_subquery())))
    counter = session.get(Counter, _EVICTED)
    if counter is None:
        session.add(Counter(name=_EVICTED, value=excess))
    else:
        counter.value += excess
