"""The same burst through Node-RED 4 with node-red-contrib-influxdb, and through ours, on the same machine.

``python -m benchmarks.ingest_node_red --folder FOLDER [--messages 60000]`` installs both packages from npm into FOLDER
(about 110 MB, once), queues messages of one reading at QoS 1 in Mosquitto, and has them drained into InfluxDB: first
by Node-RED with the flow that its users build (mqtt in, QoS 1, session kept; a function that names fields and tags;
influxdb out), then by one ingest process of ours. It prints what each has stored once nothing more comes, how fast, and
how much memory it took. Needs node, npm, mosquitto and influxd.
"""

from __future__ import annotations

import argparse
import json
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import psutil

from app.broker import free_port
from benchmarks.ingest_throughput import DEVICES, SITES, _messages
from store.series.address import InfluxAddress
from store.series.influx_http import InfluxHttp
from store.series.influx_setup import init_store
from store.series.influx_store import InfluxStore
from store.series.retention import Retention
from tests.broker import BareClient, mosquitto, quarter, wait_for
from tests.store.series.servers import influxdb

PACKAGES = ("node-red@4", "node-red-contrib-influxdb@0.7")
_QUIET_S = 15.0
_DATABASE = "burst"
_SPLIT = """
const [, , site, device] = msg.topic.split("/");
const {t, ...fields} = msg.payload[0];
msg.payload = [{...fields, time: new Date(t)}, {site, device}];
return msg;
"""


def main() -> None:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--folder", type=Path, required=True, help="where the npm packages are, or are to be installed"
    )
    parser.add_argument("--messages", type=int, default=60_000)
    options = parser.parse_args()
    programs = {name: _program(name) for name in ("node", "npm", "mosquitto", "influxd")}
    version = _install(programs["npm"], options.folder.resolve())
    print(
        f"{options.messages} messages of one reading, QoS 1, queued in Mosquitto, into InfluxDB", flush=True
    )
    with tempfile.TemporaryDirectory() as name:
        for title, start in (
            (
                f"Node-RED {version}",
                lambda *where: _NodeRed(programs["node"], options.folder.resolve(), *where),
            ),
            ("Quietwater", _Ours),
        ):
            folder = Path(name) / title.partition(" ")[0]
            folder.mkdir()
            print(f"{title:16} {_run(programs, folder, options.messages, start)}", flush=True)


def _program(name: str) -> str:
    path = shutil.which(name) or shutil.which(name, path="/usr/sbin:/usr/local/sbin")
    if path is None:
        raise SystemExit(f"{name} is not installed")
    return path


def _install(npm: str, folder: Path) -> str:
    about = folder / "node_modules" / "node-red" / "package.json"
    if not about.exists():
        folder.mkdir(parents=True, exist_ok=True)
        subprocess.run(
            [npm, "install", "--no-fund", "--no-audit", "--prefix", str(folder), *PACKAGES], check=True
        )
    return json.loads(about.read_text())["version"]


# -- the two ---------------------------------------------------------------------------------------------------------


class _NodeRed:
    """Node-RED, run with a flow of three nodes."""

    def __init__(self, node: str, packages: Path, folder: Path, mqtt_port: int, influx_url: str):
        settings = {"uiHost": "127.0.0.1", "uiPort": free_port(), "logging": {"console": {"level": "warn"}}}
        (folder / "settings.js").write_text(f"module.exports = {json.dumps(settings)};\n")
        flow = folder / "flow.json"
        flow.write_text(json.dumps(_flow(mqtt_port, int(influx_url.rsplit(":", 1)[1]))))
        self.command = [node, str(packages / "node_modules" / "node-red" / "red.js"), "--userDir", str(packages),
                        "--settings", str(folder / "settings.js"), str(flow)]  # fmt: skip
        self._http = InfluxHttp(InfluxAddress(influx_url))
        self._http.command(f'CREATE DATABASE "{_DATABASE}"')

    def count(self) -> int:
        """Return how many points are stored."""
        (series,) = self._http.query(_DATABASE, ["SELECT count(laeq_db) FROM noise"])
        return int(series[0].values[0][1]) if series else 0


class _Ours:
    """One ingest process."""

    def __init__(self, folder: Path, mqtt_port: int, influx_url: str):
        quarter(folder / "data", sites=SITES, devices=DEVICES, meters=0).registry.close()
        address = InfluxAddress(influx_url)
        init_store(address, Retention())
        self._store = InfluxStore(address)
        self.command = [sys.executable, "-m", "tests.ingest_runner", str(folder / "data"),
                        f"mqtt://127.0.0.1:{mqtt_port}", "--influx", influx_url]  # fmt: skip

    def count(self) -> int:
        """Return how many readings are stored."""
        return self._store.count("noise")


def _flow(mqtt_port: int, influx_port: int) -> list[dict[str, object]]:
    broker = {"id": "broker", "type": "mqtt-broker", "broker": "127.0.0.1", "port": str(mqtt_port), "clientid": "burst",
              "autoConnect": True, "usetls": False, "protocolVersion": "4", "keepalive": "60", "cleansession": False,
              "autoUnsubscribe": False}  # fmt: skip
    server = {"id": "server", "type": "influxdb", "hostname": "127.0.0.1", "port": str(influx_port), "protocol": "http",
              "database": _DATABASE, "usetls": False, "influxdbVersion": "1.x"}  # fmt: skip
    return [
        {"id": "tab", "type": "tab", "label": "burst"},
        broker,
        server,
        {"id": "in", "type": "mqtt in", "z": "tab", "topic": "qw/v1/+/+/noise", "qos": "1", "datatype": "json",
         "broker": "broker", "wires": [["split"]]},
        {"id": "split", "type": "function", "z": "tab", "func": _SPLIT, "outputs": 1, "wires": [["out"]]},
        {"id": "out", "type": "influxdb out", "z": "tab", "influxdb": "server", "measurement": "noise",
         "precision": "ms", "wires": []},
    ]  # fmt: skip


# -- the run ---------------------------------------------------------------------------------------------------------


@dataclass
class _Result:
    stored: int
    of: int
    seconds: float
    rss_mb: float
    complaints: int

    def __str__(self) -> str:
        rate = self.stored / self.seconds if self.seconds else 0.0
        told = f", {self.complaints} lines of error in its log" if self.complaints else ""
        return (
            f"{self.stored} of {self.of} stored ({self.of - self.stored} lost), {self.seconds:.1f} s from its start to "
            f"the last one, {rate:.0f} messages/s, memory at most {self.rss_mb:.0f} MB{told}"
        )


def _run(
    programs: dict[str, str], folder: Path, count: int, make: Callable[..., _NodeRed | _Ours]
) -> _Result:
    port = free_port()
    told = "log_type subscribe"
    with (
        mosquitto(programs["mosquitto"], folder / "mosquitto", port, told),
        influxdb(programs["influxd"], folder) as server,
    ):
        drain = make(folder, port, server.url)
        log = folder / "drain.log"
        process = _start(drain.command, log)
        wait_for(lambda: "/noise" in _subscriptions(folder), 90, f"a subscription; see {log}")
        time.sleep(1.0)
        _end(process)
        publisher = BareClient(port, name="publisher")
        for topic, payload in _messages(count, 1):
            publisher.publish(topic, payload)
        publisher.settle()
        publisher.close()
        began = time.perf_counter()
        process = _start(drain.command, log)
        stored, last, most = _watch(drain, psutil.Process(process.pid), began, count)
        _end(process)
        complaints = sum("error" in line.lower() for line in log.read_text(errors="replace").splitlines())
        return _Result(stored, count, last - began, most / 1e6, complaints)


def _start(command: Sequence[str], log: Path) -> subprocess.Popen[bytes]:
    with log.open("ab") as output:
        return subprocess.Popen(command, stdout=output, stderr=output)


def _end(process: subprocess.Popen[bytes]) -> None:
    process.send_signal(signal.SIGTERM)
    try:
        process.wait(30)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def _subscriptions(folder: Path) -> str:
    return (folder / "mosquitto" / "mosquitto.log").read_text(errors="replace")


def _watch(
    drain: _NodeRed | _Ours, process: psutil.Process, began: float, count: int
) -> tuple[int, float, int]:
    """Wait until nothing more is stored; return the count, when the last came, and the most memory."""
    stored, last, most = 0, began, 0
    while time.perf_counter() - last < (_QUIET_S if stored < count else 1.0):
        time.sleep(0.25)
        if process.is_running() and process.status() != psutil.STATUS_ZOMBIE:
            most = max(most, process.memory_info().rss)
        now = drain.count()
        if now != stored:
            stored, last = now, time.perf_counter()
    return stored, last, most


if __name__ == "__main__":
    main()
