"""What a person may do to an alert. The caller owns the session and checks who may."""

from __future__ import annotations

from datetime import datetime
from typing import Final

from sqlalchemy.orm import Session

from analysis.alerts.snapshot import AlertSnapshot, snapshot
from store.registry.models import Alert, AlertTransition

_ACKNOWLEDGEABLE: Final = ("firing", "escalated")


class NoSuchAlert(LookupError):
    """There is no alert of that number."""


class NotPossible(ValueError):
    """The alert's state does not allow it; the message says why."""


def acknowledge(
    session: Session, alert_id: int, who: str, now: datetime, note: str | None = None
) -> AlertSnapshot:
    """Note that ``who`` looks after a firing alert. Again by anyone changes nothing: the first one stands.

    Raises :class:`NoSuchAlert`, and :class:`NotPossible` for an alert that is pending or over.
    """
    alert = session.get(Alert, alert_id, with_for_update=True)
    if alert is None:
        raise NoSuchAlert(f"there is no alert {alert_id}")
    if alert.state == "acknowledged":
        return snapshot(alert)
    if alert.state not in _ACKNOWLEDGEABLE:
        raise NotPossible(f"alert {alert_id} is {alert.state}; only a firing alert can be acknowledged")
    _log(session, alert, "acknowledged", who=who, reason=_reason("acknowledged", note), now=now)
    alert.state, alert.acknowledged_at, alert.acknowledged_by = "acknowledged", now, who
    alert.updated_at = now
    session.flush()
    return snapshot(alert)


def _log(session: Session, alert: Alert, to_state: str, *, who: str, reason: str, now: datetime) -> None:
    session.add(
        AlertTransition(
            alert_id=alert.id, at=now, from_state=alert.state, to_state=to_state, reason=reason, who=who
        )
    )


def _reason(what: str, note: str | None) -> str:
    return f"{what}: {note}"[:200] if note else what
