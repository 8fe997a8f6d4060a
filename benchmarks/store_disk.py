"""Bytes a reading takes on disk, in each store and in the outbox, and what the outbox writes to the SD card in a day.

``python -m benchmarks.store_disk [--hours 24]``: the same seconds, minutes and water readings of some devices, with
levels that wander as real ones do, are written by ingest's own way into DuckDB and into a real InfluxDB 1.6.7; then
sizes are taken after each has written out its log. The outbox is counted by the kernel (``benchmarks.outbox_disk``).
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
import time
import urllib.parse
import urllib.request
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np

from contract.messages import NoiseMinute, NoiseSecond, WaterReading
from store.series.duckdb_store import DuckDbStore
from store.series.influx_http import InfluxAddress
from store.series.influx_setup import init_store
from store.series.influx_store import InfluxStore
from store.series.interface import Entry, SeriesStore
from store.series.retention import Retention
from tests.store.series.servers import influxdb

START = datetime(2026, 3, 1, tzinfo=UTC)
DEVICES = 4
_BATCH_S = 10


def main() -> None:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--hours", type=int, default=24)
    parser.add_argument("--influxd", default="/usr/bin/influxd")
    options = parser.parse_args()
    print(
        f"{DEVICES} devices, {options.hours} h: seconds, a minute's histogram and spectrum, a water reading a minute"
    )
    for kinds in (("noise",), ("noise", "spectrum", "water")):
        with tempfile.TemporaryDirectory() as folder:
            _duckdb(Path(folder), options.hours, kinds)
        with tempfile.TemporaryDirectory() as folder:
            _influx(Path(folder), options.influxd, options.hours, kinds)
    subprocess.run([sys.executable, "-m", "benchmarks.outbox_disk"], check=True)


def _duckdb(folder: Path, hours: int, kinds: tuple[str, ...]) -> None:
    path = folder / "series.duckdb"
    store = DuckDbStore(path)
    count = _fill(store, hours, kinds)
    store.close()
    arrived = path.stat().st_size
    store = DuckDbStore(path)
    while store.tidy(datetime(2030, 1, 1, tzinfo=UTC), budget_s=10):
        pass
    copy = folder / "copy.duckdb"
    store.copy_to(copy, lambda _: None)
    store.close()
    _tell("DuckDB, as arrived", kinds, arrived, count)
    _tell("DuckDB, tidied (without pages that wait to be used again)", kinds, copy.stat().st_size, count)


def _influx(folder: Path, program: str, hours: int, kinds: tuple[str, ...]) -> None:
    # A cold shard is written out whole and compacted; a real server does so four hours after its last write.
    settings = {
        "DATA_CACHE_SNAPSHOT_WRITE_COLD_DURATION": "1s",
        "DATA_COMPACT_FULL_WRITE_COLD_DURATION": "2s",
    }
    with influxdb(program, folder, **settings) as server:
        address = InfluxAddress(server.url)
        init_store(address, Retention(None, None))
        store = InfluxStore(address)
        count = _fill(store, hours, kinds)
        store.close()
        size = _settled(server.url, folder)
    _tell("InfluxDB 1.6.7, compacted", kinds, size, count)


def _fill(store: SeriesStore, hours: int, kinds: tuple[str, ...]) -> int:
    count = 0
    batch: list[Entry] = []
    for entry in _entries(hours, kinds):
        batch.append(entry)
        if len(batch) >= 5000:
            count += store.write(batch).accepted
            batch = []
    return count + store.write(batch).accepted


def _entries(hours: int, kinds: tuple[str, ...]) -> Iterator[Entry]:
    rng = np.random.default_rng(1)
    level = np.full(DEVICES, 45.0)
    register = np.zeros(DEVICES, dtype=int)
    for first in range(0, hours * 3600, _BATCH_S):
        for n in range(DEVICES):
            received = START + timedelta(seconds=first + _BATCH_S, milliseconds=int(rng.integers(1, 900)))
            for s in range(first, first + _BATCH_S):
                level[n] += 0.05 * (45.0 - level[n]) + rng.normal(0, 1.2)
                yield Entry("garden", f"d{n}", _second(s, float(level[n]), rng), received)
            if first % 60 == 60 - _BATCH_S:
                minute = START + timedelta(seconds=first - first % 60)
                if "spectrum" in kinds:
                    yield Entry(
                        "garden", f"d{n}", _minute(first // 60, minute, float(level[n]), rng), received
                    )
                if "water" in kinds:
                    register[n] += int(rng.poisson(0.4))
                    reading = WaterReading(
                        seq=first, t=minute, meter=f"m{n}", volume_steps=int(register[n]), step_ml=1000
                    )
                    yield Entry("garden", f"d{n}", reading, received)


def _second(s: int, level: float, rng: np.random.Generator) -> NoiseSecond:
    up, down, now, c, peak = np.round(
        level + rng.normal((3.0, -3.0, 0.0, 8.0, 22.0), (1.5, 1.5, 2.0, 1.0, 3.0)), 1
    )
    laeq = round(level, 1)
    return NoiseSecond(
        seq=s, t=START + timedelta(seconds=s), laeq_db=laeq, lafmax_db=max(laeq, float(up)),
        lafmin_db=min(laeq, float(down)), laf_db=float(now), lceq_db=float(c), lcpeak_db=float(peak),
    )  # fmt: skip


def _minute(number: int, t: datetime, level: float, rng: np.random.Generator) -> NoiseMinute:
    bins, counts = np.unique((rng.normal(level, 3.0, 480) * 10).astype(int), return_counts=True)
    bands = np.round(level - 10 + rng.normal(0, 4, 34), 1)
    return NoiseMinute(
        seq=number, t=t, laf_bins=tuple(bins.tolist()), laf_counts=tuple(counts.tolist()), first_band=10,
        bands_db=tuple(bands.tolist()),
    )  # fmt: skip


def _settled(url: str, folder: Path) -> int:
    """Return the bytes that the data files take, once the log is written out and the size stays as it is."""
    last, same = -1, 0
    for _ in range(600):
        wal = sum(one.stat().st_size for one in (folder / "wal").rglob("*.wal"))
        # What is allocated, not what the files' length says: its index of series is sparse.
        size = sum(512 * one.stat().st_blocks for one in (folder / "data").rglob("*") if one.is_file())
        same = same + 1 if size == last and wal == 0 else 0
        if same >= 10:
            return size
        last = size
        urllib.request.urlopen(f"{url}/query?" + urllib.parse.urlencode({"q": "SHOW DATABASES"})).read()
        time.sleep(1)
    raise SystemExit("InfluxDB goes on compacting after ten minutes")


def _tell(store: str, kinds: tuple[str, ...], size: int, count: int) -> None:
    what = "seconds alone" if kinds == ("noise",) else "all kinds"
    print(
        f"{store:60} {what:14} {size / count:6.1f} bytes a reading ({count} readings, {size / 1e6:.1f} MB)",
        flush=True,
    )


if __name__ == "__main__":
    main()
