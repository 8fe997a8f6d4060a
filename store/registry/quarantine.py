"""The quarantine: what arrived and was not stored, countable, readable and bounded.

Two kinds of rows lie there. *Rejected* ones do not validate and never will. *Held* ones (``HELD_CODES``) are single
readings of a device or meter that the registry does not know; once it does, a replay stores them. Each kind has a bound
of its own, so that neither pushes the other out.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from sqlalchemy import delete, func, select
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.orm import Session

from store.registry.models import Counter, QuarantinedMessage

HELD_CODES: Final = ("unknown_device", "unknown_meter")
MAX_ROWS: Final = 10_000
"""Rejected rows at most."""
MAX_HELD_ROWS: Final = 100_000
"""Held rows at most; a day of a device's seconds is 86,400."""
MAX_PAYLOAD_BYTES: Final = 64 << 10
MAX_JUNK_BYTES: Final = 8 << 10
_SLACK_ROWS: Final = 200
"""The bounds are looked at once in so many new rows."""
_EVICTED: Final = "quarantine_evicted"
_HELD_EVICTED: Final = "quarantine_held_evicted"


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
        """Digest of topic, payload and size: a re-sent copy counts up, it does not fill the quarantine."""
        head = f"{self.topic}\0{self.size_bytes}\0".encode("utf-8", "surrogateescape")
        return hashlib.sha256(head + self.payload).hexdigest()


def hold(
    session: Session, rejected: Sequence[Rejected], now: datetime, *, max_rows: int = MAX_ROWS,
    max_held_rows: int = MAX_HELD_ROWS, slack_rows: int = _SLACK_ROWS,
) -> None:  # fmt: skip
    """Put messages into the quarantine; identical ones count up in ``times``. Above a bound the oldest go, counted."""
    if not rejected:
        return
    rows: dict[tuple[str, str], dict[str, object]] = {}
    for one in rejected:
        key = (one.sha256, one.code)
        row = rows.get(key)
        if row is None:
            rows[key] = _row(one, key[0], now)
        else:
            row["times"] = int(str(row["times"])) + 1
    before = _newest_id(session)
    session.execute(_upsert(session), list(rows.values()))
    if _newest_id(session) // slack_rows != before // slack_rows:
        _evict(session, max_rows, held=False)
        _evict(session, max_held_rows, held=True)


def counts(session: Session) -> dict[str, int]:
    """Return the number of rows by code, and under ``evicted`` how many had to go."""
    by_code = session.execute(select(QuarantinedMessage.code, func.count()).group_by(QuarantinedMessage.code))
    evicted = sum(_counter(session, name) for name in (_EVICTED, _HELD_EVICTED))
    return {**{code: int(count) for code, count in by_code}, "evicted": evicted}


def newest(session: Session, *, limit: int = 100, before_id: int | None = None) -> list[QuarantinedMessage]:
    """Return rows, newest first; page on with ``before_id``."""
    query = select(QuarantinedMessage).order_by(QuarantinedMessage.id.desc()).limit(limit)
    if before_id is not None:
        query = query.where(QuarantinedMessage.id < before_id)
    return list(session.scalars(query))


def held_after(session: Session, row_id: int, limit: int) -> list[QuarantinedMessage]:
    """Return up to ``limit`` held rows above ``row_id``, oldest first."""
    held = QuarantinedMessage.code.in_(HELD_CODES)
    query = select(QuarantinedMessage).where(held, QuarantinedMessage.id > row_id)
    return list(session.scalars(query.order_by(QuarantinedMessage.id).limit(limit)))


def release(session: Session, row_ids: Sequence[int]) -> None:
    """Forget rows that are stored now."""
    session.execute(delete(QuarantinedMessage).where(QuarantinedMessage.id.in_(row_ids)))


def _row(one: Rejected, sha256: str, now: datetime) -> dict[str, object]:
    most = MAX_JUNK_BYTES if one.code in ("bad_payload", "bad_topic") else MAX_PAYLOAD_BYTES
    return {
        "first_at": now, "last_at": now, "times": 1, "topic": _printable(one.topic)[:200], "code": one.code,
        "reason": _printable(one.reason)[:500], "payload": one.payload[:most], "size_bytes": one.size_bytes,
        "sha256": sha256,
    }  # fmt: skip


def _printable(text: str) -> str:
    """Return text that every database takes: PostgreSQL knows no NUL, and no database lone surrogates."""
    return text.encode("utf-8", "replace").decode().replace("\0", "\ufffd")


def _upsert(session: Session) -> sqlite.Insert | postgresql.Insert:
    dialect = session.get_bind().dialect.name
    insert = postgresql.insert if dialect == "postgresql" else sqlite.insert
    statement = insert(QuarantinedMessage)
    return statement.on_conflict_do_update(
        index_elements=["sha256", "code"],
        set_={
            "times": QuarantinedMessage.times + statement.excluded.times,
            "last_at": statement.excluded.last_at,
            "reason": statement.excluded.reason,
        },
    )


def _newest_id(session: Session) -> int:
    return session.scalar(select(func.max(QuarantinedMessage.id))) or 0


def _evict(session: Session, max_rows: int, *, held: bool) -> None:
    is_held = QuarantinedMessage.code.in_(HELD_CODES)
    of_kind = is_held if held else ~is_held
    total = session.scalar(select(func.count()).select_from(QuarantinedMessage).where(of_kind)) or 0
    excess = total - max_rows
    if excess <= 0:
        return
    oldest = select(QuarantinedMessage.id).where(of_kind).order_by(QuarantinedMessage.id).limit(excess)
    session.execute(delete(QuarantinedMessage).where(QuarantinedMessage.id.in_(oldest.scalar_subquery())))
    add_to_counter(session, _HELD_EVICTED if held else _EVICTED, excess)


def _counter(session: Session, name: str) -> int:
    row = session.get(Counter, name)
    return row.value if row else 0


def add_to_counter(session: Session, name: str, count: int) -> int:
    """Add to a persistent count and return it."""
    row = session.get(Counter, name)
    if row is None:
        row = Counter(name=name, value=0)
        session.add(row)
    row.value += count
    session.flush()
    return row.value
