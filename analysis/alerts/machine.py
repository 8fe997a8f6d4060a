"""The alert's state machine: (alert, observation, now) → outcome with a named reason. Pure.

``pending → firing → acknowledged → resolved``, with ``escalated`` between firing and acknowledged where nobody took
the alert up in time, and ``cancelled`` for a pending alert that never fired.

An observation judges the condition like a Schmitt trigger: ``breach`` above the upper threshold, ``clear`` at or below
the lower one, ``between`` in the hysteresis. An alert changes on evidence only: it fires on a breach that has lasted,
resolves on clear observations that have lasted, and *no data* is neither: it is shown at the alert, and stops the
recovery's clock.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any, Literal

State = Literal["pending", "firing", "escalated", "acknowledged", "resolved", "cancelled"]
Verdict = Literal["breach", "between", "clear", "no_data"]
Reason = Literal[
    "condition_met", "condition_held", "condition_gone", "not_acknowledged_in_time", "no_data", "data_back",
    "rule_disabled", "rule_changed", "source_removed",
]  # fmt: skip

CLOSED: tuple[State, ...] = ("resolved", "cancelled")
UNANSWERED: tuple[State, ...] = ("firing", "escalated")


@dataclass(frozen=True, slots=True)
class Observation:
    """What a rule saw at one source: its verdict, the value, the limit, and what explains them."""

    verdict: Verdict
    value: float | None = None
    limit: float | None = None
    detail: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Timing:
    """How long a condition must hold before the alert fires, and be gone before it resolves.

    ``escalate_after`` is how long a firing alert waits for somebody; ``None`` for ever. ``save_every`` bounds how
    often new values without a transition are worth a write.
    """

    hold: timedelta = timedelta(0)
    recover: timedelta = timedelta(0)
    escalate_after: timedelta | None = None
    save_every: timedelta = timedelta(seconds=30)


@dataclass(frozen=True, slots=True)
class Standing:
    """An alert as the machine sees it. ``worst`` is the value furthest beyond its limit so far."""

    state: State
    pending_since: datetime
    firing_since: datetime | None = None
    recovering_since: datetime | None = None
    no_data: bool = False
    value: float | None = None
    limit: float | None = None
    worst: float | None = None
    updated_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Transition:
    """One line for the log. ``from_state`` is ``None`` for a new alert."""

    from_state: State | None
    to_state: State
    reason: Reason


@dataclass(frozen=True, slots=True)
class Outcome:
    """The alert after an observation (``None``: there is none), what happened to it, and whether to write it down."""

    alert: Standing | None
    transitions: tuple[Transition, ...] = ()
    save: bool = False


NOTHING = Outcome(None)


def decide(alert: Standing | None, seen: Observation, now: datetime, timing: Timing) -> Outcome:
    """Return what an observation makes of an open alert, or of none. Never reopens: the caller gives open ones."""
    if alert is None:
        return _begin(seen, now, timing) if seen.verdict == "breach" else NOTHING
    if alert.state in CLOSED:
        raise ValueError(f"the alert is {alert.state}: an observation belongs to an open alert or to none")
    present = _without_future(alert, now)
    on_state = _on_pending if alert.state == "pending" else _on_firing
    outcome = on_state(present, seen, now, timing)
    # A time that was moved must be written down, or the next observation would find it in the future again.
    return outcome if present == alert else replace(outcome, save=True)


def withdraw(alert: Standing, reason: Reason, now: datetime) -> Outcome:
    """Return the end of an open alert whose rule or source is gone."""
    end: State = "cancelled" if alert.state == "pending" else "resolved"
    return Outcome(
        replace(alert, state=end, updated_at=now), (Transition(alert.state, end, reason),), save=True
    )


def _begin(seen: Observation, now: datetime, timing: Timing) -> Outcome:
    new = _with_values(Standing("pending", pending_since=now), seen, now)
    born = Transition(None, "pending", "condition_met")
    if timing.hold > timedelta(0):
        return Outcome(new, (born,), save=True)
    return _fire(new, now, (born,))


def _on_pending(alert: Standing, seen: Observation, now: datetime, timing: Timing) -> Outcome:
    if seen.verdict in ("clear", "no_data"):
        # Nobody was told of a pending alert; when data is back and bad, a new one begins.
        reason: Reason = "condition_gone" if seen.verdict == "clear" else "no_data"
        return withdraw(alert, reason, now)
    if seen.verdict == "breach" and now - alert.pending_since >= timing.hold:
        return _fire(_with_values(alert, seen, now), now, ())
    return _quiet(alert, _with_values(alert, seen, now), now, timing)


def _on_firing(alert: Standing, seen: Observation, now: datetime, timing: Timing) -> Outcome:
    if seen.verdict == "no_data":
        return _on_no_data(alert, now, timing)
    steps: tuple[Transition, ...] = ()
    new = _with_values(alert, seen, now)
    if alert.no_data:
        new = replace(new, no_data=False)
        steps = (Transition(alert.state, alert.state, "data_back"),)
    if seen.verdict == "breach":
        new = replace(new, recovering_since=None)
    elif seen.verdict == "clear":
        since = new.recovering_since or now
        new = replace(new, recovering_since=since)
        if now - since >= timing.recover:
            end = Transition(alert.state, "resolved", "condition_gone")
            return Outcome(replace(new, state="resolved", updated_at=now), (*steps, end), save=True)
    return _maybe_escalate(alert, new, steps, now, timing)


def _on_no_data(alert: Standing, now: datetime, timing: Timing) -> Outcome:
    if alert.no_data:
        return _maybe_escalate(alert, alert, (), now, timing)
    new = replace(alert, no_data=True, recovering_since=None, updated_at=now)
    return _maybe_escalate(alert, new, (Transition(alert.state, alert.state, "no_data"),), now, timing)


def _maybe_escalate(
    old: Standing, new: Standing, steps: tuple[Transition, ...], now: datetime, timing: Timing
) -> Outcome:
    late = timing.escalate_after is not None and now - (new.firing_since or now) >= timing.escalate_after
    if new.state == "firing" and late:
        up = Transition("firing", "escalated", "not_acknowledged_in_time")
        return Outcome(replace(new, state="escalated", updated_at=now), (*steps, up), save=True)
    if steps:
        return Outcome(new, steps, save=True)
    return _quiet(old, new, now, timing)


def _fire(alert: Standing, now: datetime, before: tuple[Transition, ...]) -> Outcome:
    fired = replace(alert, state="firing", firing_since=now, updated_at=now)
    return Outcome(fired, (*before, Transition("pending", "firing", "condition_held")), save=True)


def _quiet(old: Standing, new: Standing, now: datetime, timing: Timing) -> Outcome:
    """No transition: write it down when the recovery's clock changed, or now and then."""
    due = old.updated_at is None or now - old.updated_at >= timing.save_every
    if due or old.recovering_since != new.recovering_since or old.pending_since != new.pending_since:
        return Outcome(replace(new, updated_at=now), save=True)
    return Outcome(new)


def _with_values(alert: Standing, seen: Observation, now: datetime) -> Standing:
    if seen.value is None:
        return replace(alert, updated_at=alert.updated_at or now)
    worst = seen.value if alert.worst is None else max(alert.worst, seen.value)
    return replace(alert, value=seen.value, limit=seen.limit, worst=worst, updated_at=alert.updated_at or now)


def _without_future(alert: Standing, now: datetime) -> Standing:
    """After a clock stepped back, what "began in the future" begins now: an alert must not wait for hours."""
    return replace(
        alert,
        pending_since=min(alert.pending_since, now),
        firing_since=min(alert.firing_since, now) if alert.firing_since else None,
        recovering_since=min(alert.recovering_since, now) if alert.recovering_since else None,
        updated_at=min(alert.updated_at, now) if alert.updated_at else None,
    )
