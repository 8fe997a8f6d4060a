"""Reads and changes the tables of the leases. All within a session of the caller; SQLite and PostgreSQL alike."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, Final, cast

from sqlalchemy import CursorResult, delete, func, select, update
from sqlalchemy.orm import Session

from store.registry.lease_models import Lease, LeaseMember
from store.registry.lease_plan import Held, Member

_AT_A_TIME: Final = 500


def database_now(session: Session) -> datetime:
    """Return the time of the database: one clock for all processes, however wrong their own are."""
    if session.get_bind().dialect.name == "sqlite":
        told = cast(str, session.scalar(select(func.strftime("%Y-%m-%d %H:%M:%f", "now"))))
        return datetime.fromisoformat(told).replace(tzinfo=UTC)
    return cast(datetime, session.scalar(select(func.clock_timestamp()))).astimezone(UTC)


def members(session: Session, pool: str) -> list[Member]:
    """Return a pool's members, those that are gone included."""
    rows = session.scalars(select(LeaseMember).where(LeaseMember.pool == pool))
    return [Member(row.name, row.joined_at, row.expires_at) for row in rows]


def leases(session: Session, pool: str) -> dict[str, Held]:
    """Return a pool's leases by what they are of."""
    columns = select(Lease.resource, Lease.holder, Lease.epoch, Lease.since)
    rows = session.execute(columns.where(Lease.pool == pool))
    return {resource: Held(holder, epoch, since) for resource, holder, epoch, since in rows}


def claim(
    session: Session, pool: str, resource: str, before: Held | None, holder: str, now: datetime
) -> int | None:
    """Take a lease that stands as ``before``; return the new epoch, or ``None`` where somebody was quicker.

    Raises ``IntegrityError`` when two make the first lease of a piece at once.
    """
    if before is None:
        session.add(Lease(pool=pool, resource=resource, holder=holder, epoch=1, since=now))
        session.flush()
        return 1
    taking = update(Lease).where(
        Lease.pool == pool, Lease.resource == resource, Lease.epoch == before.epoch,
        Lease.holder.is_(None) if before.holder is None else Lease.holder == before.holder,
    )  # fmt: skip
    changed = session.execute(taking.values(holder=holder, epoch=before.epoch + 1, since=now))
    return before.epoch + 1 if cast("CursorResult[Any]", changed).rowcount == 1 else None


def give_back(session: Session, pool: str, holder: str, epochs: Mapping[str, int], now: datetime) -> None:
    """Let leases go that are still held under these epochs."""
    for resource, epoch in sorted(epochs.items()):
        mine = update(Lease).where(
            Lease.pool == pool, Lease.resource == resource, Lease.holder == holder, Lease.epoch == epoch
        )
        session.execute(mine.values(holder=None, since=now))


def present(
    session: Session, pool: str, name: str, incarnation: str, now: datetime, until: datetime, *, newcomer: bool
) -> bool:  # fmt: skip
    """Say that a member is there until ``until``; ``False`` where another process has come by the same name.

    A ``newcomer`` takes the name over: the process that had it may be gone for good.
    """
    row = session.get(LeaseMember, (pool, name), with_for_update=True)
    if row is None:
        session.add(
            LeaseMember(pool=pool, name=name, incarnation=incarnation, joined_at=now, expires_at=until)
        )
    else:
        if row.incarnation != incarnation and row.expires_at > now and not newcomer:
            return False
        if row.incarnation != incarnation or row.expires_at <= now:
            row.joined_at = now
        row.incarnation, row.expires_at = incarnation, until
    session.flush()
    return True


def leave(session: Session, pool: str, name: str, incarnation: str) -> None:
    """Take a member out of its pool at once."""
    mine = (LeaseMember.pool == pool, LeaseMember.name == name, LeaseMember.incarnation == incarnation)
    session.execute(delete(LeaseMember).where(*mine))


def forget_members(session: Session, pool: str, before: datetime) -> None:
    """Delete members that have been gone since before ``before``."""
    session.execute(delete(LeaseMember).where(LeaseMember.pool == pool, LeaseMember.expires_at < before))


def still_held(session: Session, pool: str, holder: str, epochs: Mapping[str, int]) -> set[str]:
    """Return what is still held under these epochs, and keep it so until the session ends.

    The rows are locked: whoever would take one of them waits for this transaction, so that what it writes is either
    committed before the lease changes hands or not at all. (SQLite has one writer at a time anyway.)
    """
    held: set[str] = set()
    names = sorted(epochs)
    for begin in range(0, len(names), _AT_A_TIME):
        rows = session.execute(
            select(Lease.resource, Lease.epoch)
            .where(
                Lease.pool == pool,
                Lease.holder == holder,
                Lease.resource.in_(names[begin : begin + _AT_A_TIME]),
            )
            .order_by(Lease.resource)
            .with_for_update(read=True)
        )
        held.update(resource for resource, epoch in rows if epochs[resource] == epoch)
    return held
