"""Recording, edge process, broker, ingest process, store, API: real processes, no mock, with a kill in the middle."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx
import paho.mqtt.client as mqtt
import pytest
import tomli_w
from paho.mqtt.enums import CallbackAPIVersion

from contract.codec import decode_stored
from store.series.duckdb_store import DuckDbStore
from tests.app.commands import Command, run, running, wait_for
from tests.app.recordings import laeq_db, write_recording

SECONDS = 600
BEFORE_THE_HOUR = 200
STARTS = datetime(2026, 3, 1, 10, 0, tzinfo=UTC) - timedelta(seconds=BEFORE_THE_HOUR)
HOUR_1, HOUR_2 = datetime(2026, 3, 1, 9, tzinfo=UTC), datetime(2026, 3, 1, 10, tzinfo=UTC)
FULL_SCALE_DB = 96.0
SPEED = 60
"""Times the speed of the wall at which the agent's clock runs: slow enough to kill something in the middle."""
KILL_AFTER = 150
"""Readings stored when ingest is killed."""


def _provision(data: Path, folder: Path, mqtt_port: int, recording: Path) -> Path:
    run(
        "admin", "site", "add", "test-yard", "--zh", "测试小区", "--en", "Test yard", "--zone", "1", data=data
    )
    told = run(
        "admin",
        "device",
        "add",
        "test-yard",
        "gate",
        "--kind",
        "noise",
        "--zh",
        "门",
        "--en",
        "Gate",
        data=data,
    )
    password = next(line.split()[3] for line in told.splitlines() if line.startswith("password of"))
    (folder / "gate.password").write_text(password)
    config = {
        "site": "test-yard",
        "device": "gate",
        "data": "agent",
        "mqtt": {"url": f"mqtt://127.0.0.1:{mqtt_port}", "password_file": "gate.password"},
        "outbox": {"commit_interval_s": 1.0},
        "noise": {
            "full_scale_db": FULL_SCALE_DB,
            "spectrum": False,
            "source": {"type": "file", "path": str(recording), "start_at": STARTS},
        },
    }
    path = folder / "gate.toml"
    path.write_text(tomli_w.dumps(config))
    return path


class _Answers:
    """Counts the readings that ingest has answered as stored."""

    def __init__(self, data: Path, mqtt_port: int) -> None:
        self.stored = 0
        self._subscribed = threading.Event()
        self._client = mqtt.Client(CallbackAPIVersion.VERSION2, client_id="watcher")
        self._client.username_pw_set("quietwater", (data / "broker" / "server.password").read_text())
        self._client.on_connect = lambda client, *_: client.subscribe("qw/v1/+/+/stored")
        self._client.on_subscribe = lambda *_: self._subscribed.set()
        self._client.on_message = self._count
        self._client.connect("127.0.0.1", mqtt_port)
        self._client.loop_start()
        assert self._subscribed.wait(60)

    def _count(self, _client: mqtt.Client, _data: object, message: mqtt.MQTTMessage) -> None:
        self.stored += sum(last - first + 1 for first, last in decode_stored(message.payload).stored)

    def close(self) -> None:
        self._client.disconnect()
        self._client.loop_stop()


@contextmanager
def _answers(data: Path, mqtt_port: int) -> Iterator[_Answers]:
    answers = _Answers(data, mqtt_port)
    try:
        yield answers
    finally:
        answers.close()


def _count(data: Path) -> int:
    store = DuckDbStore(data / "series.duckdb")
    try:
        return store.count("noise")
    finally:
        store.close()


def _hours_from_api(data: Path, password: str) -> list[dict[str, float]]:
    with running("serve", "--data", str(data), "--port", "0") as serve:
        address = serve.until(r"(http://127\.0\.0\.1:\d+)")[1]
        with httpx.Client(base_url=address, timeout=20) as client:
            login = client.post("/api/v1/login", json={"name": "tester", "password": password})
            assert login.status_code == 200, login.text
            answer = client.get(
                "/api/v1/noise/hours",
                params={
                    "site": "test-yard", "device": "gate",
                    "start": "2026-03-01T09:00:00Z", "end": "2026-03-01T11:00:00Z",
                },
            )  # fmt: skip
            assert answer.status_code == 200, answer.text
            return answer.json()["hours"]


@pytest.mark.system
def test_every_second_of_a_recording_reaches_the_api_once_also_when_ingest_is_killed(
    tmp_path: Path, free_port: Callable[[], int]
) -> None:
    samples = write_recording(tmp_path / "yard.flac", SECONDS)
    data, mqtt_port = tmp_path / "data", free_port()
    with running("broker", "--data", str(data), "--mqtt-port", str(mqtt_port)) as broker:
        broker.until("Quietwater runs")
        config = _provision(data, tmp_path, mqtt_port, tmp_path / "yard.flac")
        with _answers(data, mqtt_port) as answers:
            ingest = Command("ingest", "--data", str(data), "--mqtt-port", str(mqtt_port))
            try:
                ingest.until("ingest is connected")
                clock = (STARTS.isoformat(), datetime.now(UTC).isoformat(), str(SPEED))
                with running("edge", "run", "--config", str(config), "--once", "--catch-up", *clock) as edge:
                    wait_for(lambda: answers.stored >= KILL_AFTER, "ingest to have stored some of it")
                    ingest.stop(signal.SIGKILL)
                    at_the_kill = _count(data)
                    assert 0 < at_the_kill < SECONDS, "the kill came too early or too late to show anything"
                    ingest = Command("ingest", "--data", str(data), "--mqtt-port", str(mqtt_port))
                    wait_for(
                        lambda: edge.process.poll() is not None, "the agent to have all of it stored", 120
                    )
                    assert edge.process.returncode == 0, edge.lines
            finally:
                assert ingest.stop(signal.SIGTERM) == 0, ingest.lines
    assert _count(data) == SECONDS
    told = run("admin", "user", "add", "tester", "--role", "bureau", data=data)
    hours = _hours_from_api(data, told.split("password ")[1].split()[0])
    assert [hour["t"][:13] for hour in hours] == ["2026-03-01T09", "2026-03-01T10"]
    expected = (
        laeq_db(samples, 0, BEFORE_THE_HOUR, FULL_SCALE_DB),
        laeq_db(samples, BEFORE_THE_HOUR, SECONDS, FULL_SCALE_DB),
    )
    assert [hour["seconds"] for hour in hours] == [BEFORE_THE_HOUR, SECONDS - BEFORE_THE_HOUR]
    assert hours[0]["laeq_db"] == pytest.approx(expected[0], abs=0.01)
    assert hours[1]["laeq_db"] == pytest.approx(expected[1], abs=0.01)
