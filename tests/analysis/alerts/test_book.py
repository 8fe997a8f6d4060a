from datetime import datetime, timedelta

import pytest
from sqlalchemy import select

from analysis.alerts import book
from analysis.alerts.actions import NoSuchAlert, NotPossible, acknowledge
from analysis.alerts.book import AlertBook
from analysis.alerts.machine import Observation
from analysis.notify.queue import Queue
from analysis.rules.catalog import ensure_default_rules, new_kinds
from analysis.rules.kinds import RuleView, Sighting, view
from store.registry.database import Registry
from store.registry.models import Alert, AlertTransition, Delivery, Rule
from tests.analysis.quarter import NOON, add_manager

BREACH, CLEAR = Observation("breach", 60.0, 55.0, {"period": "day"}), Observation("clear", 40.0, 55.0)


@pytest.fixture
def rule(registry: Registry) -> RuleView:
    with registry.session() as session:
        ensure_default_rules(session, "garden", NOON)
        row = session.scalars(select(Rule).filter_by(kind="noise_window")).one()
        return view(row, new_kinds())


def _see(
    registry: Registry, rule: RuleView, seen: Observation, at: datetime, source: str = "gate"
) -> list[str]:
    kept = AlertBook(registry, Queue())  # a new one each time: nothing is remembered outside of the registry
    return [one.state for one in kept.take([Sighting(rule, source, seen)], at)]


def _events(registry: Registry) -> list[str]:
    with registry.reader() as session:
        return list(session.scalars(select(Delivery.event).order_by(Delivery.id)))


def _log(registry: Registry) -> list[tuple[str, str, str, str]]:
    with registry.reader() as session:
        rows = session.scalars(select(AlertTransition).order_by(AlertTransition.id))
        return [(one.from_state, one.to_state, one.reason, one.who) for one in rows]


def test_many_alerts_are_written_in_portions_and_all_of_them(
    registry: Registry, rule: RuleView, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(book, "PORTION", 3)
    sessions = 0
    begin = registry.session

    def counted():
        nonlocal sessions
        sessions += 1
        return begin()

    monkeypatch.setattr(registry, "session", counted)
    many = [Sighting(rule, f"gate-{n}", BREACH) for n in range(10)]
    kept = AlertBook(registry, Queue())
    assert [one.state for one in kept.take(many, NOON)] == ["firing"] * 10
    assert sessions == 4
    gone = {(rule.id, f"gate-{n}"): "source_removed" for n in range(10)}
    assert len(kept.withdraw(gone, NOON)) == 10 and sessions == 8  # type: ignore[arg-type]
    assert kept.open_keys() == set()


def test_an_alert_lives_through_restarts_and_each_message_is_queued_once(
    registry: Registry, rule: RuleView
) -> None:
    with registry.session() as session:
        add_manager(session, "json://127.0.0.1:1/")
    assert _see(registry, rule, BREACH, NOON) == ["firing"]
    for minute in range(1, 10):
        assert _see(registry, rule, BREACH, NOON + timedelta(minutes=minute)) == []
    assert _see(registry, rule, CLEAR, NOON + timedelta(minutes=10)) == []
    assert _see(registry, rule, CLEAR, NOON + timedelta(minutes=15)) == ["resolved"]
    assert _see(registry, rule, CLEAR, NOON + timedelta(minutes=16)) == []
    assert _events(registry) == ["firing", "resolved"]
    assert _log(registry) == [
        ("none", "pending", "condition_met", "analysis"),
        ("pending", "firing", "condition_held", "analysis"),
        ("firing", "resolved", "condition_gone", "analysis"),
    ]
    with registry.reader() as session:
        alert = session.scalars(select(Alert)).one()
        assert alert.open_key is None and alert.resolved_at == NOON + timedelta(minutes=15)
        assert (alert.peak_value, alert.value, alert.detail) == (60.0, 40.0, {"period": "day"})
    assert _see(registry, rule, BREACH, NOON + timedelta(minutes=20)) == ["firing"]


def test_sources_do_not_share_an_alert(registry: Registry, rule: RuleView) -> None:
    assert _see(registry, rule, BREACH, NOON, "gate") == ["firing"]
    assert _see(registry, rule, BREACH, NOON, "roof") == ["firing"]


def test_nobody_but_the_managers_of_the_site_is_told(registry: Registry, rule: RuleView) -> None:
    with registry.session() as session:
        mine = add_manager(session, "json://127.0.0.1:1/a", name="mine")
        add_manager(session, "json://127.0.0.1:1/b", name="viewer", role="viewer")
    _see(registry, rule, BREACH, NOON)
    with registry.reader() as session:
        assert session.scalars(select(Delivery.contact_id)).all() == [mine]


def test_who_was_not_told_of_the_beginning_is_not_told_of_the_end(registry: Registry, rule: RuleView) -> None:
    _see(registry, rule, BREACH, NOON)
    with registry.session() as session:
        add_manager(session, "json://127.0.0.1:1/")
    _see(registry, rule, CLEAR, NOON)
    _see(registry, rule, CLEAR, NOON + timedelta(minutes=5))
    assert _events(registry) == []


def test_acknowledging(registry: Registry, rule: RuleView) -> None:
    _see(registry, rule, BREACH, NOON)
    at = NOON + timedelta(minutes=1)
    with registry.session() as session:
        alert_id = session.scalars(select(Alert.id)).one()
        assert acknowledge(session, alert_id, "li", at, "on my way").state == "acknowledged"
        assert acknowledge(session, alert_id, "wang", at).acknowledged_by == "li"
    assert _log(registry)[-1] == ("firing", "acknowledged", "acknowledged: on my way", "li")
    _see(registry, rule, CLEAR, NOON + timedelta(minutes=2))
    _see(registry, rule, CLEAR, NOON + timedelta(minutes=7))
    assert _log(registry)[-1] == ("acknowledged", "resolved", "condition_gone", "analysis")
    with registry.session() as session:
        with pytest.raises(NotPossible, match="is resolved"):
            acknowledge(session, alert_id, "li", at)
        with pytest.raises(NoSuchAlert, match="999"):
            acknowledge(session, 999, "li", at)


def test_a_rule_that_is_gone_takes_its_alerts_along(registry: Registry, rule: RuleView) -> None:
    _see(registry, rule, BREACH, NOON)
    book = AlertBook(registry, Queue())
    assert [one.state for one in book.withdraw({(rule.id, "gate"): "rule_disabled"}, NOON)] == ["resolved"]
    assert book.open_keys() == set()
