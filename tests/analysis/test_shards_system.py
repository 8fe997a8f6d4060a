"""Three processes of analysis on one registry and a real InfluxDB: killed, paused, woken. Nothing twice or lost."""

from __future__ import annotations

import contextlib
import os
import signal
import sqlite3
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from sqlalchemy import func, select

from app.shard_option import TTL_VARIABLE
from store.registry.database import Registry
from store.registry.lease_models import Lease
from store.registry.models import Alert, AlertTransition, Delivery, Rule
from store.series.address import InfluxAddress
from store.series.influx_setup import init_store
from store.series.influx_store import InfluxStore
from store.series.retention import Retention
from tests.analysis import readings
from tests.analysis.quarter import add_manager
from tests.analysis.receivers import Webhook
from tests.app.commands import Command, running, wait_for
from tests.broker import quarter
from tests.registries import BACKEND_VARIABLE, OnServer
from tests.store.series.servers import influxdb

SITES = [f"s{n}" for n in range(1, 7)]
TTL_S = 2.0
_PARAMS = {"window_s": 10, "hold_s": 0, "recover_s": 0, "min_valid_share": 0.2, "escalate": False}


@dataclass
class Town:
    """A registry whose sites have a rule and a manager each, and the store."""

    data: Path
    registry: Registry
    series: InfluxStore
    store: str
    """Its address on the command line."""

    measured_until: datetime | None = None

    def level(self, level_db: float, ahead_s: int = 1) -> None:
        """Have every site measure a level since the one before (or for 12 s) and ``ahead_s`` seconds into the future.

        A second that is stored does not change any more.
        """
        now = datetime.now(UTC).replace(microsecond=0)
        start = self.measured_until or now - timedelta(seconds=12)
        self.measured_until = now + timedelta(seconds=ahead_s)
        for site in SITES:
            seconds = round((self.measured_until - start).total_seconds())
            readings.noise(self.series, start, seconds, level_db, site=site, device="d1")

    def holders(self) -> dict[str, str | None]:
        with self.registry.reader() as session:
            return {one.resource: one.holder for one in session.scalars(select(Lease))}

    def held_by(self, *names: str) -> bool:
        """Whether all the work is held by these, and by each of them a fair share."""
        held = Counter(self.holders().values())
        fair = max(held.values()) - min(held.values()) <= 1 if held else False
        return sum(held.values()) == len(SITES) + 2 and set(held) == set(names) and fair

    def states(self) -> Counter[str]:
        with self.registry.reader() as session:
            return Counter(session.scalars(select(Alert.state)))

    def lives(self) -> dict[str, list[str]]:
        """Return every state that each site's alerts went through."""
        with self.registry.reader() as session:
            rows = session.execute(
                select(Alert.site, AlertTransition.to_state)
                .join(Alert, Alert.id == AlertTransition.alert_id)
                .where(AlertTransition.from_state != AlertTransition.to_state)
                .order_by(AlertTransition.id)
            )
            lives: dict[str, list[str]] = {}
            for site, state in rows:
                lives.setdefault(site, []).append(state)
            return lives

    def sent(self) -> int:
        with self.registry.reader() as session:
            return session.scalar(select(func.count(Delivery.id)).where(Delivery.state == "sent")) or 0


@pytest.fixture
def registry_of_commands(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Have the processes use PostgreSQL too, where ``QUIETWATER_TEST_REGISTRY=postgresql`` says so."""
    if os.environ.get(BACKEND_VARIABLE) != "postgresql":
        yield
        return
    with OnServer(request.getfixturevalue("postgres_server")) as places:
        places.tell_commands(monkeypatch)
        places.take_over(monkeypatch)
        yield


@pytest.fixture
def town(
    tmp_path: Path, program: Callable[[str], str], webhook: Webhook, registry_of_commands: None
) -> Iterator[Town]:
    data = tmp_path / "data"
    made = quarter(data, sites=len(SITES), devices=1, meters=0)
    with made.registry.session() as session:
        for site in SITES:
            session.add(Rule(site=site, kind="noise_window", params=_PARAMS, updated_at=datetime.now(UTC)))
            add_manager(session, webhook.url, site=site, name=f"manager-{site}")
    (tmp_path / "influx").mkdir()
    with influxdb(program("influxd"), tmp_path / "influx") as server:
        address = InfluxAddress(server.url, prefix="town")
        init_store(address, Retention(None, None))
        series = InfluxStore(address)
        yield Town(data, made.registry, series, f"{server.url}?db=town")
        series.close()
    made.registry.close()


def _pause(process: Command, data: Path) -> None:
    """Stop a process; of an SQLite file not where it holds the write lock, since there is one for all."""
    file = data / "registry.sqlite"
    for _ in range(200):
        process.process.send_signal(signal.SIGSTOP)
        if not file.exists():
            return
        with (
            contextlib.suppress(sqlite3.OperationalError),
            contextlib.closing(sqlite3.connect(file, timeout=0.3)) as probe,
        ):
            probe.execute("BEGIN IMMEDIATE")
            probe.rollback()
            return
        process.process.send_signal(signal.SIGCONT)
        threading.Event().wait(0.02)
    raise AssertionError("it always writes")


@pytest.mark.system
def test_killed_and_paused_shards_leave_nothing_out_and_do_nothing_twice(
    town: Town, webhook: Webhook, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(TTL_VARIABLE, str(TTL_S))
    common = ("analysis", "--data", str(town.data), "--store", town.store)
    with ExitStack() as stack:
        shards = {name: stack.enter_context(running(*common, "--shard", name)) for name in ("a", "b", "c")}
        wait_for(lambda: town.held_by("a", "b", "c"), "each has its share")

        shards["a"].process.kill()
        wait_for(lambda: town.held_by("b", "c"), "the killed one's sites have moved")
        town.level(70.0)
        wait_for(lambda: town.states() == {"firing": len(SITES)}, "an alert at each site")
        wait_for(lambda: town.sent() == len(SITES), "each manager is told")

        paused = shards["b"]
        _pause(paused, town.data)
        try:
            wait_for(lambda: town.held_by("c"), "the paused one's sites have moved")
            town.level(40.0, ahead_s=90)
            wait_for(lambda: town.states() == {"resolved": len(SITES)}, "all of them are over")
        finally:
            os.kill(paused.process.pid, signal.SIGCONT)
        paused.until("leases are lost")
        wait_for(lambda: town.held_by("b", "c"), "it has its share again")
        wait_for(lambda: town.sent() == 2 * len(SITES), "each manager is told of the end")
        assert shards["c"].stop() == 0
        wait_for(lambda: town.held_by("b"), "the one that was stopped has handed over")

    assert town.lives() == {site: ["pending", "firing", "resolved"] for site in SITES}
    assert set(town.holders().values()) == {None}
    assert len(webhook.received) == 2 * len(SITES)
    assert len({one["title"] for one in webhook.received}) == 2 * len(
        SITES
    )  # each site's beginning and end, once
