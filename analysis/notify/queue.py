"""The queue of messages in the registry: one row an alert, contact and event, kept until sent or given up."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final, cast

import structlog
from sqlalchemy import func, select, update
from sqlalchemy.orm import Session

from analysis.alerts import silences
from analysis.alerts.machine import Transition
from analysis.notify.facts import Event, Facts, Language, gather
from analysis.notify.prefs import BadPrefs, Moment, NotifyPrefs, parse_prefs, wanted, when
from store.registry.models import Alert, Contact, Delivery, Site, User, UserSite

log = structlog.get_logger(__name__)

_EVENTS: Final[dict[str, Event]] = {"firing": "firing", "escalated": "escalated", "resolved": "resolved"}
_MOST_AT_ONCE: Final = 200
"""Messages to one contact in one parcel at most; the others are in the next."""
_UNHEARD: Final = (silences.HELD,)
"""A beginning that waits for one of these is never told when the alert is over before."""


@dataclass(frozen=True, slots=True)
class Item:
    """One alert in a parcel: what happened, and the delivery whose link takes it on."""

    delivery_id: int
    facts: Facts


@dataclass(frozen=True, slots=True)
class Parcel:
    """What is to go to one contact in one message. ``delivery_ids`` are all the rows that it settles."""

    contact_id: int
    url: str
    secret: str | None
    language: Language
    delivery_ids: tuple[int, ...]
    attempts: int
    items: tuple[Item, ...]

    @property
    def facts(self) -> tuple[Facts, ...]:
        """What is told."""
        return tuple(item.facts for item in self.items)


@dataclass(frozen=True, slots=True)
class _Recipient:
    contact_id: int
    prefs: NotifyPrefs


class Queue:
    """Queues what the alert book reports: a :class:`analysis.alerts.book.Teller`.

    Who is told: the site's managers of the beginning; of an escalation the authority, ``bureau`` for noise and
    ``water_office`` for water; of the end everybody who was told before. Silences and each person's wishes decide when.
    """

    def __init__(self) -> None:
        self._nobody: set[tuple[str, Event]] = set()

    def tell(self, session: Session, alert: Alert, transitions: Sequence[Transition], now: datetime) -> None:
        """Queue a message per contact for every transition that people are to know of."""
        for one in transitions:
            event = _EVENTS.get(one.to_state) if one.from_state != one.to_state else None
            if event == "resolved":
                self._tell_end(session, alert, now)
            elif event is not None:
                self._tell_beginning(session, alert, event, now)

    def _tell_beginning(self, session: Session, alert: Alert, event: Event, now: datetime) -> None:
        recipients = (
            _managers(session, alert.site) if event == "firing" else _officials(session, alert.rule_kind)
        )
        self._note_nobody(alert, event, there_is=bool(recipients))
        moment = _Moments(session, alert, now)
        for one in recipients:
            if wanted(one.prefs, alert.severity):
                enqueue(session, alert.id, one.contact_id, event, now, moment(one.prefs))

    def _note_nobody(self, alert: Alert, event: Event, *, there_is: bool) -> None:
        """Log once for a site that there is nobody to tell, and say so again only after there was somebody."""
        if there_is:
            self._nobody.discard((alert.site, event))
        elif (alert.site, event) not in self._nobody:
            self._nobody.add((alert.site, event))
            log.warning(
                "nobody to tell: none of them has a contact", site=alert.site, alert=alert.id, tells=event
            )

    def _tell_end(self, session: Session, alert: Alert, now: datetime) -> None:
        moment = _Moments(session, alert, now)
        told: dict[int, Delivery] = {}
        for row in session.scalars(
            select(Delivery).where(Delivery.alert_id == alert.id).order_by(Delivery.id)
        ):
            if row.state == "queued" and row.held_by in _UNHEARD:
                row.state = "skipped"
            else:
                told[row.contact_id] = row
        for contact_id in told:
            user = session.get_one(User, session.get_one(Contact, contact_id).user_id)
            enqueue(session, alert.id, contact_id, "resolved", now, moment(_prefs_of(user)))


def enqueue(
    session: Session, alert_id: int, contact_id: int, event: Event, now: datetime, moment: Moment | None = None,
) -> None:  # fmt: skip
    """Queue one event for one contact, unless it is there already; ``moment`` says when it is due (default: now)."""
    known = select(Delivery.id).filter_by(alert_id=alert_id, contact_id=contact_id, event=event)
    if session.scalar(known) is None:
        due = moment or Moment(now)
        session.add(
            Delivery(
                alert_id=alert_id, contact_id=contact_id, event=event, next_try_at=due.at, held_by=due.held_by,
                created_at=now,
            )
        )  # fmt: skip


def due_parcels(session: Session, now: datetime, *, busy: frozenset[int], limit: int = 50) -> list[Parcel]:
    """Return what is due, grouped by contact, oldest first; contacts in ``busy`` are left out.

    A message whose silence goes on (it was made longer, or another has begun) is put off again: hence the session
    must be one that writes.
    """
    due = select(Delivery.contact_id).where(Delivery.state == "queued", Delivery.next_try_at <= now)
    if busy:
        due = due.where(Delivery.contact_id.not_in(busy))
    oldest_first = due.group_by(Delivery.contact_id).order_by(func.min(Delivery.id)).limit(limit)
    parcels = (_parcel(session, contact_id, now) for contact_id in session.scalars(oldest_first).all())
    return [parcel for parcel in parcels if parcel is not None]


def anything_due(session: Session, now: datetime, *, busy: frozenset[int]) -> bool:
    """Say whether any message is due to a contact that is not in ``busy``: a look that writes nothing."""
    due = select(Delivery.id).where(Delivery.state == "queued", Delivery.next_try_at <= now)
    if busy:
        due = due.where(Delivery.contact_id.not_in(busy))
    return session.scalar(due.limit(1)) is not None


def claim(session: Session, parcels: Iterable[Parcel], until: datetime) -> None:
    """Keep parcels from being taken by anybody else before ``until``, within the transaction that took them."""
    for parcel in parcels:
        rows = update(Delivery).where(Delivery.id.in_(parcel.delivery_ids))
        session.execute(rows.values(next_try_at=until))


def counts(session: Session) -> dict[str, int]:
    """Return how many deliveries are ``queued``, ``sent``, ``failed`` (given up) and ``skipped``."""
    rows = session.execute(select(Delivery.state, func.count()).group_by(Delivery.state))
    return {"queued": 0, "sent": 0, "failed": 0, "skipped": 0, **{state: int(count) for state, count in rows}}


def _parcel(session: Session, contact_id: int, now: datetime) -> Parcel | None:
    contact = session.get_one(Contact, contact_id)
    user = session.get_one(User, contact.user_id)
    due = (
        select(Delivery)
        .where(Delivery.contact_id == contact_id, Delivery.state == "queued", Delivery.next_try_at <= now)
        .order_by(Delivery.id)
        .limit(_MOST_AT_ONCE)
        .with_for_update(skip_locked=True)
    )
    windows = silences.current(session, now)
    newest: dict[int, Delivery] = {}
    rows: list[Delivery] = []
    for one in session.scalars(due):
        alert = session.get_one(Alert, one.alert_id)
        silent_until = silences.match(windows, "silence", alert.site, alert.rule_kind, alert.source, now)
        if silent_until is not None:
            one.next_try_at, one.held_by = silent_until, silences.HELD
            continue
        rows.append(one)
        newest[one.alert_id] = (
            one  # who was not told of the beginning yet is told of the end alone: it says both
        )
    if not rows:
        return None
    items = tuple(
        Item(one.id, gather(session, session.get_one(Alert, key), cast(Event, one.event)))
        for key, one in newest.items()
    )
    return Parcel(
        contact_id, contact.url, contact.secret, cast(Language, user.language), tuple(one.id for one in rows),
        max(one.attempts for one in rows), items,
    )  # fmt: skip


class _Moments:
    """When each person is told of one alert's event: their wishes, put off further by a silence."""

    def __init__(self, session: Session, alert: Alert, now: datetime) -> None:
        self._severity = alert.severity
        self._now = now
        self._zone = session.get_one(Site, alert.site).timezone
        windows = silences.current(session, now)
        self._silent_until = silences.match(
            windows, "silence", alert.site, alert.rule_kind, alert.source, now
        )

    def __call__(self, prefs: NotifyPrefs) -> Moment:
        wish = when(prefs, self._severity, self._now, self._zone)
        if self._silent_until is not None and self._silent_until >= wish.at:
            return Moment(self._silent_until, "silence")
        return wish


def _managers(session: Session, site: str) -> list[_Recipient]:
    """Return the contacts of the site's managers."""
    query = (
        select(Contact.id, User)
        .join(User, User.id == Contact.user_id)
        .join(UserSite, UserSite.user_id == User.id)
        .where(UserSite.site == site, User.role == "manager", User.disabled.is_(False))
        .order_by(Contact.id)
    )
    return _recipients((contact_id, user) for contact_id, user in session.execute(query))


def _officials(session: Session, rule_kind: str) -> list[_Recipient]:
    """Return the contacts of the authority that a kind of rule goes up to."""
    role = "bureau" if rule_kind.startswith(("noise", "device")) else "water_office"
    query = (
        select(Contact.id, User)
        .join(User, User.id == Contact.user_id)
        .where(User.role == role, User.disabled.is_(False))
        .order_by(Contact.id)
    )
    return _recipients((contact_id, user) for contact_id, user in session.execute(query))


def _recipients(rows: Iterable[tuple[int, User]]) -> list[_Recipient]:
    return [_Recipient(contact_id, _prefs_of(user)) for contact_id, user in rows]


def _prefs_of(user: User) -> NotifyPrefs:
    try:
        return parse_prefs(user.notify)
    except BadPrefs as error:
        log.error("a user's preferences are not understood; telling at once", user=user.id, fault=str(error))
        return NotifyPrefs()
