from __future__ import annotations

import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from sqlalchemy import select, update
from sqlalchemy.orm import Session

from store.registry.database import Registry
from store.registry.lease_keeper import LeaseKeeper, LeaseTiming
from store.registry.lease_models import Lease, LeaseMember
from store.registry.lease_rows import database_now
from tests.broker import wait_for

WORK = ["w1", "w2", "w3", "w4"]


@pytest.fixture
def registry(tmp_path: Path) -> Iterator[Registry]:
    registry = Registry.in_folder(tmp_path)
    yield registry
    registry.close()


def _all(_session: Session) -> list[str]:
    return WORK


def _keeper(registry: Registry, name: str, ttl_s: float = 60.0) -> LeaseKeeper:
    return LeaseKeeper(registry, "test", name, _all, timing=LeaseTiming(ttl_s))


def _gone(registry: Registry, name: str) -> None:
    """Let a member's time be over, as if it had been paused for longer than it lasts."""
    with registry.session() as session:
        past = database_now(session) - timedelta(seconds=1)
        session.execute(update(LeaseMember).where(LeaseMember.name == name).values(expires_at=past))


def _there_for_long(registry: Registry) -> None:
    with registry.session() as session:
        session.execute(update(LeaseMember).values(joined_at=database_now(session) - timedelta(hours=1)))


def _holders(registry: Registry) -> dict[str, str | None]:
    with registry.reader() as session:
        return {one.resource: one.holder for one in session.scalars(select(Lease))}


def _still(keeper: LeaseKeeper, registry: Registry, epochs: dict[str, int]) -> set[str]:
    with registry.session() as session:
        return keeper.still(session, epochs)


def test_the_databases_clock_has_parts_of_a_second_and_a_zone(registry: Registry) -> None:
    with registry.reader() as session:
        told = database_now(session)
        assert abs(told - datetime.now(UTC)) < timedelta(seconds=5)
        assert wait_for(lambda: database_now(session).microsecond)


def test_one_that_is_gone_is_followed_and_its_writes_are_refused(registry: Registry) -> None:
    first, second = _keeper(registry, "first"), _keeper(registry, "second")
    first.beat()
    before = first.held()
    assert set(before) == set(WORK)
    _gone(registry, "first")
    assert _still(first, registry, before) == set(WORK)  # nobody has taken them: no harm
    second.beat()
    assert set(second.held()) == set(WORK)
    assert _still(first, registry, before) == set()
    assert _still(second, registry, second.held()) == set(WORK)
    first.beat()
    assert first.held() == {} and first.stats.lost == len(WORK)


def test_a_newcomer_gets_its_share_once_it_was_finished(registry: Registry) -> None:
    first, second = _keeper(registry, "first"), _keeper(registry, "second")
    first.beat()
    second.beat()
    first.beat()
    assert first.unwanted() == {} and second.held() == {}
    _there_for_long(registry)
    first.beat()
    leaving = first.unwanted()
    assert len(leaving) == 2 and set(first.held()) == set(WORK)
    second.beat()
    assert second.held() == {}  # not before they were given back
    first.give_back(leaving)
    second.beat()
    assert set(second.held()) == set(leaving) and set(first.held()) == set(WORK) - set(leaving)
    assert (first.stats.given_up, first.stats.lost, second.stats.gained) == (2, 0, 2)


def test_who_leaves_gives_everything_back_at_once(registry: Registry) -> None:
    first, second = _keeper(registry, "first"), _keeper(registry, "second")
    first.start()
    try:
        second.beat()
    finally:
        first.stop()
    assert set(_holders(registry).values()) == {None}
    second.beat()
    assert set(_holders(registry).values()) == {"second"}


def test_the_newer_of_two_by_one_name_goes_on(registry: Registry) -> None:
    older, newer = _keeper(registry, "same"), _keeper(registry, "same")
    older.beat()
    before = older.held()
    newer.beat()
    assert set(newer.held()) == set(WORK)
    assert _still(older, registry, before) == set()
    older.beat()
    assert older.held() == {} and "give each a name of its own" in (older.trouble or "")
    newer.beat()
    assert newer.trouble is None and set(newer.held()) == set(WORK)
    newer._leave()
    older.beat()
    assert older.trouble is None and set(older.held()) == set(WORK)


def test_nothing_is_held_when_the_registry_has_not_answered_for_too_long(registry: Registry) -> None:
    now = [100.0]
    keeper = LeaseKeeper(registry, "test", "one", _all, timing=LeaseTiming(15.0), monotonic=lambda: now[0])
    keeper.beat()
    now[0] += 14.9
    assert set(keeper.held()) == set(WORK) and keeper.trouble is None
    now[0] += 0.2
    assert keeper.held() == {} and "15 s" in (keeper.trouble or "")
    keeper.beat()
    assert set(keeper.held()) == set(WORK)


def test_one_whose_work_hangs_does_not_renew(registry: Registry) -> None:
    keeper = _keeper(registry, "one", ttl_s=0.5)
    keeper.start(working=lambda: False)
    try:
        wait_for(lambda: keeper.held() == {})
        assert keeper.trouble is not None
    finally:
        keeper.stop()


def test_many_at_once_hold_everything_once_at_any_time(registry: Registry) -> None:
    keepers = [_keeper(registry, f"k{n}", ttl_s=2.0) for n in range(4)]
    stop = threading.Event()

    def work(keeper: LeaseKeeper) -> None:
        while not stop.wait(0.01):
            keeper.give_back(keeper.unwanted())

    threads = [threading.Thread(target=work, args=(one,)) for one in keepers]
    try:
        for keeper, thread in zip(keepers, threads, strict=True):
            keeper.start()
            thread.start()
        wait_for(lambda: all(len(one.held()) == 1 for one in keepers))
        held = [one.held() for one in keepers]
        assert sorted(resource for one in held for resource in one) == WORK
    finally:
        stop.set()
        for thread in threads:
            thread.join()
        for keeper in keepers:
            keeper.stop()
    assert set(_holders(registry).values()) == {None}
    with registry.reader() as session:
        assert session.scalars(select(LeaseMember)).all() == []


def test_what_is_held_is_locked_until_the_write_is_committed(registry: Registry) -> None:
    first, second = _keeper(registry, "first"), _keeper(registry, "second")
    first.beat()
    before = first.held()
    _gone(registry, "first")
    done = threading.Event()
    taker = threading.Thread(target=lambda: (second.beat(), done.set()))
    with registry.session() as session:
        assert first.still(session, before) == set(WORK)
        taker.start()
        assert not done.wait(0.2) and second.held() == {}
    taker.join()
    assert set(second.held()) == set(WORK)
