"""Two processes that serve one registry, behind the shipped Caddyfile: each shows the same, and one may die."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

import httpx
import pytest
from sqlalchemy import select

from app.shard_option import TTL_VARIABLE
from contract.codec import encode, encode_array
from contract.messages import NoiseSecond
from store.registry.database import Registry
from store.registry.lease_models import Lease
from store.registry.models import Alert, AlertTransition, Rule
from store.registry.users import create_user
from store.series.address import InfluxAddress
from store.series.influx_setup import init_store
from store.series.retention import Retention
from tests.app.commands import Command, running, wait_for
from tests.broker import BareClient, Quarter, embedded, quarter
from tests.store.series.servers import influxdb

CADDYFILE = Path(__file__).parents[2] / "deploy" / "caddy" / "Caddyfile"
PASSWORD = "of-a-person-who-looks"


@dataclass
class Listener:
    """An open live stream; its events by their kind, and the newest id."""

    client: httpx.Client
    last_id: str = ""
    events: list[tuple[str, dict]] = field(default_factory=list)

    def of(self, kind: str) -> list[dict]:
        return [body for name, body in list(self.events) if name == kind]

    def levels(self) -> list[tuple[str, float]]:
        return [(one["t"], one["laeq_db"]) for body in self.of("levels") for one in body["levels"]]

    def listen(self) -> None:
        headers = {"Last-Event-ID": self.last_id} if self.last_id else {}
        try:
            with self.client.stream("GET", "/api/v1/live", headers=headers, timeout=60) as live:
                name = ""
                for line in live.iter_lines():
                    key, _, value = line.partition(": ")
                    if key == "id":
                        self.last_id = value
                    elif key == "event":
                        name = value
                    elif key == "data":
                        self.events.append((name, json.loads(value)))
        except httpx.HTTPError:
            return


@contextmanager
def _listening(client: httpx.Client, last_id: str = "") -> Iterator[Listener]:
    listener = Listener(client, last_id)
    threading.Thread(target=listener.listen, daemon=True).start()
    wait_for(lambda: listener.of("levels") or listener.of("hello") or listener.of("resync"), "the stream")
    yield listener


def _address(serve: Command) -> str:
    return serve.until(r"(http://127\.0\.0\.1:\d+)")[1]


def _move(registry: Registry, alert: int, state: str) -> None:
    """What a process of analysis does when an alert changes."""
    now = datetime.now(UTC)
    with registry.session() as session:
        row = session.get_one(Alert, alert)
        session.add(
            AlertTransition(
                alert_id=alert, at=now, from_state=row.state, to_state=state, reason="test", who="analysis"
            )
        )
        row.state, row.updated_at = state, now


def _open_alert(registry: Registry) -> int:
    now = datetime.now(UTC)
    with registry.session() as session:
        rule = Rule(site="s1", kind="noise_window", params={}, updated_at=now)
        session.add(rule)
        session.flush()
        alert = Alert(
            rule_id=rule.id, rule_kind=rule.kind, site="s1", source="d1", state="pending", severity="warning",
            open_key="one", pending_since=now, updated_at=now, detail={},
        )  # fmt: skip
        session.add(alert)
        session.flush()
        return alert.id


def _publish(town: Quarter, port: int, seq: int, laeq_db: float) -> None:
    reading = NoiseSecond(
        seq=seq, t=datetime.now(UTC).replace(microsecond=0), laeq_db=laeq_db, lafmax_db=laeq_db, lafmin_db=laeq_db,
        laf_db=laeq_db,
    )  # fmt: skip
    device = BareClient(port, town.login("s1", "d1"), name="device")
    device.publish("qw/v1/s1/d1/noise", encode_array([encode(reading)]))
    device.settle()
    device.close()


def _holders(registry: Registry) -> set[str | None]:
    with registry.reader() as session:
        return set(session.scalars(select(Lease.holder).where(Lease.pool == "serve")))


@pytest.mark.system
def test_two_processes_serve_one_registry(
    tmp_path: Path, program: Callable[[str], str], free_port: Callable[[], int], monkeypatch: pytest.MonkeyPatch
) -> None:  # fmt: skip
    data, port, front = tmp_path / "data", free_port(), free_port()
    town = quarter(data, devices=1, meters=0)
    with town.registry.session() as session:
        create_user(session, "tester", PASSWORD, role="admin", now=datetime.now(UTC))
    alert = _open_alert(town.registry)
    monkeypatch.setenv(TTL_VARIABLE, "2")
    (tmp_path / "influx").mkdir()
    with ExitStack() as stack:
        server = stack.enter_context(influxdb(program("influxd"), tmp_path / "influx"))
        init_store(InfluxAddress(server.url, prefix="town"), Retention(None, None))
        stack.enter_context(embedded(data / "broker", town.registry, port))
        common = ("serve", "--data", str(data), "--no-analysis", "--mqtt-port", str(port), "--port", "0",
                  "--store", f"{server.url}?db=town")  # fmt: skip
        serves = [stack.enter_context(running(*common, "--name", name)) for name in ("one", "two")]
        one, two = (httpx.Client(base_url=_address(serve), timeout=60) for serve in serves)
        for client in (one, two):
            wait_for(lambda client=client: client.get("/readyz").status_code == 200, "it is ready")

        login = one.post("/api/v1/login", json={"name": "tester", "password": PASSWORD})
        assert login.status_code == 200, login.text
        two.cookies = httpx.Cookies({cookie.name: cookie.value or "" for cookie in one.cookies.jar})
        assert two.get("/api/v1/me").json()["name"] == "tester"
        wait_for(lambda: len(_holders(town.registry)) == 1, "one of them tells devices their configuration")

        with _listening(one) as first, _listening(two) as second:
            _publish(town, port, 1, 61.5)
            _move(town.registry, alert, "firing")
            for listener in (first, second):
                wait_for(lambda of=listener: 61.5 in [db for _, db in of.levels()], "the level")
                wait_for(lambda of=listener: [a["state"] for a in of.of("alert")] == ["firing"], "the alert")
            assert first.levels()[-1] == second.levels()[-1]
            # Who comes from one to the other with an id of the first is told to load anew, and sees what is there.
            with _listening(two, first.last_id) as moved:
                wait_for(lambda: moved.of("resync"), "it is told to load anew")
            with _listening(one, first.last_id) as back:
                wait_for(lambda: back.of("levels"), "the newest levels")
                assert not back.of("resync")

            caddy = subprocess.Popen(
                [program("caddy"), "run", "--config", str(CADDYFILE), "--adapter", "caddyfile"],
                stdout=subprocess.DEVNULL, stderr=(tmp_path / "caddy.log").open("wb"),
                env={
                    **os.environ, "HOME": str(tmp_path), "CADDY_ADMIN": f"127.0.0.1:{free_port()}",
                    "QUIETWATER_HOST": f"http://127.0.0.1:{front}",
                    "QUIETWATER_UPSTREAM": " ".join(str(one.base_url.netloc, "ascii") for one in (one, two)),
                },
            )  # fmt: skip
            stack.callback(caddy.wait, 60)
            stack.callback(caddy.terminate)
            person = httpx.Client(base_url=f"http://127.0.0.1:{front}", timeout=60, cookies=one.cookies)
            wait_for(
                lambda: _status(person, "/healthz") == 200, (tmp_path / "caddy.log").read_text() or "Caddy"
            )
            keeper = next(name for name in _holders(town.registry) if name)
            dies, lives = (0, 1) if keeper == "one" else (1, 0)
            serves[dies].stop(signal.SIGKILL)
            for _ in range(4):
                assert _status(person, "/api/v1/me") == 200
            left = ("one", "two")[lives]
            wait_for(lambda: _holders(town.registry) == {left}, "the other takes over what one does for all")
            _move(town.registry, alert, "resolved")
            there = (first, second)[lives]
            wait_for(
                lambda: [a["state"] for a in there.of("alert")] == ["firing", "resolved"], "the alert's end"
            )
        assert serves[lives].stop() == 0
    town.registry.close()


def _status(client: httpx.Client, path: str) -> int:
    try:
        return client.get(path).status_code
    except httpx.TransportError:
        return 0
