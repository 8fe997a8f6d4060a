"""A real Prometheus scrapes a real server: every panel of the dashboard has data, and every alert can be judged."""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx
import pytest

from app.backup_files import make_backup
from app.settings import ServerSettings
from contract.codec import encode, encode_array
from contract.messages import DeviceStatus, NoiseSecond
from store.registry.models import Certificate
from store.series.duckdb_store import DuckDbStore
from tests.app.commands import run, running, wait_for
from tests.broker import BareClient, Quarter, quarter
from tests.deploy.dashboards import expressions
from tests.deploy.observing import PROMETHEUS, rules

HOME = '[home_assistant.home]\nhost = "127.0.0.1"\nport = 1\n'
"""Nobody listens there: an uplink that waits."""


@pytest.mark.system
def test_every_panel_has_data_and_every_alert_is_judged(
    program: Callable[[str], str], tmp_path: Path, free_port: Callable[[], int]
) -> None:
    data, port = tmp_path / "data", free_port()
    town = _town(data, tmp_path / "backup")
    told = run("admin", "user", "add", "tester", "--role", "admin", data=data)
    with running("up", "--data", str(data), "--port", "0", "--mqtt-port", str(port)) as server:
        address = server.until(r"http://(127\.0\.0\.1:\d+)")[1]
        (tmp_path / "token").write_text(_token(address, told.split("password ")[1].split()[0]))
        with _prometheus(program("prometheus"), tmp_path, address, free_port()) as client:
            _publish(town, port)
            missing = set(expressions())

            def every_panel_has_data() -> bool:
                missing.difference_update([one for one in missing if _answer(client, one)])
                return not missing

            try:
                wait_for(every_panel_has_data, "data in every panel", 90)
            except AssertionError:
                raise AssertionError(f"no data for {sorted(missing)}") from None
            wait_for(
                lambda: _states(client).keys() == {one["alert"] for one in rules()}, "every alert judged", 90
            )
            states = _states(client)
            assert states["QuietwaterUplinkStands"] == "pending"  # half an hour is not over yet
            assert states["QuietwaterDown"] == states["QuietwaterRulesLate"] == "inactive"


def _town(data: Path, backup: Path) -> Quarter:
    town = quarter(data, devices=1, meters=1)
    now = datetime.now(UTC)
    with town.registry.session() as session:
        session.add(
            Certificate(
                serial="1", site="s1", device="d1", issued_by="test", issued_at=now,
                expires_at=now + timedelta(days=365),
            )
        )  # fmt: skip
    (data / "uplinks.toml").write_text(HOME)
    DuckDbStore(data / "series.duckdb").close()
    make_backup(ServerSettings(data=data), backup, lambda _share: None)
    town.registry.close()
    return town


def _publish(town: Quarter, port: int) -> None:
    """Send what a device sends: its health, seconds of noise, and one that is not one."""
    device = BareClient(port, town.login("s1", "d1"), name="device")
    now = datetime.now(UTC).replace(microsecond=0)
    status = DeviceStatus(
        state="online",
        t=now,
        version="1",
        clock_offset_ms=3.0,
        outbox_depth=2,
        temperature_c=48.5,
        disk_free_mb=9000,
    )
    device.publish("qw/v1/s1/d1/status", encode(status), retain=True)
    for n in range(30, 0, -1):
        one = NoiseSecond(
            seq=31 - n,
            t=now - timedelta(seconds=n),
            laeq_db=48.0,
            lafmax_db=50.0,
            lafmin_db=46.0,
            laf_db=48.0,
        )
        device.publish("qw/v1/s1/d1/noise", encode_array([encode(one)]))
    device.publish("qw/v1/s1/d1/noise", b"no readings")
    device.settle()
    device.close()


def _token(address: str, password: str) -> str:
    with httpx.Client(base_url=f"http://{address}/api/v1", timeout=60) as client:
        login = client.post("/login", json={"name": "tester", "password": password}).json()
        made = client.post(
            "/me/tokens", json={"name": "prometheus", "scopes": ["metrics"]},
            headers={"X-CSRF-Token": login["csrf_token"]},
        )  # fmt: skip
        assert made.status_code == 201, made.text
        return made.json()["text"]


@contextmanager
def _prometheus(program: str, folder: Path, address: str, port: int) -> Iterator[httpx.Client]:
    """Run Prometheus with the configuration as it is shipped, but for the pace and where the server is."""
    text = (PROMETHEUS / "prometheus.yml").read_text()
    for was, now in (
        ("15s", "1s"), ("127.0.0.1:8080", address), ("/etc/prometheus/quietwater.token", str(folder / "token")),
    ):  # fmt: skip
        assert was in text
        text = text.replace(was, now)
    (folder / "prometheus.yml").write_text(text[: text.index("  # The parts that have no API")])
    (folder / "alerts.yml").write_bytes((PROMETHEUS / "alerts.yml").read_bytes())
    words = [
        program, f"--config.file={folder / 'prometheus.yml'}", f"--storage.tsdb.path={folder / 'tsdb'}",
        f"--web.listen-address=127.0.0.1:{port}", "--log.level=warn",
    ]  # fmt: skip
    with (folder / "prometheus.log").open("wb") as log:
        process = subprocess.Popen(words, stdout=log, stderr=log)
    try:
        with httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=30) as client:
            wait_for(lambda: _ready(client), "Prometheus", 90)
            yield client
    finally:
        process.terminate()
        process.wait(60)


def _ready(client: httpx.Client) -> bool:
    try:
        return client.get("/-/ready").status_code == 200
    except httpx.TransportError:
        return False


def _answer(client: httpx.Client, expression: str) -> list[dict]:
    answer = client.get("/api/v1/query", params={"query": expression})
    assert answer.status_code == 200, (expression, answer.text)
    return answer.json()["data"]["result"]


def _states(client: httpx.Client) -> dict[str, str]:
    """Return the state of every alert whose expression has been judged without an error."""
    [group] = client.get("/api/v1/rules").json()["data"]["groups"]
    return {one["name"]: one["state"] for one in group["rules"] if one["health"] == "ok"}
