import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import select

from analysis.alerts.actions import acknowledge
from analysis.alerts.snapshot import AlertSnapshot
from analysis.exclusions import exclude
from analysis.rules.catalog import ensure_default_rules
from analysis.service import Analysis
from contract.clock import CatchUpClock, Clock
from store.registry.database import Registry
from store.registry.models import Alert, AlertTransition, Device, Rule
from store.series.duckdb_store import DuckDbStore
from store.series.interface import StoreUnavailable
from tests.analysis import readings
from tests.analysis.quarter import NOON, add_manager
from tests.analysis.receivers import Webhook, wait_for

TEN_MINUTES = timedelta(minutes=10)


def _clock_at(start: datetime, factor: float = 1.0) -> Clock:
    """A clock that runs in the past, at the wall's speed or faster."""
    return CatchUpClock(start, datetime.now(UTC), factor)


class HandClock:
    """A clock that a test sets."""

    def __init__(self, at: datetime) -> None:
        self.at = at
        self.speed = 1.0

    def now(self) -> datetime:
        return self.at


@contextmanager
def _running(analysis: Analysis) -> Iterator[Analysis]:
    analysis.start()
    try:
        yield analysis
    finally:
        analysis.stop()
    assert not analysis.healthy
    names = {thread.name for thread in threading.enumerate()}
    assert not names & {"analysis", "courier"}


@pytest.fixture
def told(registry: Registry, webhook: Webhook) -> Webhook:
    with registry.session() as session:
        ensure_default_rules(session, "garden", NOON)
        add_manager(session, webhook.url)
    return webhook


def _states(registry: Registry) -> list[tuple[str, str]]:
    with registry.reader() as session:
        rows = session.execute(select(Alert.source, Alert.state).order_by(Alert.id))
        return [(source, state) for source, state in rows]


def test_from_the_end_of_the_window_to_the_webhook(
    series: DuckDbStore, registry: Registry, told: Webhook
) -> None:
    clock = _clock_at(NOON)
    seen: list[AlertSnapshot] = []
    with _running(Analysis(series, registry, clock, on_alert=seen.append, base_url="http://q/")) as analysis:
        wait_for(lambda: analysis.stats.rounds >= 1)
        end = clock.now().replace(microsecond=0)
        ended_at = time.monotonic()
        readings.noise(series, end - TEN_MINUTES, 600, 58.3)
        wait_for(lambda: told.received)
        assert told.arrived_at[0] - ended_at < 5.0
        assert analysis.healthy
    assert told.received[0]["title"] == "静园:噪声超限"
    assert "58.3 dB(A),超过昼间限值 55 dB(A) 3.3 dB" in told.received[0]["message"]
    assert "http://q/" in told.received[0]["message"]
    assert [(one.source, one.state, one.open) for one in seen] == [("gate", "firing", True)]
    assert analysis.stats.delivery.sent == 1


def test_a_fast_clock_does_not_make_it_busier(series: DuckDbStore, registry: Registry, told: Webhook) -> None:
    clock = _clock_at(NOON, factor=300.0)
    readings.noise(series, NOON - TEN_MINUTES, 3 * 3600, 58.3)
    began = time.monotonic()
    with _running(Analysis(series, registry, clock)) as analysis:
        wait_for(lambda: told.received)
        wait_for(lambda: analysis.stats.rounds >= 3)
    assert analysis.stats.rounds <= 2 + (time.monotonic() - began)


def test_the_whole_life_of_an_alert_over_a_restart(
    series: DuckDbStore, registry: Registry, told: Webhook
) -> None:
    clock = HandClock(NOON)
    at = NOON.replace(microsecond=0)
    readings.noise(series, at - TEN_MINUTES, 600, 60.0)
    readings.noise(series, at, 1200, 40.0)
    first = Analysis(series, registry, clock)
    clock.at = at + timedelta(seconds=1)
    first.round()
    assert _states(registry) == [("gate", "firing")]
    with registry.session() as session:
        acknowledge(session, session.scalars(select(Alert.id)).one(), "li", clock.at)
    second = Analysis(series, registry, clock)
    for minute in range(1, 20):
        clock.at = at + timedelta(minutes=minute, seconds=1)
        second.round()
    assert _states(registry) == [("gate", "resolved")]
    with registry.reader() as session:
        steps = [
            (one.to_state, one.who)
            for one in session.scalars(select(AlertTransition).order_by(AlertTransition.id))
        ]
    assert steps == [
        ("pending", "analysis"), ("firing", "analysis"), ("acknowledged", "li"), ("resolved", "analysis"),
    ]  # fmt: skip


def test_no_data_is_shown_and_resolves_nothing(
    series: DuckDbStore, registry: Registry, told: Webhook
) -> None:
    clock = HandClock(NOON + timedelta(seconds=1))
    readings.noise(series, NOON - TEN_MINUTES, 600, 60.0)
    analysis = Analysis(series, registry, clock)
    analysis.round()
    clock.at += timedelta(minutes=20)
    analysis.round()
    assert _states(registry) == [("gate", "firing")]
    with registry.reader() as session:
        assert session.scalars(select(Alert.no_data)).one()


def test_water_that_never_rests_is_told(series: DuckDbStore, registry: Registry, told: Webhook) -> None:
    readings.water(series, NOON - timedelta(hours=24), [12.0] * 24)
    with _running(Analysis(series, registry, _clock_at(NOON))):
        wait_for(lambda: told.received)
    assert told.received[0]["title"] == "静园:疑似漏水"
    assert "疑似持续漏水,约 12.0 L/h,照此每月损失约 8.8 m³、43.83 元" in told.received[0]["message"]
    with registry.reader() as session:
        assert session.scalars(select(Alert.rule_kind)).all() == ["water_leak"]  # and no second one about it


def test_without_the_detectors_the_plain_rule_tells_it(
    series: DuckDbStore, registry: Registry, told: Webhook
) -> None:
    with registry.session() as session:
        for rule in session.scalars(select(Rule).where(Rule.kind != "water_continuous")):
            rule.enabled = False
    readings.water(series, NOON - timedelta(hours=24), [12.0] * 24)
    with _running(Analysis(series, registry, _clock_at(NOON))):
        wait_for(lambda: told.received)
    assert told.received[0]["title"] == "静园:疑似持续漏水"
    assert "最小流量 12.0 L/h" in told.received[0]["message"]


def test_hours_are_rolled_up_and_again_when_late_data_comes(series: DuckDbStore, registry: Registry) -> None:
    def rolled() -> list[tuple[str, int, int]]:
        Analysis(series, registry, HandClock(NOON + timedelta(seconds=1))).round()
        rows = series.noise_rollups(NOON - timedelta(hours=3), NOON + timedelta(hours=1))
        return [(one.source, one.seconds, one.revision) for one in rows]

    readings.noise(series, NOON - timedelta(hours=2), 1800, 50.0)
    readings.noise(series, NOON, 600, 50.0)  # an hour under way has no row
    assert rolled() == [("gate", 1800, 0)]
    assert rolled() == [("gate", 1800, 0)]
    readings.noise(series, NOON - timedelta(minutes=90), 1800, 50.0)
    readings.noise(series, NOON - timedelta(hours=1), 3600, 50.0, device="roof")
    assert rolled() == [("gate", 3600, 1), ("roof", 3600, 0)]


def test_what_is_left_out_by_hand_raises_no_alert(
    series: DuckDbStore, registry: Registry, told: Webhook
) -> None:
    readings.noise(series, NOON - TEN_MINUTES, 600, 60.0)
    readings.noise(series, NOON - TEN_MINUTES, 600, 60.0, device="roof")
    with registry.session() as session:
        exclude(
            session, site="garden", source="gate", starts_at=NOON - TEN_MINUTES, ends_at=NOON + TEN_MINUTES,
            reason="lightning", who="li", now=NOON,
        )  # fmt: skip
    Analysis(series, registry, HandClock(NOON + timedelta(seconds=1))).round()
    assert _states(registry) == [("roof", "firing")]


def test_switching_a_rule_or_a_device_off_ends_its_alerts(
    series: DuckDbStore, registry: Registry, told: Webhook
) -> None:
    readings.noise(series, NOON - TEN_MINUTES, 600, 60.0)
    readings.noise(series, NOON - TEN_MINUTES, 600, 60.0, device="roof")
    clock = HandClock(NOON + timedelta(seconds=1))
    Analysis(series, registry, clock).round()
    with registry.session() as session:
        session.get_one(Device, ("garden", "roof")).enabled = False
    Analysis(series, registry, clock).round()
    assert _states(registry) == [("gate", "firing"), ("roof", "resolved")]
    with registry.session() as session:
        session.scalars(select(Rule).filter_by(kind="noise_window")).one().enabled = False
    Analysis(series, registry, clock).round()
    assert _states(registry) == [("gate", "resolved"), ("roof", "resolved")]
    with registry.reader() as session:
        reasons = session.scalars(select(AlertTransition.reason).filter_by(to_state="resolved")).all()
    assert reasons == ["source_removed", "rule_disabled"]


def test_a_rule_that_is_not_understood_is_counted_and_keeps_its_alerts(
    series: DuckDbStore, registry: Registry, told: Webhook
) -> None:
    readings.noise(series, NOON - TEN_MINUTES, 600, 60.0)
    clock = HandClock(NOON + timedelta(seconds=1))
    Analysis(series, registry, clock).round()
    with registry.session() as session:
        session.scalars(select(Rule).filter_by(kind="noise_window")).one().params = {"window_s": "ten"}
    broken = Analysis(series, registry, clock)
    broken.round()
    assert (broken.stats.bad_rules, _states(registry)) == (1, [("gate", "firing")])


class _Flaky:
    """A store whose calls fail while ``down``."""

    def __init__(self, store: DuckDbStore) -> None:
        self._store = store
        self.down: Exception | None = None

    def __getattr__(self, name: str) -> Callable[..., Any]:
        def call(*args: Any, **more: Any) -> Any:
            if self.down is not None:
                raise self.down
            return getattr(self._store, name)(*args, **more)

        return call


@pytest.mark.parametrize("trouble", [StoreUnavailable("gone"), RuntimeError("surprise")])
def test_no_exception_ends_the_thread(
    series: DuckDbStore, registry: Registry, told: Webhook, trouble: Exception
) -> None:
    flaky = _Flaky(series)
    flaky.down = trouble

    def listener(alert: AlertSnapshot) -> None:
        raise RuntimeError("the listener is broken")

    clock = _clock_at(NOON)
    with _running(Analysis(flaky, registry, clock, on_alert=listener)) as analysis:  # type: ignore[arg-type]
        wait_for(lambda: analysis.stats.store_waits + analysis.stats.round_errors >= 1)
        readings.noise(series, clock.now().replace(microsecond=0) - TEN_MINUTES, 600, 60.0)
        flaky.down = None
        wait_for(lambda: told.received)
        assert analysis.stats.listener_errors == 1
        assert analysis.healthy
