"""With InfluxDB every part is a process of its own: broker, ingest, analysis, API; the figures are those of DuckDB."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest

from contract.codec import encode, encode_array
from contract.messages import NoiseMinute, NoiseSecond, WaterReading
from contract.sitetime import floor_hour
from store.registry.address import PASSWORD_VARIABLE, VARIABLE
from store.series.address import InfluxAddress
from store.series.influx_store import InfluxStore
from tests.app.commands import Command, run, running, wait_for
from tests.broker import BareClient, Quarter, quarter
from tests.chaos import parts as chaos_parts
from tests.postgres import DURABLE, postgresql
from tests.postgres import PASSWORD as REGISTRY_PASSWORD
from tests.store.series.servers import influxdb

pytestmark = pytest.mark.own_registry

SITE, DEVICE, METER = "s1", "d1", "d1-m1"
PASSWORD = "of-the-server"
HOURS = 2
SECONDS = HOURS * 3600 - 700
"""The last hour is not whole."""
START = floor_hour(datetime.now(UTC)) - timedelta(hours=6)


def _seconds() -> list[NoiseSecond]:
    return [
        NoiseSecond(
            seq=n, t=START + timedelta(seconds=n), laeq_db=45 + n % 23 / 2, lafmax_db=50 + n % 23 / 2,
            lafmin_db=40.0, laf_db=44 + n % 19 / 2, measured_ms=1000 if n % 100 else 400,
            flags=("overload",) if 500 <= n < 560 else ("wind",) if 900 <= n < 960 else (),
        )
        for n in range(SECONDS)
    ]  # fmt: skip


def _minutes() -> list[NoiseMinute]:
    return [
        NoiseMinute(
            seq=10_000 + n, t=START + timedelta(minutes=n), laf_bins=(440 + n % 7, 455, 470 + n % 11),
            laf_counts=(100 + n, 300, 80), measured_ms=60_000,
        )
        for n in range(60)
    ]  # fmt: skip


def _water() -> list[WaterReading]:
    return [
        WaterReading(
            seq=20_000 + n, t=START + timedelta(minutes=7 * n), meter=METER, volume_steps=1000 + 3 * n,
            step_ml=1000,
        )
        for n in range(20)
    ]  # fmt: skip


def _publish(town: Quarter, port: int) -> None:
    device = BareClient(port, town.login(SITE, DEVICE), name="device")
    for kind, readings in (("noise", _seconds()), ("spectrum", _minutes()), ("water", _water())):
        for begin in range(0, len(readings), 60):
            device.publish(
                f"qw/v1/{SITE}/{DEVICE}/{kind}",
                encode_array([encode(one) for one in readings[begin : begin + 60]]),
            )
    device.settle()
    device.close()


@contextmanager
def _api(serve: Command, password: str) -> Iterator[httpx.Client]:
    address = serve.until(r"(http://127\.0\.0\.1:\d+)")[1]
    with httpx.Client(base_url=address, timeout=20) as client:
        login = client.post("/api/v1/login", json={"name": "tester", "password": password})
        assert login.status_code == 200, login.text
        yield client


def _hours(client: httpx.Client) -> dict[str, list[dict[str, Any]]]:
    span = {"start": START.isoformat(), "end": (START + timedelta(hours=HOURS)).isoformat()}
    noise = client.get("/api/v1/noise/hours", params={"site": SITE, "device": DEVICE, **span})
    water = client.get("/api/v1/water/hours", params={"site": SITE, "meter": METER, **span})
    assert (noise.status_code, water.status_code) == (200, 200), noise.text + water.text
    return {"noise": noise.json()["hours"], "water": water.json()["hours"]}


def _complete(hours: dict[str, list[dict[str, Any]]]) -> bool:
    return sum(hour["seconds"] for hour in hours["noise"]) == SECONDS and len(hours["water"]) == HOURS


@pytest.mark.system
def test_every_part_is_a_process_of_its_own(
    tmp_path: Path,
    free_port: Callable[[], int],
    program: Callable[[str], str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    data, other, port = tmp_path / "data", tmp_path / "other", free_port()
    town = quarter(data, devices=1, meters=1)
    town.registry.close()
    told = run("admin", "user", "add", "tester", "--role", "bureau", data=data)
    password = told.split("password ")[1].split()[0]
    shutil.copytree(data, other)
    (tmp_path / "influx").mkdir()
    common = ("--data", str(data))
    mqtt = ("--mqtt-port", str(port))
    with (
        influxdb(program("influxd"), tmp_path / "influx") as server,
        running("broker", *common, *mqtt) as broker,
    ):
        store = ("--store", f"{server.url}?db=town")
        broker.until("Quietwater runs")
        refused = run("ingest", *common, *mqtt, *store, expect=1)
        assert "quietwater admin init-store" in refused
        assert "database town-seconds, kept 90 days" in run("admin", "init-store", *store)
        with (
            running("ingest", *common, *mqtt, *store, "--name", "influx") as ingest,
            running("analysis", *common, *store) as analysis,
            running("serve", *common, *mqtt, *store, "--no-analysis", "--port", "0") as serve,
        ):
            ingest.until("ingest is connected")
            monkeypatch.setenv(
                "QUIETWATER_BROKER_PASSWORD", (data / "broker" / "server.password").read_text()
            )
            with _api(serve, password) as client:
                up = ("up", "--data", str(other), "--broker", f"mqtt://127.0.0.1:{port}", "--port", "0")
                with (
                    running(*up, "--store", f"duckdb://{tmp_path / 'series.duckdb'}") as embedded,
                    _api(embedded, password) as client_of_it,
                ):
                    embedded.until("ingest is connected")
                    _publish(town, port)
                    wait_for(lambda: _complete(_hours(client)), "all of it in InfluxDB")
                    wait_for(lambda: _complete(_hours(client_of_it)), "all of it in DuckDB")
                    there, here = _hours(client), _hours(client_of_it)
                rolled_up = InfluxStore(InfluxAddress(server.url, prefix="town"))
                wait_for(
                    lambda: len(rolled_up.noise_rollups(START, START + timedelta(hours=HOURS))) == HOURS,
                    "the hours' rollups",
                )
                assert client.get("/readyz").status_code == 200
                rolled_up.close()
        assert analysis.process.returncode == 0, analysis.lines
    assert [hour["t"] for hour in there["noise"]] == [hour["t"] for hour in here["noise"]]
    for kind in ("noise", "water"):
        for one, same in zip(there[kind], here[kind], strict=True):
            assert one.pop("revision") >= 0 and same.pop("revision") >= 0  # late seconds count it up
            figures = {key: value for key, value in one.items() if isinstance(value, float)}
            assert figures == pytest.approx({key: same[key] for key in figures}, abs=1e-6), kind
            assert {k: v for k, v in one.items() if k not in figures} == {
                k: v for k, v in same.items() if k not in figures
            }


@pytest.mark.system
def test_three_servers_and_the_registry_killed_among_them(
    tmp_path: Path,
    free_port: Callable[[], int],
    program: Callable[[str], str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Mosquitto, InfluxDB and PostgreSQL as Debian has them; what arrives while the registry is away is stored."""
    monkeypatch.setenv(PASSWORD_VARIABLE, REGISTRY_PASSWORD)
    monkeypatch.setenv("QUIETWATER_BROKER_PASSWORD", PASSWORD)
    port = free_port()
    mosquitto = chaos_parts.mosquitto(program("mosquitto"), tmp_path / "mosquitto", port)
    (tmp_path / "influx").mkdir()
    with (
        influxdb(program("influxd"), tmp_path / "influx") as influx,
        postgresql(Path(program("postgres")).parent, *DURABLE) as postgres,
        ExitStack() as stack,
    ):
        mosquitto.start()
        stack.callback(mosquitto.end)
        address = postgres.address(postgres.make_database())
        town = quarter(tmp_path, devices=1, meters=1, registry=address.open())
        town.registry.close()
        monkeypatch.setenv(VARIABLE, str(address))
        told = run("admin", "user", "add", "tester", "--role", "bureau", data=tmp_path)
        password = told.split("password ")[1].split()[0]
        store = ("--store", f"{influx.url}?db=town")
        run("admin", "init-store", *store)
        common, broker = ("--data", str(tmp_path / "data"), *store), ("--broker", f"mqtt://127.0.0.1:{port}")
        ingest = stack.enter_context(running("ingest", *common, *broker))
        stack.enter_context(running("analysis", *common))
        serve = stack.enter_context(running("serve", *common, *broker, "--no-analysis", "--port", "0"))
        ingest.until("ingest is connected")
        with _api(serve, password) as client:
            postgres.kill()
            away = client.get("/api/v1/sites")
            assert (away.status_code, away.json()["code"]) == (503, "registry_unavailable")
            _publish(town, port)
            postgres.start()
            wait_for(lambda: client.get("/api/v1/sites").status_code == 200, "the registry again")
            wait_for(lambda: _complete(_hours(client)), "all of it in InfluxDB")
    assert not (tmp_path / "data" / "registry.sqlite").exists()
