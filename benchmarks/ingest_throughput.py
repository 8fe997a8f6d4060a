"""How fast ingest stores what waits at the broker, beside the raw limits of the same machine in the same run.

Broker, ingest and store share two processors. Messages are queued at the broker first, then drained. For each of
one reading a message and ten, and for each store:

* ``paho``: a bare paho client receives, acknowledges and drops: what no ingest on paho can pass;
* ``posted``: the same readings into the store without MQTT, made beforehand: line protocol posted to InfluxDB
  (5,000 lines a request, as ingest does), entries written to DuckDB;
* ``ingest``: the whole way, to the commit, the acknowledgement and the answer to the device.

Processor time a reading is told by process, because on a busy machine it says more than the clock does. A run in which
a reading is missing or doubled ends with an error.

``python -m benchmarks.ingest_throughput [--stores duckdb,influxdb] [--messages 60000] [--repeat 3] [--json FILE]``
prints medians and ratios. InfluxDB is started from the path (``influxd``, Debian's ``influxdb``).
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import statistics
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import count
from pathlib import Path
from typing import Any, Final

import paho.mqtt.client as mqtt
import psutil
from paho.mqtt.enums import CallbackAPIVersion

from app.broker import EmbeddedBroker, free_port
from contract.clock import SystemClock
from contract.codec import decode_readings
from contract.topics import parse
from ingest.service import Ingest
from ingest.source import BrokerAddress
from ingest.source_mqtt import MqttSource
from store.series import influx_lines
from store.series.address import DuckDbAddress, InfluxAddress, StoreAddress, open_store
from store.series.columns import split
from store.series.influx_http import InfluxHttp
from store.series.influx_setup import init_store
from store.series.interface import Entry
from store.series.retention import Retention
from tests.broker import BareClient, Quarter, embedded, quarter, wait_for
from tests.store.series.servers import Server, influxdb

SITES, DEVICES = 20, 50
_LINES_A_REQUEST: Final = 5_000
_FOLDERS = count()


@dataclass(frozen=True)
class Bench:
    """What a run needs: where to work, the registry, the store's server where it has one."""

    folder: Path
    town: Quarter
    store: str
    server: Server | None

    def address(self) -> StoreAddress:
        """Return an empty store."""
        number = next(_FOLDERS)
        if self.server is None:
            return DuckDbAddress(self.folder / f"{number}.duckdb")
        address = InfluxAddress(self.server.url, prefix=f"b{number}")
        init_store(address, Retention())
        return address


def main() -> None:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--stores", default="duckdb,influxdb")
    parser.add_argument("--messages", type=int, default=60_000)
    parser.add_argument("--repeat", type=int, default=3)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:2])
    results: list[dict[str, Any]] = []
    with tempfile.TemporaryDirectory() as folder:
        town = quarter(Path(folder) / "data", sites=SITES, devices=DEVICES, meters=0)
        for store in options.stores.split(","):
            with _server(store, Path(folder)) as server:
                bench = Bench(Path(folder), town, store, server)
                for per_message, messages in ((1, options.messages), (10, options.messages // 3)):
                    row = _medians([_run(bench, messages, per_message) for _ in range(options.repeat)])
                    results.append({"store": store, "readings_a_message": per_message, **row})
                    _print(results[-1])
    if options.json:
        options.json.write_text(json.dumps(results, indent=2))


@contextmanager
def _server(store: str, folder: Path) -> Iterator[Server | None]:
    if store != "influxdb":
        yield None
        return
    program = shutil.which("influxd")
    if program is None:
        raise SystemExit("influxd is not installed; on Debian: apt-get install influxdb; or --stores duckdb")
    (folder / "influxdb").mkdir()
    with influxdb(program, folder / "influxdb") as server:
        yield server


def _run(bench: Bench, messages: int, per_message: int) -> dict[str, float]:
    batch = list(_messages(messages, per_message))
    readings = messages * per_message
    out = {"posted_readings_s": readings / _posted(bench, batch)}
    with _queued(bench, batch, session="raw") as broker:
        seconds = _receive_and_drop(broker, messages)
        out["paho_messages_s"] = messages / seconds
    with _queued(bench, batch, session="ingest") as broker:
        out |= _ingest(bench, broker, messages, readings)
    out["of_paho"] = out["messages_s"] / out["paho_messages_s"]
    out["of_posted"] = out["readings_s"] / out["posted_readings_s"]
    return out


def _messages(number: int, per_message: int) -> Iterator[tuple[str, bytes]]:
    start = datetime.now(UTC).replace(microsecond=0) - timedelta(hours=12)
    devices = [(f"s{s}", f"d{d}") for s in range(1, SITES + 1) for d in range(1, DEVICES + 1)]
    for n in range(number):
        site, device = devices[n % len(devices)]
        first = n // len(devices) * per_message
        array = [_reading(first + i, start) for i in range(per_message)]
        yield f"qw/v1/{site}/{device}/noise", json.dumps(array, separators=(",", ":")).encode()


def _reading(n: int, start: datetime) -> dict[str, object]:
    t = (start + timedelta(seconds=n)).strftime("%Y-%m-%dT%H:%M:%SZ")
    levels = {
        "laeq_db": 40 + n * 7 % 300 / 10, "lafmax_db": 50 + n * 11 % 300 / 10, "lafmin_db": 35 + n * 3 % 100 / 10,
        "laf_db": 40 + n * 13 % 300 / 10, "lceq_db": 60.3, "lcpeak_db": 72.4,
    }  # fmt: skip
    return {"seq": 1_772_366_400_000 + n, "t": t, **levels}


# -- raw limits ------------------------------------------------------------------------------------------------------


def _posted(bench: Bench, batch: list[tuple[str, bytes]]) -> float:
    """Return the seconds that the store alone takes for the readings."""
    now = datetime.now(UTC)
    entries = [
        Entry(name.site, name.device, reading, now)
        for topic, payload in batch
        for name in (parse(topic),)
        for reading in decode_readings("noise", payload).readings
    ]
    address = bench.address()
    if isinstance(address, InfluxAddress):
        return _post_lines(address, entries)
    store = open_store(address)
    began = time.perf_counter()
    for at in range(0, len(entries), 10_000):
        store.write(entries[at : at + 10_000])
    seconds = time.perf_counter() - began
    store.close()
    return seconds


def _post_lines(address: InfluxAddress, entries: list[Entry]) -> float:
    lines = influx_lines.seconds(entries, split(entries).families["noise"], range(len(entries)))
    bodies = [b"\n".join(lines[at : at + _LINES_A_REQUEST]) for at in range(0, len(lines), _LINES_A_REQUEST)]
    http = InfluxHttp(address)
    began = time.perf_counter()
    for body in bodies:
        http.write(address.seconds, body)
    seconds = time.perf_counter() - began
    http.close()
    return seconds


def _receive_and_drop(broker: EmbeddedBroker, messages: int) -> float:
    """Return the seconds that a bare paho client takes to receive, acknowledge and drop all messages."""
    got, done = 0, threading.Event()

    def on_message(*_: object) -> None:
        nonlocal got
        got += 1
        if got == messages:
            done.set()

    client = _paho(broker)
    client.on_message = on_message
    began = time.perf_counter()
    _connect(client, broker)
    client.loop_start()
    if not done.wait(600):
        raise SystemExit(f"paho got {got} of {messages} messages")
    seconds = time.perf_counter() - began
    client.disconnect()
    client.loop_stop()
    return seconds


def _paho(broker: EmbeddedBroker) -> mqtt.Client:
    client = mqtt.Client(CallbackAPIVersion.VERSION2, client_id="raw", clean_session=False)
    client.username_pw_set(*broker.login)
    return client


def _connect(client: mqtt.Client, broker: EmbeddedBroker) -> None:
    client.connect("127.0.0.1", int(broker.url.rsplit(":", 1)[1]))


# -- the whole way ---------------------------------------------------------------------------------------------------


@contextmanager
def _queued(bench: Bench, batch: list[tuple[str, bytes]], *, session: str) -> Iterator[EmbeddedBroker]:
    """Run a broker at which all messages wait for a session."""
    folder = bench.folder / f"broker-{next(_FOLDERS)}"
    with embedded(folder, bench.town.registry, free_port()) as broker:
        if session == "raw":
            _subscribe_raw(broker)
        else:
            source = MqttSource(BrokerAddress(broker.url, *broker.login))
            source.start()
            wait_for(lambda: source.connected)
            source.stop()
        publisher = BareClient(int(broker.url.rsplit(":", 1)[1]), broker.login, name="publisher")
        for topic, payload in batch:
            publisher.publish(topic, payload)
        publisher.settle()
        publisher.close()
        yield broker
    shutil.rmtree(folder, ignore_errors=True)


def _subscribe_raw(broker: EmbeddedBroker) -> None:
    subscribed = threading.Event()

    def on_connect(*_: object) -> None:
        client.subscribe("qw/v1/+/+/noise", 1)

    def on_subscribe(*_: object) -> None:
        subscribed.set()

    client = _paho(broker)
    client.on_connect, client.on_subscribe = on_connect, on_subscribe
    _connect(client, broker)
    client.loop_start()
    if not subscribed.wait(20):
        raise SystemExit("the broker does not take the subscription")
    client.disconnect()
    client.loop_stop()


def _ingest(bench: Bench, broker: EmbeddedBroker, messages: int, readings: int) -> dict[str, float]:
    store = open_store(bench.address())
    ingest = Ingest(
        broker.url, username=broker.login[0], password=broker.login[1], series=store,
        registry=bench.town.registry, clock=SystemClock(),
    )  # fmt: skip
    processes = {"ingest": psutil.Process(), "broker": _nats()}
    if bench.server is not None and bench.server.process is not None:
        processes["store"] = psutil.Process(bench.server.process.pid)
    before = {name: _cpu_s(process) for name, process in processes.items()}
    began = time.perf_counter()
    ingest.start()
    wait_for(lambda: ingest.stats.messages >= messages, 600)
    seconds = time.perf_counter() - began
    used = {
        f"{name}_cpu_us": (_cpu_s(process) - before[name]) / readings * 1e6
        for name, process in processes.items()
    }
    rss_mb = psutil.Process().memory_info().rss / 1e6
    ingest.stop()
    stored = store.count("noise")
    store.close()
    if stored != readings:
        raise SystemExit(f"{stored} of {readings} readings are stored")
    return {"messages_s": messages / seconds, "readings_s": readings / seconds, "rss_mb": rss_mb, **used}


def _nats() -> psutil.Process:
    """Return the embedded broker's process."""
    return next(one for one in psutil.Process().children(recursive=True) if "nats-server" in one.name())


def _cpu_s(process: psutil.Process) -> float:
    times = process.cpu_times()
    return times.user + times.system


def _medians(runs: list[dict[str, float]]) -> dict[str, float]:
    return {key: round(statistics.median(run[key] for run in runs), 3) for key in runs[0]}


def _print(row: dict[str, Any]) -> None:
    per_message = row["readings_a_message"]
    cpu = ", ".join(
        f"{name} {row[key]:.1f}" for name in ("ingest", "broker", "store") if (key := f"{name}_cpu_us") in row
    )
    print(
        f"{row['store']:8} {per_message:2} a message: {row['messages_s']:7.0f} messages/s, "
        f"{row['readings_s']:7.0f} readings/s | paho alone {row['paho_messages_s']:.0f} messages/s "
        f"(ours {row['of_paho']:.0%}), posted alone {row['posted_readings_s']:.0f} readings/s "
        f"(ours {row['of_posted']:.0%}) | CPU µs a reading: {cpu} | memory {row['rss_mb']:.0f} MB",
        flush=True,
    )


if __name__ == "__main__":
    main()
