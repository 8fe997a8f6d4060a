"""Any life of an alert: random observations, restarts, clock steps, late data, people, two processes at once.

Checked after every step: the log is a chain without gaps, every message was queued exactly when its transition says,
none twice; and at the end of any life, calm that lasts resolves everything.
"""

from __future__ import annotations

import tempfile
from collections import Counter
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule
from sqlalchemy import select

from analysis.alerts.actions import NotPossible, acknowledge
from analysis.alerts.book import AlertBook
from analysis.alerts.machine import CLOSED, Observation, Verdict
from analysis.notify.queue import Queue
from analysis.rules.catalog import new_kinds
from analysis.rules.edit import add_rule
from analysis.rules.kinds import RuleView, Sighting, view
from store.registry.database import Registry
from store.registry.models import Alert, AlertTransition, Delivery, Rule
from tests.analysis.quarter import NOON, add_manager, furnish

SOURCES = ("gate", "roof")
VERDICTS: tuple[Verdict, ...] = ("breach", "between", "clear", "no_data")
STEPS = st.sampled_from([0, 1, 10, 60, 300, 600, 3600])
ALLOWED = {
    ("none", "pending"), ("pending", "firing"), ("pending", "cancelled"), ("firing", "firing"),
    ("firing", "escalated"), ("firing", "acknowledged"), ("firing", "resolved"), ("escalated", "escalated"),
    ("escalated", "acknowledged"), ("escalated", "resolved"), ("acknowledged", "acknowledged"),
    ("acknowledged", "resolved"),
}  # fmt: skip


class Lives(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self._folder = tempfile.TemporaryDirectory()
        self._registry = Registry.in_folder(Path(self._folder.name))
        with self._registry.session() as session:
            furnish(session)
            add_manager(session, "json://127.0.0.1:1/")
            add_manager(session, "json://127.0.0.1:1/", name="bureau", role="bureau")
            row = add_rule(
                session, "garden", "noise_window", {"hold_s": 120, "recover_s": 300}, who="li", now=NOON
            )
            self._rule: RuleView = view(session.get_one(Rule, row.id), new_kinds())
        self._now: datetime = NOON
        self._book = AlertBook(self._registry, Queue())

    @rule(verdicts=st.tuples(*[st.sampled_from(VERDICTS)] * len(SOURCES)), later_s=STEPS)
    def see(self, verdicts: tuple[Verdict, ...], later_s: int) -> None:
        self._now += timedelta(seconds=later_s)
        self._see(self._book, verdicts)

    @rule(verdicts=st.tuples(*[st.sampled_from(VERDICTS)] * len(SOURCES)))
    def two_processes_see_at_once(self, verdicts: tuple[Verdict, ...]) -> None:
        self._see(AlertBook(self._registry, Queue()), verdicts)
        self._see(self._book, verdicts)

    @rule()
    def restart(self) -> None:
        self._registry.close()
        self._registry = Registry.in_folder(Path(self._folder.name))
        self._book = AlertBook(self._registry, Queue())

    @rule(step_s=st.sampled_from([-86_400, -3600, -61, -1, 3600, 86_400]))
    def clock_steps(self, step_s: int) -> None:
        self._now += timedelta(seconds=step_s)

    @rule(who=st.sampled_from(["li", "wang"]), pick=st.integers(0, 3))
    def somebody_acknowledges(self, who: str, pick: int) -> None:
        with self._registry.session() as session:
            ids = list(session.scalars(select(Alert.id).order_by(Alert.id.desc()).limit(4)))
            if pick < len(ids):
                try:
                    acknowledge(session, ids[pick], who, self._now)
                except NotPossible:
                    return

    @precondition(lambda self: self._book.open_keys())
    @rule(source=st.sampled_from(SOURCES))
    def a_source_is_removed(self, source: str) -> None:
        self._book.withdraw({(self._rule.id, source): "source_removed"}, self._now)

    @invariant()
    def the_log_is_a_chain_that_ends_in_the_present_state(self) -> None:
        with self._registry.reader() as session:
            for alert in session.scalars(select(Alert)):
                steps = session.scalars(
                    select(AlertTransition).filter_by(alert_id=alert.id).order_by(AlertTransition.id)
                ).all()
                states = ["none"]
                for step in steps:
                    assert step.from_state == states[-1]
                    assert (step.from_state, step.to_state) in ALLOWED
                    states.append(step.to_state)
                assert states[-1] == alert.state
                assert (alert.open_key is None) == (alert.state in CLOSED) == (alert.resolved_at is not None)

    @invariant()
    def every_message_follows_from_one_transition(self) -> None:
        with self._registry.reader() as session:
            queued = Counter(
                (row.alert_id, row.event, row.contact_id) for row in session.scalars(select(Delivery))
            )
            assert all(count == 1 for count in queued.values())
            moved = {
                (step.alert_id, step.to_state)
                for step in session.scalars(select(AlertTransition))
                if step.from_state != step.to_state
            }
        told = {(alert, event) for alert, event, _ in queued}
        for event in ("firing", "escalated"):
            assert {one for one in told if one[1] == event} == {one for one in moved if one[1] == event}
        fired = {alert for alert, state in moved if state == "firing"}
        assert {a for a, e in told if e == "resolved"} == {
            a for a, s in moved if s == "resolved" and a in fired
        }

    @invariant()
    def no_source_has_two_open_alerts(self) -> None:
        with self._registry.reader() as session:
            sources = session.scalars(select(Alert.source).where(Alert.state.not_in(CLOSED))).all()
        assert len(sources) == len(set(sources))

    def teardown(self) -> None:
        for _ in range(2):
            self._see(self._book, ("clear",) * len(SOURCES))
            self._now += timedelta(seconds=300)
        with self._registry.reader() as session:
            assert session.scalars(select(Alert).where(Alert.state.not_in(CLOSED))).all() == []
        self._registry.close()
        self._folder.cleanup()

    def _see(self, book: AlertBook, verdicts: tuple[Verdict, ...]) -> None:
        value = {"breach": 60.0, "between": 54.5, "clear": 40.0, "no_data": None}
        seen = [
            Sighting(self._rule, source, Observation(verdict, value[verdict], 55.0))
            for source, verdict in zip(SOURCES, verdicts, strict=True)
        ]
        book.take(seen, self._now)


TestLives = pytest.mark.slow(Lives.TestCase)
TestLives.settings = settings(
    max_examples=25, stateful_step_count=30, deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
