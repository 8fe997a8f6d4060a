"""Links in messages: the page of an alert, and the one-tap link that takes it on.

A link's token is random and kept as its SHA-256 only. Opening the link must not acknowledge by itself: mail scanners
and chat previews open every link; the page that it leads to has the button.
"""

from __future__ import annotations

import hashlib
import secrets
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from sqlalchemy import select
from sqlalchemy.orm import Session

from analysis.alerts.actions import NotPossible, acknowledge
from analysis.alerts.snapshot import AlertSnapshot, snapshot
from store.registry.models import Alert, Contact, Delivery, User

VALID_FOR: Final = timedelta(days=7)


class LinkNotValid(LookupError):
    """The link is unknown, too old, or its user may not act any more."""


@dataclass(frozen=True, slots=True)
class LinkedAlert:
    """What a link leads to: the alert, and as whom its holder acts."""

    alert: AlertSnapshot
    user: str
    language: str


def page_url(base_url: str, alert_id: int) -> str:
    """Return the page of an alert."""
    return f"{base_url.rstrip('/')}/?alert={alert_id}"


def ack_url(base_url: str, token: str) -> str:
    """Return the page with the one button of a link."""
    return f"{base_url.rstrip('/')}/ack/{token}"


def new_token() -> str:
    """Return a token of 192 random bits."""
    return secrets.token_urlsafe(24)


def digest(token: str) -> str:
    """Return what is kept of a token."""
    return hashlib.sha256(token.encode()).hexdigest()


def open_link(session: Session, token: str, now: datetime) -> LinkedAlert:
    """Return what a link leads to. Changes nothing. Raises :class:`LinkNotValid`."""
    delivery = session.scalar(select(Delivery).where(Delivery.ack_sha256 == digest(token)))
    if delivery is None or now - delivery.created_at > VALID_FOR:
        raise LinkNotValid("this link is not valid any more; log in to see the alert")
    user = session.get_one(User, session.get_one(Contact, delivery.contact_id).user_id)
    if user.disabled:
        raise LinkNotValid("this link's user is disabled")
    return LinkedAlert(snapshot(session.get_one(Alert, delivery.alert_id)), user.name, user.language)


def acknowledge_by_link(session: Session, token: str, now: datetime) -> AlertSnapshot:
    """Take an alert on as the link's user. An alert that is over stays as it is.

    Raises :class:`LinkNotValid`.
    """
    linked = open_link(session, token, now)
    try:
        return acknowledge(session, linked.alert.id, linked.user, now, "by the link of a message")
    except NotPossible:
        return linked.alert
