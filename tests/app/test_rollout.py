"""Rollouts with a real broker, real ingest, real agents: one that goes through and one that goes back."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest
import soundfile
from click.testing import CliRunner

from analysis.fleet.staging import wave_sizes
from api.config_keeper import ConfigKeeper
from app.cli import main
from contract.clock import SystemClock
from edge.agent import Agent
from edge.config import from_table
from edge.sound.station import Station
from ingest.service import Ingest
from store.registry.configurations import draft
from store.registry.fleet_models import Rollout
from store.registry.models import AuditEntry, DeviceState
from store.registry.rollouts import begin
from store.series.duckdb_store import DuckDbStore
from tests.broker import Quarter, embedded, quarter, wait_for

CLOCK = SystemClock()


class Bench:
    """A quarter of three devices that measure, with broker, ingest and the keeper of configurations."""

    def __init__(self, stack: ExitStack, tmp_path: Path, port: int):
        self.data = tmp_path / "data"
        self.town: Quarter = quarter(self.data, devices=3, meters=0)
        self.registry = self.town.registry
        stack.callback(self.registry.close)
        self.broker = stack.enter_context(embedded(tmp_path / "broker", self.registry, port))
        self.series = DuckDbStore(tmp_path / "series.duckdb")
        stack.callback(self.series.close)
        user, password = self.broker.login
        ingest = Ingest(
            self.broker.url, username=user, password=password, series=self.series, registry=self.registry,
            clock=CLOCK,
        )  # fmt: skip
        ingest.start()
        stack.callback(ingest.stop)
        self.keeper: ConfigKeeper | None = None
        self.start_keeper()
        stack.callback(lambda: self.keeper and self.keeper.stop())
        soundfile.write(tmp_path / "sound.wav", np.random.default_rng(1).normal(0, 0.01, 96_000), 48_000)
        self.agents = [self._agent(tmp_path, f"d{n}") for n in (1, 2, 3)]
        for agent in self.agents:
            stack.callback(agent.stop)
            agent.start()

    def start_keeper(self) -> None:
        user, password = self.broker.login
        self.keeper = ConfigKeeper(
            self.broker.url, self.series, self.registry, CLOCK, username=user, password=password, round_s=0.2
        )
        self.keeper.start()

    def _agent(self, tmp_path: Path, name: str) -> Agent:
        folder = tmp_path / name
        folder.mkdir()
        (folder / "password").write_text(self.town.login("s1", name)[1])
        table = {
            "site": "s1", "device": name, "data": str(folder),
            "mqtt": {"url": self.broker.url, "password_file": str(folder / "password")},
            "noise": {"source": {"type": "file", "path": str(tmp_path / "sound.wav"), "loop": True}},
        }  # fmt: skip
        return Agent(from_table(table), CLOCK, trial_s=0.5)

    def begin(self, settings: dict, waves: list[str]) -> int:
        with self.registry.session() as session:
            now = datetime.now(UTC)
            version = draft(session, settings, who="li", now=now).version
            return begin(
                session, version, sizes=lambda total: wave_sizes(total, waves), who="li", now=now,
                healthy_for=timedelta(seconds=1), patience=timedelta(minutes=5), most_failed=0.1,
            ).id  # fmt: skip

    def rollout(self, number: int) -> Rollout:
        with self.registry.reader() as session:
            return session.get_one(Rollout, number)

    def running(self) -> list[int | None]:
        with self.registry.reader() as session:
            states = [session.get(DeviceState, ("s1", f"d{n}")) for n in (1, 2, 3)]
            return [None if state is None else state.status.get("config_version") for state in states]

    def story(self) -> list[str]:
        with self.registry.reader() as session:
            rows = session.query(AuditEntry).filter(AuditEntry.action.startswith("rollout."))
            return [row.action for row in rows.order_by(AuditEntry.id)]


@pytest.fixture
def bench(tmp_path, free_port) -> Iterator[Bench]:
    with ExitStack() as stack:
        yield Bench(stack, tmp_path, free_port())


@pytest.mark.system
def test_a_good_version_reaches_every_device_wave_by_wave_also_when_the_server_restarts_in_between(bench):
    wait_for(lambda: bench.running() == [0, 0, 0])
    number = bench.begin({"noise.spectrum": False, "status_interval_s": 5}, ["1", "100%"])
    wait_for(lambda: bench.rollout(number).wave == 1)
    bench.keeper.stop()
    bench.start_keeper()
    wait_for(lambda: bench.rollout(number).state == "done")
    version = bench.rollout(number).version
    assert bench.running() == [version] * 3
    assert bench.story() == ["rollout.advance", "rollout.finish"]
    for agent in bench.agents:
        assert agent.measuring and agent.healthy
    told = CliRunner().invoke(main, ["admin", "--data", str(bench.data), "rollout", "back", str(number)])
    assert told.exit_code == 0 and "rolled back" in told.output, told.output
    wait_for(lambda: bench.running() == [0, 0, 0])


@pytest.mark.system
def test_a_version_that_breaks_the_first_device_never_reaches_the_others(bench, monkeypatch):
    real = Station.run

    def run(self: Station, stop: threading.Event) -> None:
        if not self._settings.spectrum:
            raise RuntimeError("no bands, no sound")
        real(self, stop)

    monkeypatch.setattr(Station, "run", run)
    wait_for(lambda: bench.running() == [0, 0, 0])
    number = bench.begin({"noise.spectrum": False}, ["1", "100%"])
    wait_for(lambda: bench.rollout(number).state == "rolled_back")
    found = bench.rollout(number)
    assert found.wave == 0 and "1 of 1 devices failed" in found.reason and "no bands" in found.reason
    assert bench.story() == ["rollout.back"]

    def clean() -> bool:
        with bench.registry.reader() as session:
            rows = session.query(DeviceState).all()
            return all(row.status["config_version"] == 0 and "config_error" not in row.status for row in rows)

    wait_for(clean)
    assert all(agent.measuring for agent in bench.agents)
