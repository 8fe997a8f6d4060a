"""How much one, two and four ingest processes store a second, and what a reading costs in each part.

Mosquitto shares the load among them (MQTT 5, ``$share``), or a JetStream stream of nats-server does; the store is
InfluxDB. Everything, the publisher too, is a process of its own, and all of them share two processors: past the point
at which those are busy another process cannot add anything, so the processor time of each part a reading says more than
the readings a second do, and ``benchmarks.scale_model`` computes with it.

A publisher sends messages that were made beforehand, as fast as the broker acknowledges them; the clock runs from its
first message to the last commit. A run that does not end with every reading in InfluxDB ends with an error.

``python -m benchmarks.ingest_processes [--brokers mosquitto,nats] [--processes 1,2,4] [--per-message 1,10]
[--messages 40000] [--repeat 3] [--json FILE]``: medians; with 10 readings a message a quarter of the messages.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import count
from pathlib import Path
from typing import Any, Final

import psutil

from app.broker import free_port
from app.simulate.readings import NoiseReadings
from app.simulate.registering import register
from app.simulate.scenario import Scenario, sites_for
from benchmarks.scale_parts import Part, Watch, metrics, on_two_cores, part, program
from contract.codec import encode_array
from store.registry.database import Registry
from store.series.address import InfluxAddress, open_store
from store.series.influx_setup import init_store
from store.series.retention import Retention
from tests.broker import BareClient, mosquitto, wait_for
from tests.cluster.nodes import NATS_SERVER
from tests.store.series.servers import Server, influxdb

DEVICES: Final = 1_000
_HOURS_AGO_S: Final = 12 * 3600
_NUMBERS = count(1)


@dataclass(frozen=True)
class Load:
    """What is sent: so many messages of so many readings each, of seconds from ``begin_s`` on."""

    messages: int
    per_message: int
    begin_s: int

    @property
    def readings(self) -> int:
        return self.messages * self.per_message


def main() -> None:
    """Run the benchmark, or the publisher of one."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--brokers", default="mosquitto,nats")
    parser.add_argument("--processes", default="1,2,4")
    parser.add_argument("--per-message", default="1,10")
    parser.add_argument("--messages", type=int, default=40_000)
    parser.add_argument("--repeat", type=int, default=3)
    parser.add_argument("--json", type=Path)
    parser.add_argument("--publish", nargs=4, type=int, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.publish:
        port, *load = options.publish
        return _publish(port, Load(*load))
    on_two_cores()
    rows: list[dict[str, Any]] = []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        _register(folder / "data")
        (folder / "influx").mkdir()
        with influxdb(program("influxd", "influxdb"), folder / "influx") as server:
            for broker in options.brokers.split(","):
                for per_message in map(int, options.per_message.split(",")):
                    messages = options.messages if per_message == 1 else options.messages // 4
                    for processes in map(int, options.processes.split(",")):
                        runs = [
                            _run(folder, server, broker, processes, messages, per_message)
                            for _ in range(options.repeat)
                        ]
                        rows.append(_medians(broker, processes, per_message, runs))
                        _print(rows[-1])
    if options.json:
        options.json.write_text(json.dumps(rows, indent=2))
    return None


def _scenario() -> Scenario:
    return Scenario(1, DEVICES, 0, sites_for(DEVICES, 0), 0)


def _register(data: Path) -> None:
    registry = Registry.in_folder(data)
    with registry.session() as session:
        register(session, _scenario(), datetime.now(UTC), "of-all-devices")
    registry.close()


# -- one run -------------------------------------------------------------------------------------------------------


def _run(
    folder: Path, server: Server, broker: str, processes: int, messages: int, per_message: int
) -> dict[str, float]:
    number = next(_NUMBERS)
    address = InfluxAddress(server.url, prefix=f"b{number}")
    init_store(address, Retention())
    load = Load(messages, per_message, int(time.time()) - _HOURS_AGO_S)
    with ExitStack() as stack:
        port, url, broker_process = stack.enter_context(_BROKERS[broker](folder / f"broker-{number}"))
        ports = [free_port() for _ in range(processes)]
        ingests = [
            stack.enter_context(
                part(
                    folder, f"ingest-{number}-{n}", "ingest", "--data", str(folder / "data"), "--broker", url,
                    "--name", f"n{n}", "--group", "all", "--store", f"{server.url}?db=b{number}",
                    "--metrics-port", str(ports[n]), env={"QUIETWATER_BROKER_PASSWORD": "of-the-server"},
                )
            )
            for n in range(processes)
        ]  # fmt: skip
        for one in ingests:
            one.until("ingest is connected")
        publisher = _publisher(folder, port, load)
        stack.callback(publisher.end)
        assert server.process is not None
        watched = {"broker": broker_process, "store": psutil.Process(server.process.pid)}
        watched |= {f"ingest {n}": one.watched() for n, one in enumerate(ingests)}
        watch = Watch(watched)
        watch.sample()
        began = time.perf_counter()
        (folder / "go").touch()
        wait_for(lambda: _stored(ports) >= load.readings, 600, "every reading stored")
        seconds = time.perf_counter() - began
        watch.sample()
        publisher.process.wait(60)
        (folder / "go").unlink()
    _demand_all(address, load)
    return _figures(watch, load, seconds)


def _figures(watch: Watch, load: Load, seconds: float) -> dict[str, float]:
    cpu = {name: one.used_cpu_s() / load.readings * 1e6 for name, one in watch.usage.items()}
    ingest = sum(value for name, value in cpu.items() if name.startswith("ingest"))
    return {
        "readings_s": load.readings / seconds, "messages_s": load.messages / seconds,
        "broker_cpu_us": cpu["broker"], "ingest_cpu_us": ingest, "store_cpu_us": cpu["store"],
    }  # fmt: skip


def _stored(ports: list[int]) -> float:
    time.sleep(0.2)  # asking costs the parts a little too
    return sum(metrics(port).get("quietwater_ingest_readings_stored_total", 0.0) for port in ports)


def _demand_all(address: InfluxAddress, load: Load) -> None:
    store = open_store(address)
    found = store.count("noise")
    store.close()
    if found != load.readings:
        raise SystemExit(f"{found} of {load.readings} readings are stored")


# -- brokers -------------------------------------------------------------------------------------------------------


@contextmanager
def _mosquitto(folder: Path) -> Iterator[tuple[int, str, psutil.Process]]:
    port = free_port()
    with mosquitto(program("mosquitto", "mosquitto"), folder, port) as url:
        process = next(one for one in psutil.Process().children() if "mosquitto" in one.name())
        yield port, url, process


@contextmanager
def _nats(folder: Path) -> Iterator[tuple[int, str, psutil.Process]]:
    port, nats_port = free_port(), free_port()
    folder.mkdir()
    config = {
        "server_name": "bench", "listen": f"127.0.0.1:{nats_port}", "max_payload": 16 << 20, "write_deadline": "60s",
        "jetstream": {"store_dir": str(folder / "jetstream"), "sync_interval": "10s"},
        "mqtt": {"host": "127.0.0.1", "port": port, "ack_wait": "10s", "max_ack_pending": 2000},
    }  # fmt: skip
    (folder / "nats.conf").write_text(json.dumps(config))
    server = Part("nats-server", [str(NATS_SERVER), "-c", str(folder / "nats.conf")], folder / "nats.log")
    try:
        server.until("Server is ready")
        yield port, f"nats://127.0.0.1:{nats_port}", server.watched()
    finally:
        server.end()


_BROKERS: Final = {"mosquitto": _mosquitto, "nats": _nats}


# -- the publisher, a process of its own ---------------------------------------------------------------------------


def _publisher(folder: Path, port: int, load: Load) -> Part:
    arguments = [str(value) for value in (port, load.messages, load.per_message, load.begin_s)]
    one = Part(
        "publisher", [sys.executable, "-m", "benchmarks.ingest_processes", "--publish", *arguments],
        folder / f"publisher-{port}.log", {"QUIETWATER_BENCH_GO": str(folder / "go")},
    )  # fmt: skip
    one.until("ready")
    return one


def _publish(port: int, load: Load) -> None:
    scenario, readings = _scenario(), NoiseReadings(_scenario())
    readings.faults = {}
    batch: list[tuple[str, bytes]] = []
    for n in range(load.messages):
        device, first = n % DEVICES, load.begin_s + n // DEVICES * load.per_message
        topic = (
            f"qw/v1/{scenario.site_name(scenario.device_site(device))}/{scenario.device_name(device)}/noise"
        )
        encoded = readings.encode(device, list(range(first, first + load.per_message)))
        batch.append((topic, encode_array(encoded)))
    client = BareClient(port, ("quietwater", "of-the-server"), name="publisher")
    print("ready", flush=True)
    wait_for(Path(os.environ["QUIETWATER_BENCH_GO"]).exists, 120, "the word to go")
    for topic, payload in batch:
        client.publish(topic, payload)
    client.settle()
    client.close()


def _medians(broker: str, processes: int, per_message: int, runs: list[dict[str, float]]) -> dict[str, Any]:
    figures = {key: round(statistics.median(run[key] for run in runs), 1) for key in runs[0]}
    return {"broker": broker, "processes": processes, "readings_a_message": per_message, **figures}


def _print(row: dict[str, Any]) -> None:
    print(
        f"{row['broker']:9} {row['processes']} ingest, {row['readings_a_message']:2} a message: "
        f"{row['readings_s']:7.0f} readings/s, {row['messages_s']:6.0f} messages/s | CPU s a million readings: broker "
        f"{row['broker_cpu_us']:.1f}, ingest {row['ingest_cpu_us']:.1f}, store {row['store_cpu_us']:.1f} | "
        f"load {os.getloadavg()[0]:.1f}",
        flush=True,
    )


if __name__ == "__main__":
    main()
