"""Ingest as a process of its own: DuckDB and registry below a folder, until SIGTERM.

``python -m tests.ingest_runner FOLDER BROKER_URL USER PASSWORD [--name N] [--group G] [--fault-file F]``. While the
fault file exists the store does not answer. Prints ``ready`` when it is connected and the count of stored readings at
its end.
"""

from __future__ import annotations

import argparse
import signal
import threading
import time
from collections.abc import Sequence
from pathlib import Path

from contract.clock import SystemClock
from ingest.service import Ingest
from store.registry.database import Registry
from store.series.duckdb_store import DuckDbStore
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


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("folder", type=Path)
    parser.add_argument("url")
    parser.add_argument("user", nargs="?")
    parser.add_argument("password", nargs="?")
    parser.add_argument("--name", default="ingest")
    parser.add_argument("--group")
    parser.add_argument("--fault-file", type=Path, default=Path("/nonexistent"))
    options = parser.parse_args()
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    registry = Registry.in_folder(options.folder)
    store = DuckDbStore(options.folder / f"{options.name}.duckdb")
    ingest = Ingest(
        options.url, username=options.user, password=options.password, name=options.name, group=options.group,
        series=FaultyStore(store, options.fault_file), registry=registry, clock=SystemClock(),
    )  # fmt: skip
    ingest.start()
    told = False
    while not stop.wait(0.05):
        if ingest.healthy and not told:
            told = True
            print("ready", flush=True)
    ingest.stop()
    store.close()
    registry.close()
    print("stored", ingest.stats.readings_stored, flush=True)


if __name__ == "__main__":
    main()
