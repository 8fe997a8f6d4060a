"""From the end of the window that breaks a limit to the arrival of the signed webhook, through real processes.

``quietwater up`` runs as a process of its own with its broker, store, registry and page. Devices log in to the broker,
each with its own password, and send a second every second. One after the other they get loud: the window that ends
with a device's first loud second is the first one above the limit. The clock runs from the end of that second to the
arrival of the webhook's request in this process.

``python -m benchmarks.alert_latency [--devices 20] [--json FILE]`` prints the median and the longest; longer than 5 s
is a failure.
"""

from __future__ import annotations

import argparse
import json
import socket
import statistics
import tempfile
import threading
import time
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from analysis.notify import webhook
from analysis.rules.edit import add_rule
from contract.codec import encode, encode_array
from contract.messages import NoiseSecond
from store.registry.database import Registry
from store.registry.models import Contact, User, UserSite
from store.registry.provisioning import add_device, add_site, broker_username
from tests.app.commands import Command
from tests.broker import BareClient

BUDGET_S = 5.0
WINDOW_S = 60
QUIET_DB, LOUD_DB = 40.0, 80.0
SECRET = "benchmark-secret"
_SECOND = timedelta(seconds=1)


class Arrivals:
    """A webhook's server that notes when each alert's first message came, by device, and checks its signature."""

    def __init__(self) -> None:
        self.at: dict[str, float] = {}
        self.bad_signatures = 0
        arrivals = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                now = time.time()
                body = self.rfile.read(int(self.headers["Content-Length"]))
                if not webhook.verify(SECRET, self.headers[webhook.SIGNATURE], body, now):
                    arrivals.bad_signatures += 1
                for alert in json.loads(body)["alerts"]:
                    if alert["event"] == "firing":
                        arrivals.at.setdefault(alert["source_en"], now)
                self.send_response(204)
                self.end_headers()

            def log_message(self, *_: object) -> None: ...

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.server.serve_forever, daemon=True).start()


def main() -> None:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--devices", type=int, default=20)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        result = _run(Path(folder), options.devices)
    print(json.dumps(result, indent=2))
    if options.json:
        options.json.write_text(json.dumps(result, indent=2))
    if result["arrived"] < options.devices or result["longest_s"] > BUDGET_S:
        raise SystemExit(f"every alert must arrive within {BUDGET_S:.0f} s")


def _run(folder: Path, devices: int) -> dict[str, float]:
    arrivals = Arrivals()
    passwords = _furnish(folder / "data", devices, f"http://127.0.0.1:{arrivals.server.server_port}/hook")
    port = _free_port()
    command = Command("up", "--data", str(folder / "data"), "--port", "0", "--mqtt-port", str(port))
    try:
        command.until(r"http://127\.0\.0\.1:\d+")
        clients = {name: BareClient(port, (broker_username("s1", name), password), name=f"s1-{name}")
                   for name, password in passwords.items()}  # fmt: skip
        ended = _play(clients, arrivals)
    finally:
        command.stop()
        arrivals.server.shutdown()
    took = sorted(arrivals.at[name] - end for name, end in ended.items() if name in arrivals.at)
    return {
        "devices": devices,
        "arrived": len(took),
        "bad_signatures": arrivals.bad_signatures,
        "median_s": round(statistics.median(took), 2) if took else -1.0,
        "p90_s": round(took[int(0.9 * (len(took) - 1))], 2) if took else -1.0,
        "longest_s": round(took[-1], 2) if took else -1.0,
    }


def _furnish(data: Path, devices: int, url: str) -> dict[str, str]:
    now = datetime.now(UTC)
    registry = Registry.in_folder(data)
    with registry.session() as session:
        add_site(session, "s1", label_zh="小区", label_en="Quarter", now=now)
        passwords = {
            f"d{n}": add_device(
                session, "s1", f"d{n}", kind="noise", label_zh=f"d{n}", label_en=f"d{n}", now=now
            )
            for n in range(devices)
        }
        add_rule(session, "s1", "noise_window", {"window_s": WINDOW_S}, who="benchmark", now=now)
        user = User(name="program", password_hash="x", role="manager", language="en", created_at=now)
        user.sites.append(UserSite(site="s1"))
        user.contacts.append(Contact(label="hook", url=url, secret=SECRET, created_at=now))
        session.add(user)
    registry.close()
    return passwords


def _play(clients: dict[str, BareClient], arrivals: Arrivals) -> dict[str, float]:
    """Send a minute of quiet and then a second each second; return when each device's first loud second ended."""
    start = datetime.now(UTC).replace(microsecond=0)
    for client, name in ((client, name) for name, client in clients.items()):
        _publish(client, name, [_second(start - n * _SECOND, QUIET_DB) for n in range(WINDOW_S, 0, -1)])
    ended: dict[str, float] = {}
    names = list(clients)
    for n in range(3 * len(names) + 30):
        t = start + n * _SECOND
        time.sleep(max(0.0, (t + _SECOND).timestamp() - time.time()))
        loud = set(names[: max(0, (n - 8) // 3)])  # every three seconds one more gets loud
        for name, client in clients.items():
            _publish(client, name, [_second(t, LOUD_DB if name in loud else QUIET_DB)])
            if name in loud:
                ended.setdefault(name, (t + _SECOND).timestamp())
        if len(arrivals.at) == len(names):
            break
    return ended


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        return listening.getsockname()[1]


def _publish(client: BareClient, name: str, seconds: list[NoiseSecond]) -> None:
    client.publish(f"qw/v1/s1/{name}/noise", encode_array([encode(one) for one in seconds]))


def _second(t: datetime, level_db: float) -> NoiseSecond:
    return NoiseSecond(
        seq=int(t.timestamp()),
        t=t,
        laeq_db=level_db,
        lafmax_db=level_db + 2,
        lafmin_db=level_db - 2,
        laf_db=level_db,
    )


if __name__ == "__main__":
    main()
