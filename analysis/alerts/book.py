"""Keeps alerts in the registry: sightings in, transitions and messages out, in one transaction.

The database refuses a second open alert of one rule and source (``alerts.open_key``), a transition and the messages
that it causes are committed together, and everything that the machine needs is in the row: a restart neither repeats
nor forgets anything.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Final, Protocol, cast

import structlog
from sqlalchemy import select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from analysis.alerts.machine import (
    CLOSED,
    Observation,
    Outcome,
    Reason,
    Standing,
    State,
    Transition,
    decide,
    withdraw,
)
from analysis.alerts.snapshot import AlertSnapshot, snapshot
from analysis.rules.kinds import Sighting
from analysis.shard import EVERY_SITE, Turn
from store.registry.database import Registry
from store.registry.models import Alert, AlertTransition

log = structlog.get_logger(__name__)

WHO: Final = "analysis"
Key = tuple[int, str]
"""Rule and source."""
PORTION: Final = 200
"""Alerts in one transaction at most: all that write to the registry take turns, heartbeats among them."""


class Teller(Protocol):
    """Puts messages about an alert's transitions into the queue, within the caller's transaction."""

    def tell(self, session: Session, alert: Alert, transitions: Sequence[Transition], now: datetime) -> None:
        """Queue what people are to be told."""
        ...


class AlertBook:
    """The alerts of one registry."""

    def __init__(self, registry: Registry, teller: Teller) -> None:
        self._registry = registry
        self._teller = teller
        self.refused = 0
        """Sightings that were not written because their site had gone to another process."""

    def take(
        self, sightings: Sequence[Sighting], now: datetime, turn: Turn = EVERY_SITE
    ) -> list[AlertSnapshot]:
        """Bring alerts up to what was seen; return those that made a transition, in order.

        What was seen at a site that is not this turn's any more is left to whoever has it now.
        """
        with self._registry.reader() as session:
            standing = {key: to_standing(alert) for key, alert in _open_alerts(session, turn).items()}
        wanted = [one for one in sightings if _decide(standing.get(_key(one)), one, now).save]
        if not wanted:
            return []
        changed: list[AlertSnapshot] = []
        for first in range(0, len(wanted), PORTION):
            try:
                changed += self._write(wanted[first : first + PORTION], now, turn)
            except IntegrityError:
                # Another process opened the same alert in between; the next round sees it.
                log.warning("an alert was opened twice at once; trying again next round")
        return changed

    def withdraw(
        self, keys: Mapping[Key, Reason], now: datetime, turn: Turn = EVERY_SITE
    ) -> list[AlertSnapshot]:
        """End open alerts whose rule or source is gone."""
        changed: list[AlertSnapshot] = []
        with self._registry.reader() as session:
            wanted = [one.open_key or "" for key, one in _open_alerts(session, turn).items() if key in keys]
        for first in range(0, len(wanted), PORTION):
            changed += self._withdraw(wanted[first : first + PORTION], keys, now, turn)
        return changed

    def _withdraw(
        self, wanted: Sequence[str], keys: Mapping[Key, Reason], now: datetime, turn: Turn
    ) -> list[AlertSnapshot]:
        changed: list[AlertSnapshot] = []
        with self._registry.session() as session:
            gone = _open_alerts(session, turn, wanted)
            mine = turn.still(session, {alert.site for alert in gone.values()})
            for key, alert in gone.items():
                if alert.site in mine:
                    self._apply(session, alert, withdraw(to_standing(alert), keys[key], now), None, now)
                    changed.append(snapshot(alert))
        return changed

    def open_keys(self, turn: Turn = EVERY_SITE) -> set[Key]:
        """Return rule and source of every open alert of the turn's sites."""
        with self._registry.reader() as session:
            return set(_open_alerts(session, turn))

    def _write(self, wanted: Sequence[Sighting], now: datetime, turn: Turn) -> list[AlertSnapshot]:
        changed: list[AlertSnapshot] = []
        with self._registry.session() as session:
            mine = turn.still(session, {one.rule.site for one in wanted})
            # Read again within the transaction: somebody may have acknowledged in between.
            keys = [open_key(one.rule.id, one.rule.site, one.source) for one in wanted]
            open_alerts = _open_alerts(session, turn, keys)
            for one in wanted:
                if one.rule.site not in mine:
                    self.refused += 1
                    continue
                alert = open_alerts.get(_key(one))
                outcome = _decide(to_standing(alert) if alert else None, one, now)
                if not outcome.save:
                    continue
                if alert is None:
                    alert = _new_alert(session, one, now)
                self._apply(session, alert, outcome, one.seen, now)
                if outcome.transitions:
                    changed.append(snapshot(alert))
        return changed

    def _apply(
        self, session: Session, alert: Alert, outcome: Outcome, seen: Observation | None, now: datetime
    ) -> None:
        assert outcome.alert is not None
        _update(alert, outcome.alert, seen, now)
        if outcome.transitions:
            session.flush()  # a new alert has its number then
            session.add_all(_line(alert, one, now) for one in outcome.transitions)
            self._teller.tell(session, alert, outcome.transitions, now)


def open_key(rule_id: int, site: str, source: str) -> str:
    """Return what is unique among open alerts."""
    return f"{rule_id}/{site}/{source}"


def to_standing(alert: Alert) -> Standing:
    """Return a row as the machine sees it."""
    return Standing(
        state=cast(State, alert.state), pending_since=alert.pending_since, firing_since=alert.firing_since,
        recovering_since=alert.recovering_since, no_data=alert.no_data, value=alert.value, limit=alert.limit,
        worst=alert.peak_value, updated_at=alert.updated_at,
    )  # fmt: skip


def _decide(standing: Standing | None, one: Sighting, now: datetime) -> Outcome:
    return decide(standing, one.seen, now, one.rule.timing)


def _open_alerts(session: Session, turn: Turn, keys: Sequence[str] | None = None) -> dict[Key, Alert]:
    """Return the open alerts of the turn's sites, or those of them with these open keys."""
    which = Alert.open_key.is_not(None) if keys is None else Alert.open_key.in_(keys)
    rows: Iterable[Alert] = session.scalars(select(Alert).where(which))
    return {
        (alert.rule_id, alert.source): alert
        for alert in rows
        if turn.sites is None or alert.site in turn.sites
    }


def _key(one: Sighting) -> Key:
    return one.rule.id, one.source


def _new_alert(session: Session, one: Sighting, now: datetime) -> Alert:
    rule = one.rule
    alert = Alert(
        rule_id=rule.id, rule_kind=rule.kind, site=rule.site, source=one.source, state="pending",
        severity=rule.params.severity, open_key=open_key(rule.id, rule.site, one.source),
        pending_since=now, updated_at=now, detail={},
    )  # fmt: skip
    session.add(alert)
    return alert


def _update(alert: Alert, new: Standing, seen: Observation | None, now: datetime) -> None:
    alert.state, alert.no_data = new.state, new.no_data
    alert.pending_since, alert.firing_since = new.pending_since, new.firing_since
    alert.recovering_since = new.recovering_since
    alert.value, alert.limit, alert.peak_value = new.value, new.limit, new.worst
    if new.state == "escalated" and alert.escalated_at is None:
        alert.escalated_at = now
    alert.updated_at = now
    if seen is not None and seen.value is not None and (seen.verdict == "breach" or not alert.detail):
        alert.detail = dict(seen.detail)  # what explains the breach, not the calm after it
    if new.state in CLOSED:
        alert.open_key, alert.resolved_at = None, now


def _line(alert: Alert, one: Transition, now: datetime) -> AlertTransition:
    return AlertTransition(
        alert_id=alert.id,
        at=now,
        from_state=one.from_state or "none",
        to_state=one.to_state,
        reason=one.reason,
        who=WHO,
    )
