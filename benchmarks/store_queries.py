"""How long the store takes for what people look at, and how that grows with what it holds.

``python -m benchmarks.store_queries [--quick]``. *Cold*: the file's pages dropped from the system's cache and the store
opened anew before the query. Wall times depend on what else the machine does; the processor time beside them does not.
"""

from __future__ import annotations

import argparse
import os
import statistics
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

from analysis.verdict_table import verdict_table
from benchmarks.store_made import SITE, START, add_hours, add_seconds, device, opened, tidied
from store.registry.models import Site
from store.series.duckdb_store import DuckDbStore

DAY = timedelta(days=1)
Query = Callable[[DuckDbStore], Sequence[object]]


@dataclass(frozen=True)
class Case:
    name: str
    target_ms: int
    query: Query
    rows: int


def main() -> None:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="a fifteenth of the data, to see that it runs")
    parser.add_argument("--folder", type=Path, help="a folder with some gigabytes of room")
    options = parser.parse_args()
    print(f"{os.cpu_count()} cores, load {os.getloadavg()[0]:.1f} at the beginning")
    print(f"{'':58} {'target':>7} {'warm':>7} {'best':>7} {'cold':>7} {'processor':>9}   ms")
    with tempfile.TemporaryDirectory(dir=options.folder) as name:
        _rollups(Path(name), quick=options.quick)
        _seconds(Path(name), quick=options.quick)
    print(f"load {os.getloadavg()[0]:.1f} at the end")


def _seconds(folder: Path, *, quick: bool) -> None:
    sizes = ((1, 10), (2, 4), (24, 1)) if quick else ((1, 50), (30, 2), (365, 1))
    for days, devices in reversed(sizes):
        path = folder / f"seconds-{days}-{devices}.duckdb"
        store = opened(path, devices)
        add_seconds(store, devices, days)
        store.close()
        last = START + (days - 1) * DAY
        case = Case("", 100, lambda s, last=last: s.noise_hours(SITE, device(0), last, last + DAY), 24)
        held = f"{days} d of seconds of {devices} device{'s' if devices > 1 else ''}"
        if devices > 1:
            _measure(path, case, f"hours of a day, {held}, as arrived")
            store = DuckDbStore(path)
            tidied(store)
            store.close()
        _measure(path, case, f"hours of a day, {held}")
        print(f"  {_compact(path) / days / devices / 86_400:.1f} bytes a second, its minutes included")
        path.unlink()


def _compact(path: Path) -> int:
    """Return the size without the pages that wait to be used again: that of a copy."""
    copy = path.with_suffix(".copy")
    store = DuckDbStore(path)
    store.copy_to(copy, lambda _: None)
    store.close()
    size = copy.stat().st_size
    copy.unlink()
    return size


def _rollups(folder: Path, *, quick: bool) -> None:
    site = Site(
        name=SITE, zone_class="1", timezone="Asia/Shanghai", day_starts_h=6, night_starts_h=22, settings={}
    )

    def year(store: DuckDbStore) -> Sequence[object]:
        return store.noise_rollups(START, START + 365 * DAY, site=SITE, source=device(0))

    def month(store: DuckDbStore) -> Sequence[object]:
        return verdict_table(
            store, [site], date(2025, 1, 1), date(2025, 1, 30), now=datetime(2026, 1, 1, tzinfo=UTC)
        )

    for case, days, devices in (
        (Case("a year of hours", 50, year, 8760), 365, 2 if quick else 20),
        (Case("compliance of a month", 300, month, 100 if quick else 1000), 32, 100 if quick else 1000),
    ):
        path = folder / "hours.duckdb"
        store = opened(path, devices)
        add_hours(store, devices, days)
        tidied(store)
        store.close()
        _measure(path, case, f"{case.name}, {days} d of hours of {devices} devices")
        path.unlink()


def _measure(path: Path, case: Case, name: str, cold_runs: int = 3, warm_runs: int = 15) -> None:
    cold: list[float] = []
    for _ in range(cold_runs):
        _forget(path)
        store = DuckDbStore(path)
        cold.append(_timed(store, case)[0])
        store.close()
    store = DuckDbStore(path)
    _timed(store, case)
    warm = [_timed(store, case) for _ in range(warm_runs)]
    store.close()
    walls = [wall for wall, _ in warm]
    figures = (statistics.median(walls), min(walls), statistics.median(cold))
    processor = statistics.median(cpu for _, cpu in warm)
    print(f"{name:58} {case.target_ms:7} " + " ".join(f"{1e3 * one:7.1f}" for one in figures)
          + f" {1e3 * processor:9.1f}", flush=True)  # fmt: skip


def _timed(store: DuckDbStore, case: Case) -> tuple[float, float]:
    wall, cpu = time.perf_counter(), time.process_time()
    rows = case.query(store)
    took = time.perf_counter() - wall, time.process_time() - cpu
    if len(rows) != case.rows:
        raise SystemExit(f"{case.name or 'hours'}: {len(rows)} rows instead of {case.rows}")
    return took


def _forget(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    os.fsync(handle)
    os.posix_fadvise(handle, 0, 0, os.POSIX_FADV_DONTNEED)
    os.close(handle)


if __name__ == "__main__":
    main()
