"""How long a reading takes with 1,000 devices at 1 Hz while ingest stores all of it.

``python -m benchmarks.ingest_latency [--devices 1000] [--seconds 30]`` prints, from the moment of publishing, the
time to a plain subscriber (what the live page sees) and to the device's ``stored`` (committed to disk): p50 and p99.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

from benchmarks.ingest_throughput import _port
from tests.broker import BareClient, embedded, quarter


def main() -> None:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--devices", type=int, default=1_000)
    parser.add_argument("--seconds", type=int, default=30)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        _run(Path(name), options.devices, options.seconds)


class _Watch:
    """Notes when each message of a filter arrives, by what follows ``mark`` up to ``end``."""

    def __init__(self, port: int, login: tuple[str, str], name: str, kind: str):
        self._client = BareClient(port, login, name=name)
        self._client.subscribe(f"qw/v1/+/+/{kind}", qos=0)
        self._client._socket.settimeout(None)
        self.data: list[tuple[float, bytes]] = []
        threading.Thread(target=self._listen, daemon=True).start()

    def _listen(self) -> None:
        while part := self._client._socket.recv(1 << 20):
            self.data.append((time.perf_counter(), part))

    def times(self, pattern: str) -> list[tuple[float, str]]:
        """Return (when, text) of every whole JSON object that begins with ``pattern``."""
        found, rest = [], b""
        for at, part in self.data:
            rest += part
            while (start := rest.find(pattern.encode())) >= 0 and (end := rest.find(b"}", start)) > 0:
                found.append((at, rest[start : end + 1].decode()))
                rest = rest[end + 1 :]
        return found


def _run(folder: Path, devices: int, seconds: int) -> None:
    town = quarter(folder / "data", sites=1, devices=devices, meters=0)
    start = datetime.now(UTC).replace(microsecond=0) - timedelta(hours=1)
    with embedded(folder / "broker", town.registry, _port()) as broker:
        port = int(broker.url.rsplit(":", 1)[1])
        process = subprocess.Popen(
            [sys.executable, "-m", "tests.ingest_runner", str(folder / "data"), broker.url, *broker.login],
            stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
        )  # fmt: skip
        assert process.stdout is not None
        process.stdout.readline()
        live, stored = (_Watch(port, broker.login, name, name) for name in ("noise", "stored"))
        publisher = BareClient(port, broker.login, name="publisher")
        sent: list[float] = []
        began = time.perf_counter()
        for n in range(devices * seconds):
            time.sleep(max(0.0, began + n / devices - time.perf_counter()))
            t = (start + timedelta(seconds=n // devices)).strftime("%Y-%m-%dT%H:%M:%SZ")
            reading = {
                "seq": n,
                "t": t,
                "laeq_db": 50.0,
                "lafmax_db": 55.0,
                "lafmin_db": 45.0,
                "laf_db": 50.0,
            }
            sent.append(time.perf_counter())
            publisher.publish(f"qw/v1/s1/d{n % devices + 1}/noise", json.dumps([reading]).encode())
        time.sleep(3)
        process.terminate()
        process.communicate(timeout=30)
    _print("to a subscriber", [at - sent[json.loads(text)["seq"]] for at, text in live.times('{"seq"')])
    committed = [
        at - sent[seq]
        for at, text in stored.times('{"stored"')
        for first, last in json.loads(text)["stored"]
        for seq in range(first, last + 1)
    ]
    _print("to `stored`", committed)


def _print(what: str, latencies: list[float]) -> None:
    p50, p99 = statistics.median(latencies), statistics.quantiles(latencies, n=100)[98]
    print(f"{what:16} {len(latencies)} readings, p50 {p50 * 1000:.0f} ms, p99 {p99 * 1000:.0f} ms")


if __name__ == "__main__":
    main()
