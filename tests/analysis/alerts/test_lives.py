"""Any life of an alert: random observations, restarts, clock steps, late data, people, two processes at once.

Checked after every step: the log is a chain without gaps, every message was queued exactly when its transition says,
none twice, and no transition is overdue; and at the end of any life, calm that lasts resolves everything. ``Lives``
gives the book any verdicts at all; ``Days`` plays seconds into a real store, some of them late, and knows from the
seconds alone what must stand.
"""

from __future__ import annotations

import math
import tempfile
from collections import Counter
from datetime import datetime, timedelta
from itertools import count
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule
from sqlalchemy import select

from analysis.alerts.actions import NotPossible, acknowledge
from analysis.alerts.book import AlertBook, to_standing
from analysis.alerts.machine import CLOSED, Observation, Standing, Timing, Verdict
from analysis.notify.queue import Queue
from analysis.rules.catalog import new_kinds
from analysis.rules.edit import add_rule
from analysis.rules.kinds import RuleView, Sighting, view
from analysis.rules.watch import Watch
from store.registry.database import Registry
from store.registry.models import Alert, AlertTransition, Delivery, Rule
from store.series.duckdb_store import DuckDbStore
from tests.analysis import readings
from tests.analysis.quarter import NOON, add_manager, furnish

SOURCES = ("gate", "roof")
VERDICTS: tuple[Verdict, ...] = ("breach", "between", "clear", "no_data")
STEPS = st.sampled_from([0, 1, 10, 60, 60, 60, 300, 600, 3600])
ALLOWED = {
    ("none", "pending"), ("pending", "firing"), ("pending", "cancelled"), ("firing", "firing"),
    ("firing", "escalated"), ("firing", "acknowledged"), ("firing", "resolved"), ("escalated", "escalated"),
    ("escalated", "acknowledged"), ("escalated", "resolved"), ("acknowledged", "acknowledged"),
    ("acknowledged", "resolved"),
}  # fmt: skip


def check_log(registry: Registry) -> None:
    """Every alert's lines are a chain of allowed steps from nothing to its present state."""
    with registry.reader() as session:
        lines = session.scalars(select(AlertTransition).order_by(AlertTransition.id)).all()
        for alert in session.scalars(select(Alert)):
            states = ["none"]
            for step in (line for line in lines if line.alert_id == alert.id):
                assert step.from_state == states[-1]
                assert (step.from_state, step.to_state) in ALLOWED
                assert step.reason and step.who
                states.append(step.to_state)
            assert states[-1] == alert.state
            assert (alert.open_key is None) == (alert.state in CLOSED) == (alert.resolved_at is not None)


def check_messages(registry: Registry) -> None:
    """Nobody is told anything twice, and everything that somebody must be told is queued."""
    with registry.reader() as session:
        queued = Counter(
            (row.alert_id, row.event, row.contact_id) for row in session.scalars(select(Delivery))
        )
        moved = {
            (step.alert_id, step.to_state)
            for step in session.scalars(select(AlertTransition))
            if step.from_state != step.to_state
        }
    assert all(count == 1 for count in queued.values())
    told = {(alert, event) for alert, event, _ in queued}
    for event in ("firing", "escalated"):
        assert {one for one in told if one[1] == event} == {one for one in moved if one[1] == event}
    fired = {alert for alert, state in moved if state == "firing"}
    assert {a for a, e in told if e == "resolved"} == {a for a, s in moved if s == "resolved" and a in fired}


def check_due(alert: Standing | None, verdict: Verdict, now: datetime, timing: Timing) -> None:
    """What was just seen leaves nothing undone: written from the words of docs/rules.md, not from the machine."""
    if alert is None:
        assert verdict != "breach", "a condition that is met has an alert"
        return
    for began in (alert.pending_since, alert.firing_since, alert.recovering_since):
        assert began is None or began <= now, "nothing waits for a clock that stepped back"
    if alert.state == "pending":
        assert verdict in ("breach", "between"), "a pending alert that loses its ground is cancelled"
        assert verdict == "between" or now - alert.pending_since < timing.hold, "the hold is over"
        return
    assert alert.no_data == (verdict == "no_data"), "no data is shown, and nothing else is"
    if verdict == "clear":
        assert alert.recovering_since is not None and now - alert.recovering_since < timing.recover
    if verdict in ("breach", "no_data"):
        assert alert.recovering_since is None, "the recovery begins anew"
    if alert.state == "firing":
        assert alert.firing_since is not None and timing.escalate_after is not None
        assert now - alert.firing_since < timing.escalate_after, "nobody answered in time"


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
                session, "garden", "noise_window", {"hold_s": 60, "recover_s": 300}, who="li", now=NOON
            )
            self._rule: RuleView = view(session.get_one(Rule, row.id), new_kinds())
        self._now: datetime = NOON
        self._book = AlertBook(self._registry, Queue())
        self._seen: dict[str, Verdict] = {}
        self._looked_at: datetime | None = None

    @rule(verdicts=st.tuples(*[st.sampled_from(("breach", *VERDICTS))] * len(SOURCES)), later_s=STEPS)
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
        self._seen.pop(source, None)

    @invariant()
    def the_log_is_a_chain_that_ends_in_the_present_state(self) -> None:
        check_log(self._registry)

    @invariant()
    def every_message_follows_from_one_transition(self) -> None:
        check_messages(self._registry)

    @invariant()
    def no_transition_is_overdue(self) -> None:
        if self._looked_at != self._now:
            return  # time has passed since anybody looked
        with self._registry.reader() as session:
            open_alerts = {
                alert.source: to_standing(alert)
                for alert in session.scalars(select(Alert).where(Alert.state.not_in(CLOSED)))
            }
        for source, verdict in self._seen.items():
            check_due(open_alerts.get(source), verdict, self._now, self._rule.timing)

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
        self._seen = dict(zip(SOURCES, verdicts, strict=True))
        self._looked_at = self._now


MINUTE = timedelta(minutes=1)
WINDOW_S = 120
TIMING = Timing(timedelta(0), timedelta(seconds=180), timedelta(seconds=1800))


class Days(RuleBasedStateMachine):
    """Minutes of noise into a real store, some held back and sent late; rounds of the watch, restarts, clock steps."""

    def __init__(self) -> None:
        super().__init__()
        self._folder = tempfile.TemporaryDirectory()
        self._registry = Registry.in_folder(Path(self._folder.name) / "registry")
        self._series = DuckDbStore(Path(self._folder.name) / "series.duckdb", memory_mb=128, threads=1)
        with self._registry.session() as session:
            furnish(session)
            add_manager(session, "json://127.0.0.1:1/")
            add_manager(session, "json://127.0.0.1:1/", name="bureau", role="bureau")
            params = {"window_s": WINDOW_S, "recover_s": 180}
            add_rule(session, "garden", "noise_window", params, who="li", now=NOON)
        self._now = NOON
        self._level: dict[int, float] = {}
        """What is stored, by second since the beginning."""
        self._held_back: list[tuple[datetime, float]] = []
        self._start_watch()

    @rule(level_db=st.sampled_from([40.0, 54.6, 70.0]), arrives=st.booleans())
    def a_minute(self, level_db: float, arrives: bool) -> None:
        if arrives:
            self._store(self._now, level_db)
        else:
            self._held_back.append((self._now, level_db))
        self._now += MINUTE
        self._round(self._now)

    @rule(minutes=st.integers(2, 40))
    def silence(self, minutes: int) -> None:
        self._now += minutes * MINUTE
        self._round(self._now)

    @rule()
    def the_backlog_arrives_newest_first(self) -> None:
        for start, level_db in reversed(self._held_back):
            self._store(start, level_db)
        self._held_back.clear()
        self._round(self._now)

    @rule()
    def restart(self) -> None:
        self._registry.close()
        self._registry = Registry.in_folder(Path(self._folder.name) / "registry")
        self._start_watch()
        self._round(self._now)

    @rule(back_s=st.sampled_from([1, 30, 300, 3600]))
    def the_clock_steps_back_for_a_round(self, back_s: int) -> None:
        self._round(self._now - timedelta(seconds=back_s))
        self._round(self._now)

    @rule()
    def somebody_answers(self) -> None:
        with self._registry.session() as session:
            for number in session.scalars(select(Alert.id).where(Alert.state.in_(["firing", "escalated"]))):
                acknowledge(session, number, "li", self._now)

    @invariant()
    def log_and_messages_are_whole(self) -> None:
        check_log(self._registry)
        check_messages(self._registry)

    def teardown(self) -> None:
        self.the_backlog_arrives_newest_first()
        for _ in range(6):
            self.a_minute(40.0, arrives=True)
        with self._registry.reader() as session:
            assert session.scalars(select(Alert).where(Alert.state.not_in(CLOSED))).all() == []
        self._series.close()
        self._registry.close()
        self._folder.cleanup()

    def _start_watch(self) -> None:
        # Each round reads the registry anew, as it would seconds later.
        passed = count()
        self._watch = Watch(
            self._series, self._registry, AlertBook(self._registry, Queue()),
            monotonic=lambda: float(next(passed)) * 60.0,
        )  # fmt: skip

    def _store(self, start: datetime, level_db: float) -> None:
        readings.noise(self._series, start, 60, level_db)
        first = round((start - NOON) / timedelta(seconds=1))
        self._level.update(dict.fromkeys(range(first, first + 60), level_db))

    def _round(self, now: datetime) -> None:
        self._watch.round(now + timedelta(seconds=1))
        with self._registry.reader() as session:
            alert = session.scalar(select(Alert).where(Alert.source == "gate", Alert.state.not_in(CLOSED)))
            standing = to_standing(alert) if alert else None
        check_due(standing, self._must_be(now), now + timedelta(seconds=1), TIMING)

    def _must_be(self, now: datetime) -> Verdict:
        """Say from the seconds alone what the window up to ``now`` is: 55 dB by day, one of hysteresis, half valid."""
        last = round((now - NOON) / timedelta(seconds=1))
        levels = [self._level[n] for n in range(last - WINDOW_S, last) if n in self._level]
        if len(levels) < WINDOW_S / 2:
            return "no_data"
        mean = 10 * math.log10(math.fsum(10 ** (one / 10) for one in levels) / len(levels))
        return "breach" if mean > 55.0 else "clear" if mean <= 54.0 else "between"


TestDays = pytest.mark.slow(Days.TestCase)
TestDays.settings = settings(
    max_examples=10, stateful_step_count=25, deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
TestLives = pytest.mark.slow(Lives.TestCase)
TestLives.settings = settings(
    max_examples=25, stateful_step_count=30, deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
