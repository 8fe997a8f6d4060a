"""The command against a real broker and a real ingest: what the store holds is what the fleet made, to the reading."""

from __future__ import annotations

import json
import signal
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path

import msgspec
import pytest
from click.testing import CliRunner
from sqlalchemy import func, select

from app.broker import EmbeddedBroker
from app.simulate.cli import simulate
from app.simulate.interruptions import outages
from app.simulate.readings import NoiseReadings, WaterReadings
from app.simulate.scenario import Scenario, sites_for, utc
from contract.clock import SystemClock
from contract.messages import NoiseSecond
from ingest.service import Ingest
from store.registry.models import DeviceState, Meter
from store.series.duckdb_store import DuckDbStore
from tests.app.commands import run, running, wait_for
from tests.broker import Quarter, embedded, quarter

pytestmark = pytest.mark.system
NOW_AND_THEN = 60


@contextmanager
def server(folder: Path, port: int) -> Iterator[tuple[Quarter, DuckDbStore, EmbeddedBroker]]:
    """Run the embedded broker and ingest for a registry without devices."""
    town = quarter(folder / "data", sites=0)
    store = DuckDbStore(folder / "series.duckdb")
    with embedded(folder / "data" / "broker", town.registry, port) as broker:
        ingest = Ingest(
            broker.url, username=broker.login[0], password=broker.login[1], series=store,
            registry=town.registry, clock=SystemClock(),
        )  # fmt: skip
        ingest.start()
        try:
            wait_for(lambda: ingest.healthy, "ingest")
            yield town, store, broker
        finally:
            ingest.stop()
            store.close()
            town.registry.close()


def an_outage_is_on(devices: int, meters: int) -> int:
    """Return a seed with which one device at least is offline for the next minute."""
    now = int(time.time())
    for seed in range(10_000):
        one = Scenario(seed, devices, meters, sites_for(devices, meters), now)
        if any(o.begin_s < now - 60 and o.end_s > now + NOW_AND_THEN for o in outages(one, now, now + 1)):
            return seed
    raise AssertionError("no such seed")


def scenario_of(out: Path) -> tuple[Scenario, int, int]:
    told = json.loads((out / "scenario.json").read_text())
    begin, end = told.pop("begin_s"), told.pop("end_s")
    return Scenario(**told), begin, end


def test_every_reading_of_a_fleet_on_four_connections_is_stored_as_it_can_be_computed_again(
    tmp_path: Path, free_port: Callable[[], int]
) -> None:
    port, out = free_port(), tmp_path / "out"
    seed = an_outage_is_on(200, 600)
    fleet = ("--devices", "200", "--meters", "600", "--meter-interval", "60", "--seed", str(seed))
    with server(tmp_path, port) as (town, store, _):
        told = run(
            "simulate", *fleet, "--register", "--seconds", "5", "--connections", "4", "--batch", "2", "--spread", "0.5",
            "--data", str(tmp_path / "data"), "--broker", f"mqtt://127.0.0.1:{port}", "--out", str(out),
        )  # fmt: skip
        assert "registered 4 sites, 204 devices and 600 meters" in told
        scenario, begin, end = scenario_of(out)
        summary = json.loads((out / "summary.json").read_text())
        assert (summary["unconfirmed"], summary["refused"]) == (0, 0) and end - begin == 5
        assert store.count("noise") + store.count("water") == summary["made"] == summary["confirmed"]
        noise, labels = NoiseReadings(scenario), Counter()
        for device in range(scenario.devices):
            labels[device] = sum(noise.label(device, t) is not None for t in range(begin, end))
        assert store.count("noise") == labels.total()
        offline = next(outages(scenario, begin, end)).device
        for device in (0, 77, 199, offline, *list(noise.faults)[:2]):
            assert stored(store, scenario, device, begin, end) == made(noise, device, begin, end), device
        water = WaterReadings(scenario)
        due = [seq for site in range(4) for seq in water.due(site, begin, end)]
        assert store.count("water") == len(due) > 0
        lines = [json.loads(line) for line in (out / "truth.jsonl").read_text().splitlines()]
        assert any(
            line["device"] == scenario.device_name(offline) for line in lines if line["kind"] == "outage"
        )
        wait_for(lambda: states(town) == {"offline": 204}, "the good-bye of every device")
        with town.registry.reader() as session:
            assert session.scalar(select(func.count()).select_from(Meter)) == 600


def states(town: Quarter) -> Counter[str]:
    with town.registry.reader() as session:
        return Counter(session.scalars(select(DeviceState.state)))


def stored(store: DuckDbStore, scenario: Scenario, device: int, begin: int, end: int) -> list[tuple]:
    site, name = scenario.site_name(scenario.device_site(device)), scenario.device_name(device)
    margin = timedelta(seconds=200)
    found = store.noise_seconds(site, name, utc(begin) - margin, utc(end) + margin)
    levels = zip(found.laeq_db, found.lafmax_db, found.lafmin_db, found.laf_db, strict=True)
    return [(t, *(round(level, 1) for level in row)) for t, row in zip(found.t, levels, strict=True)]


def made(noise: NoiseReadings, device: int, begin: int, end: int) -> list[tuple]:
    seqs = [seq for t in range(begin, end) if (seq := noise.label(device, t)) is not None]
    readings = [msgspec.json.decode(one, type=NoiseSecond) for one in noise.encode(device, seqs)]
    return [(one.t, one.laeq_db, one.lafmax_db, one.lafmin_db, one.laf_db) for one in readings]


def test_devices_with_logins_of_their_own_end_cleanly_with_ctrl_c(
    tmp_path: Path, free_port: Callable[[], int]
) -> None:
    port, out = free_port(), tmp_path / "out"
    with server(tmp_path, port) as (town, store, broker):
        with running(
            "simulate", "--devices", "20", "--meters", "40", "--meter-interval", "20", "--register",
            "--data", str(tmp_path / "data"), "--broker", f"mqtt://127.0.0.1:{port}", "--out", str(out),
        ) as command:  # fmt: skip
            command.until("registered 1 sites, 21 devices")
            assert broker.refresh()
            command.until("21 connections are up")
            wait_for(lambda: store.count("noise") >= 40, "two seconds of the fleet")
            assert states(town)["online"] > 0
            assert command.stop(signal.SIGINT, timeout_s=60) == 0, command.lines
        scenario, begin, end = scenario_of(out)
        summary = json.loads((out / "summary.json").read_text())
        assert summary["made"] == summary["confirmed"] == store.count("noise") + store.count("water")
        noise = NoiseReadings(scenario)
        assert stored(store, scenario, 3, begin, end) == made(noise, 3, begin, end)
        assert (out / "devices.password").stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["--devices", "3"], "--register makes the devices"),
        (["--register"], "there is no registry"),
        (["--devices", "0", "--meters", "0"], "at least one"),
        (["--broker", "nats://127.0.0.1:1"], "speaks MQTT"),
        (["--start", "2999-01-01T00:00:00Z"], "future"),
    ],
)
def test_what_is_wrong_is_told_with_its_cure(tmp_path: Path, arguments: list[str], told: str) -> None:
    folders = ["--out", str(tmp_path / "out"), "--data", str(tmp_path / "data")]
    result = CliRunner().invoke(simulate, [*arguments, *folders])
    assert result.exit_code in (1, 2) and told in result.output
