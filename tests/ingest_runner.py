"""Ingest as a process of its own: registry and DuckDB below a folder, or on servers elsewhere, until SIGTERM.

``python -m tests.ingest_runner FOLDER BROKER_URL USER PASSWORD [--name N] [--group G] [--influx URL]
[--registry ADDRESS] [--fault-file F]``. While the fault file exists DuckDB does not answer. Prints ``ready`` when it is
connected and the count of stored readings at its end.
"""

from __future__ import annotations

import argparse
import os
import signal
import threading
import time
from collections.abc import Sequence
from pathlib import Path

from contract.clock import SystemClock
from ingest.service import Ingest
from store.registry.address import RegistryAddress, in_folder, parse_registry
from store.registry.database import Registry, RegistryUnavailable
from store.series.address import InfluxAddress
from store.series.duckdb_store import DuckDbStore
from store.series.influx_store import InfluxStore
from store.series.interface import Entry, StoreUnavailable, WriteReport


class FaultyStore:
    """Hands writes on, except while the fault file exists; then it fails or takes its time, as the file says."""

    def __init__(self, inner: DuckDbStore, fault_file: Path):
        self._inner = inner
        self._fault_file = fault_file

    def write(self, entries: Sequence[Entry]) -> WriteReport:
        if self._fault_file.exists():
            if self._fault_file.read_text() == "slow":
                time.sleep(2)
            raise StoreUnavailable("503 from the test")
        return self._inner.write(entries)

    def __getattr__(self, name: str):
        return getattr(self._inner, name)


def _opened(address: RegistryAddress) -> Registry:
    """Open the registry as soon as it answers, as a service manager would by starting the process again."""
    while True:
        try:
            return address.open()
        except RegistryUnavailable as error:
            print("waiting:", error, flush=True)
            time.sleep(0.5)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("folder", type=Path)
    parser.add_argument("url")
    parser.add_argument("user", nargs="?")
    parser.add_argument("password", nargs="?")
    parser.add_argument("--name", default="ingest")
    parser.add_argument("--group")
    parser.add_argument("--fault-file", type=Path, default=Path("/nonexistent"))
    parser.add_argument("--influx", metavar="URL")
    parser.add_argument("--registry", metavar="ADDRESS", help="its password comes from the environment")
    parser.add_argument("--until", type=int, metavar="MESSAGES", help="end by itself after so many")
    parser.add_argument("--timeout-ms", type=int, default=30_000)
    options = parser.parse_args()
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    address = parse_registry(options.registry, os.environ) if options.registry else in_folder(options.folder)
    registry = _opened(address)
    if options.influx:
        store = InfluxStore(InfluxAddress(options.influx, timeout_ms=options.timeout_ms))
    else:
        store = FaultyStore(DuckDbStore(options.folder / f"{options.name}.duckdb"), options.fault_file)
    ingest = Ingest(
        options.url, username=options.user or None, password=options.password or None, name=options.name,
        group=options.group, series=store, registry=registry, clock=SystemClock(),  # type: ignore[arg-type]
    )  # fmt: skip
    ingest.start()
    told = False
    while not stop.wait(0.05):
        if ingest.healthy and not told:
            told = True
            print("ready", flush=True)
        if options.until and ingest.stats.messages >= options.until:
            break
    ingest.stop()
    store.close()
    registry.close()
    print("stored", ingest.stats.readings_stored, flush=True)


if __name__ == "__main__":
    main()
