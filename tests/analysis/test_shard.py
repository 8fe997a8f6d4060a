"""Two processes of analysis on one registry, as objects: a holder that was paused writes nothing when it wakes."""

from __future__ import annotations

from datetime import timedelta

import pytest
from sqlalchemy import select, update

from analysis.rollups import roll_up
from analysis.rules.catalog import ensure_default_rules
from analysis.service import Analysis
from analysis.shard import Shard
from store.registry.database import Registry
from store.registry.lease_keeper import LeaseTiming
from store.registry.lease_models import LeaseMember
from store.registry.lease_rows import database_now
from store.registry.models import Alert, AlertTransition, Delivery, DetectorState
from store.series.duckdb_store import DuckDbStore
from tests.analysis import readings
from tests.analysis.quarter import NOON, add_manager, furnish
from tests.analysis.test_service import HandClock

TEN_MINUTES = timedelta(minutes=10)


@pytest.fixture
def clock(registry: Registry) -> HandClock:
    with registry.session() as session:
        furnish(session, "park")
        for site in ("garden", "park"):
            ensure_default_rules(session, site, NOON)
        add_manager(session, "json://127.0.0.1:9/")
    return HandClock(NOON + timedelta(seconds=1))


def _shard(series: DuckDbStore, registry: Registry, clock: HandClock, name: str) -> Analysis:
    return Analysis(series, registry, clock, shard=Shard(registry, name, LeaseTiming(3600.0)))


def _beat(*parts: Analysis) -> None:
    for one in parts:
        assert one.shard is not None
        one.shard.keeper.beat()


def _sites(one: Analysis) -> frozenset[str]:
    assert one.shard is not None
    return one.shard.turn().sites


def _expire(registry: Registry, name: str) -> None:
    with registry.session() as session:
        past = database_now(session) - timedelta(seconds=1)
        session.execute(update(LeaseMember).where(LeaseMember.name == name).values(expires_at=past))


def _transitions(registry: Registry) -> list[tuple[str, str]]:
    with registry.reader() as session:
        rows = session.execute(
            select(Alert.site, AlertTransition.to_state)
            .join(Alert, Alert.id == AlertTransition.alert_id)
            .order_by(AlertTransition.id)
        )
        return [(site, state) for site, state in rows]


def test_each_judges_its_own_sites_and_no_other(
    series: DuckDbStore, registry: Registry, clock: HandClock
) -> None:
    one, two = _shard(series, registry, clock, "one"), _shard(series, registry, clock, "two")
    for site in ("garden", "park"):
        readings.noise(series, NOON - TEN_MINUTES, 600, 60.0, site=site)
    _beat(one)
    assert _sites(one) == {"garden", "park"} and _sites(two) == set()
    two.round()
    assert _transitions(registry) == [] and two.stats.rules == 0
    one.round()
    assert {site for site, _ in _transitions(registry)} == {"garden", "park"}
    assert len(_transitions(registry)) == 4
    _expire(registry, "one")
    _beat(two)
    assert _sites(two) == {"garden", "park"}
    two.round()
    assert len(_transitions(registry)) == 4  # it goes on with what stands


def test_a_holder_that_was_paused_in_a_round_writes_nothing(
    series: DuckDbStore, registry: Registry, clock: HandClock
) -> None:
    one, two = _shard(series, registry, clock, "one"), _shard(series, registry, clock, "two")
    readings.noise(series, NOON - TEN_MINUTES, 600, 60.0)
    _beat(one)
    # Paused after it has looked and before it writes: the book is where it stops.
    take = one._book.take

    def pause(*arguments, **named):
        _expire(registry, "one")
        _beat(two)
        two.round()
        return take(*arguments, **named)

    one._book.take = pause
    one.round()
    assert _transitions(registry) == [("garden", "pending"), ("garden", "firing")]
    assert (one.stats.transitions, two.stats.transitions) == (0, 1)
    with registry.reader() as session:
        assert len(session.scalars(select(Delivery)).all()) == 1
    # The same for the end: what the first one thinks is over is not its to end.
    one._book.take = take
    clock.at += timedelta(minutes=20)
    readings.noise(series, NOON, 1200, 40.0)
    one.round()
    assert _transitions(registry) == [("garden", "pending"), ("garden", "firing")]


def test_a_paused_holder_does_not_open_again_what_another_has_ended(
    series: DuckDbStore, registry: Registry, clock: HandClock
) -> None:
    one, two = _shard(series, registry, clock, "one"), _shard(series, registry, clock, "two")
    _beat(one)
    readings.noise(series, NOON - TEN_MINUTES, 600, 60.0)
    readings.noise(series, NOON, 1200, 40.0)
    take = one._book.take

    def pause(*arguments, **named):
        _expire(registry, "one")
        _beat(two)
        for minute in range(0, 20):
            clock.at = NOON + timedelta(minutes=minute, seconds=1)
            two.round()
        _beat(one)  # its heartbeat is there before it goes on with the round
        return take(*arguments, **named)

    one._book.take = pause
    one.round()
    assert one.stats.refused > 0
    assert _transitions(registry) == [("garden", "pending"), ("garden", "firing"), ("garden", "resolved")]


def test_leak_detectors_move_with_their_site_and_a_stale_one_is_not_written(
    series: DuckDbStore, registry: Registry, clock: HandClock
) -> None:
    readings.water(series, NOON - timedelta(hours=48), [12.0] * 48)
    one, two = _shard(series, registry, clock, "one"), _shard(series, registry, clock, "two")
    _beat(one)
    one.round()

    def kept() -> tuple[object, ...]:
        with registry.reader() as session:
            return tuple(
                (row.unit, row.done_until, row.state) for row in session.scalars(select(DetectorState))
            )

    assert len(kept()) == 1
    # Two hours later one is paused, the other goes on: nothing is told again, and its newer state stays.
    clock.at += timedelta(hours=2)
    readings.water(series, NOON, [12.0] * 2, register_l=1000.0 + 48 * 12.0)
    _expire(registry, "one")
    _beat(two)
    two.round()
    two._watch.close(clock.at, two._turn())
    newer = kept()
    turn = one._turn()
    one._watch._leaks.advance(*_town(registry), clock.at, turn=turn)
    one._watch.close(clock.at, turn)
    assert kept() == newer
    states = [state for _, state in _transitions(registry)]
    assert states == ["pending", "firing", "escalated"]  # the same alert all the time; nobody took it up


def _town(registry: Registry):
    from store.registry.models import Meter, Site

    with registry.reader() as session:
        sites = {one.name: one for one in session.scalars(select(Site))}
        meters = list(session.scalars(select(Meter).where(Meter.site == "garden")))
    return sites, {"garden": meters}


def test_a_process_that_cannot_renew_its_leases_waits_and_forgets_nothing(
    series: DuckDbStore, registry: Registry, clock: HandClock
) -> None:
    one = _shard(series, registry, clock, "one")
    _beat(one)
    one.round()
    remembered = one._watch._leaks._units
    remembered["garden", "made"] = object()  # type: ignore[assignment]
    assert one.shard is not None
    one.shard.keeper._good_until = 0.0
    one.round()
    assert one.stats.store_waits == 1 and ("garden", "made") in remembered
    del remembered["garden", "made"]
    _beat(one)
    rounds = one.stats.rounds
    one.round()
    assert one.stats.rounds == rounds + 1


def test_what_a_site_is_given_up_with_is_written_down_first(
    series: DuckDbStore, registry: Registry, clock: HandClock
) -> None:
    readings.water(series, NOON - timedelta(hours=24), [1.0] * 24)
    one, two = _shard(series, registry, clock, "one"), _shard(series, registry, clock, "two")
    _beat(one)
    one.round()
    readings.water(series, NOON, [1.0], register_l=1024.0)
    clock.at += timedelta(hours=1)
    one.round()
    _beat(two)
    with registry.session() as session:
        session.execute(update(LeaseMember).values(joined_at=database_now(session) - timedelta(hours=5)))
    _beat(one)
    one.round()
    _beat(two)
    assert _sites(one) | _sites(two) == {"garden", "park"} and not _sites(one) & _sites(two)
    assert len(_sites(one)) + one.shard.has("messages") + one.shard.has("housekeeping") == 2
    if "garden" in _sites(two):  # which of the two goes is the plan's
        assert one._watch._leaks._units == {}
        with registry.reader() as session:
            assert session.scalars(select(DetectorState.done_until)).one() == NOON + timedelta(hours=1)


def test_hours_are_rolled_up_by_their_sites_holder(series: DuckDbStore) -> None:
    for site in ("garden", "park"):
        readings.noise(series, NOON, 3600, 50.0, site=site)
    end = NOON + timedelta(hours=1)
    assert roll_up(series, end, sites=lambda: {"park"}) == 1
    assert [row.site for row in series.noise_rollups(NOON, end)] == ["park"]
    assert roll_up(series, end, sites=lambda: {"park"}) == 0
    lost = iter([{"garden"}, set[str]()])
    assert roll_up(series, end, sites=lambda: next(lost)) == 0  # lost between computing and writing
    assert [row.site for row in series.noise_rollups(NOON, end)] == ["park"]
    assert roll_up(series, end) == 1
