"""The queue of messages in the registry: one row an alert, contact and event, kept until sent or given up."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final, cast

import structlog
from sqlalchemy import func, select
from sqlalchemy.orm import Session

from analysis.alerts.machine import Transition
from analysis.notify.facts import Event, Facts, Language, gather
from store.registry.models import Alert, Contact, Delivery, User, UserSite

log = structlog.get_logger(__name__)

_EVENTS: Final[dict[str, Event]] = {"firing": "firing", "escalated": "escalated", "resolved": "resolved"}


@dataclass(frozen=True, slots=True)
class Parcel:
    """What is to go to one contact in one message. ``delivery_ids`` are the rows that it settles."""

    contact_id: int
    url: str
    language: Language
    delivery_ids: tuple[int, ...]
    attempts: int
    facts: tuple[Facts, ...]


class Queue:
    """Queues what the alert book reports: a :class:`analysis.alerts.book.Teller`."""

    def tell(self, session: Session, alert: Alert, transitions: Sequence[Transition], now: datetime) -> None:
        """Queue a message per contact for every transition that people are to know of."""
        for one in transitions:
            event = _EVENTS.get(one.to_state) if one.from_state != one.to_state else None
            if event is None:
                continue
            contacts = _told_before(session, alert) if event == "resolved" else _managers(session, alert.site)
            if not contacts and event != "resolved":
                log.warning(
                    "nobody to tell: no manager of the site has a contact", site=alert.site, alert=alert.id
                )
            for contact_id in contacts:
                enqueue(session, alert.id, contact_id, event, now)


def enqueue(session: Session, alert_id: int, contact_id: int, event: Event, now: datetime) -> None:
    """Queue one event for one contact, unless it is there already."""
    known = select(Delivery.id).filter_by(alert_id=alert_id, contact_id=contact_id, event=event)
    if session.scalar(known) is None:
        session.add(
            Delivery(alert_id=alert_id, contact_id=contact_id, event=event, next_try_at=now, created_at=now)
        )


def due_parcels(session: Session, now: datetime, *, busy: frozenset[int], limit: int = 50) -> list[Parcel]:
    """Return what is due, grouped by contact, oldest first; contacts in ``busy`` are left out."""
    due = select(Delivery.contact_id).where(Delivery.state == "queued", Delivery.next_try_at <= now)
    if busy:
        due = due.where(Delivery.contact_id.not_in(busy))
    oldest_first = due.group_by(Delivery.contact_id).order_by(func.min(Delivery.id)).limit(limit)
    return [_parcel(session, contact_id, now) for contact_id in session.scalars(oldest_first)]


def counts(session: Session) -> dict[str, int]:
    """Return how many deliveries are ``queued``, ``sent`` and ``failed`` (given up)."""
    rows = session.execute(select(Delivery.state, func.count()).group_by(Delivery.state))
    return {"queued": 0, "sent": 0, "failed": 0, **{state: int(count) for state, count in rows}}


def _parcel(session: Session, contact_id: int, now: datetime) -> Parcel:
    contact = session.get_one(Contact, contact_id)
    user = session.get_one(User, contact.user_id)
    due = (
        select(Delivery)
        .where(Delivery.contact_id == contact_id, Delivery.state == "queued", Delivery.next_try_at <= now)
        .order_by(Delivery.id)
    )
    deliveries = list(session.scalars(due))
    newest: dict[int, Delivery] = {}
    for one in deliveries:  # who was not told of the beginning yet is told of the end alone: it says both
        newest[one.alert_id] = one
    facts = [
        gather(session, session.get_one(Alert, key), cast(Event, one.event)) for key, one in newest.items()
    ]
    return Parcel(
        contact_id, contact.url, cast(Language, user.language), tuple(one.id for one in deliveries),
        max(one.attempts for one in deliveries), tuple(facts),
    )  # fmt: skip


def _managers(session: Session, site: str) -> list[int]:
    """Return the contacts of the site's managers."""
    query = (
        select(Contact.id)
        .join(User, User.id == Contact.user_id)
        .join(UserSite, UserSite.user_id == User.id)
        .where(UserSite.site == site, User.role == "manager", User.disabled.is_(False))
        .order_by(Contact.id)
    )
    return list(session.scalars(query))


def _told_before(session: Session, alert: Alert) -> list[int]:
    told = select(Delivery.contact_id).where(Delivery.alert_id == alert.id).order_by(Delivery.contact_id)
    return list(session.scalars(told.distinct()))
