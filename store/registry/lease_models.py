"""Tables of the leases: which process does what, of work that several processes share."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import String
from sqlalchemy.orm import Mapped, mapped_column

from store.registry.models import Base


class LeaseMember(Base):
    """A process that takes part in a pool of work. It counts as there until ``expires_at``, by the database's clock."""

    __tablename__ = "lease_members"

    pool: Mapped[str] = mapped_column(String(16), primary_key=True)
    name: Mapped[str] = mapped_column(String(64), primary_key=True)
    incarnation: Mapped[str] = mapped_column(String(32))
    """Tells the process from another one that came by the same name."""
    joined_at: Mapped[datetime]
    expires_at: Mapped[datetime]


class Lease(Base):
    """Who holds one piece of a pool's work. It is theirs as long as they are there.

    ``epoch`` counts the holders: a write that belongs to an earlier epoch is refused (see ``LeaseKeeper.still``).
    """

    __tablename__ = "leases"

    pool: Mapped[str] = mapped_column(String(16), primary_key=True)
    resource: Mapped[str] = mapped_column(String(80), primary_key=True)
    holder: Mapped[str | None] = mapped_column(String(64))
    epoch: Mapped[int] = mapped_column(default=0)
    since: Mapped[datetime]
