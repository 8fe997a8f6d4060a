"""Memory of the ingest process while it works through a backlog at the broker.

``python -m benchmarks.ingest_memory [--messages 1000000]`` queues messages of one reading at the broker, starts ingest
as a process of its own, and prints the highest resident memory that it saw and the rate.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
import time
from contextlib import suppress
from pathlib import Path

import psutil

from app.broker import free_port
from benchmarks.ingest_throughput import DEVICES, SITES, _messages
from ingest.source import BrokerAddress
from ingest.source_mqtt import MqttSource
from store.series.duckdb_store import DuckDbStore
from tests.broker import BareClient, embedded, quarter, wait_for


def main() -> None:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--messages", type=int, default=1_000_000)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        _run(Path(name), options.messages)


def _run(folder: Path, count: int) -> None:
    town = quarter(folder / "data", sites=SITES, devices=DEVICES, meters=0)
    with embedded(folder / "broker", town.registry, free_port()) as broker:
        source = MqttSource(BrokerAddress(broker.url, *broker.login))
        source.start()
        wait_for(lambda: source.connected)
        time.sleep(0.5)
        source.stop()
        publisher = BareClient(int(broker.url.rsplit(":", 1)[1]), broker.login, name="publisher")
        for topic, payload in _messages(count, 1):
            publisher.publish(topic, payload)
        publisher.settle()
        publisher.close()
        began = time.perf_counter()
        command = [sys.executable, "-m", "tests.ingest_runner", str(folder / "data"), broker.url, *broker.login,
                   "--until", str(count)]  # fmt: skip
        with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
            most = _watch(psutil.Process(process.pid), process)
        seconds = time.perf_counter() - began
        if process.returncode:
            raise SystemExit(f"ingest ended with {process.returncode}")
    store = DuckDbStore(folder / "data" / "ingest.duckdb")
    stored = store.count("noise")
    store.close()
    size = (folder / "data" / "ingest.duckdb").stat().st_size
    print(f"{stored} of {count} stored, {count / seconds:.0f} messages/s, memory at most {most / 1e6:.0f} MB, "
          f"{size / max(stored, 1):.0f} bytes a reading on disk")  # fmt: skip


def _watch(memory: psutil.Process, process: subprocess.Popen[bytes]) -> int:
    """Return the most memory that was seen until the process ended."""
    most = 0
    while process.poll() is None:
        with suppress(psutil.NoSuchProcess, psutil.ZombieProcess):
            most = max(most, memory.memory_info().rss)
        time.sleep(0.2)
    return most


if __name__ == "__main__":
    main()
