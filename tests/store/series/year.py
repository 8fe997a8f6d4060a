"""A year of seconds of one device, made by arithmetic, and what a store has to answer about it.

``python -m tests.store.series.year [--days 365]`` posts it to a real InfluxDB (``influxd`` from the path) and asks the
same questions as the suite asks DuckDB; it took 32 minutes on two busy processors, so it is no part of the suite.
"""

from __future__ import annotations

import argparse
import os
import shutil
import tempfile
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import numpy as np
import pytest

from store.series.address import InfluxAddress
from store.series.influx_http import InfluxHttp
from store.series.influx_setup import init_store
from store.series.influx_store import InfluxStore
from store.series.interface import SeriesStore
from store.series.retention import Retention
from tests.store.series.made import DAY, DEVICE, HOUR, MINUTE, SECOND, SITE, second
from tests.store.series.servers import influxdb

YEAR: Final = datetime(2025, 1, 1, tzinfo=UTC)
DAYS: Final = 365
TENTHS_SQL: Final = "400 + (i * 7919) % 251 + 60 * ((i // 3600) % 24 BETWEEN 6 AND 21)::INTEGER"
_LINES_A_REQUEST: Final = 20_000


def tenths(i: np.ndarray) -> np.ndarray:
    """Return LAeq of the i-th seconds of the year in tenths of a decibel."""
    hour = i // 3600 % 24
    return 400 + i * 7919 % 251 + 60 * ((hour >= 6) & (hour <= 21))


def laeq_db(first: int, count: int) -> float:
    """Return the energetic average of some seconds."""
    levels = tenths(np.arange(first, first + count)) / 10
    return float(10 * np.log10(np.mean(10 ** (levels / 10))))


def exceeded_db(first: int, count: int, percent: float) -> float:
    """Return the level exceeded for a share of some seconds, each spread over the tenth above it."""
    levels = np.sort(tenths(np.arange(first, first + count)) / 10)[::-1]
    at = percent / 100 * count
    top = levels[int(np.ceil(at)) - 1]
    above, inside = int((levels > top + 0.01).sum()), int((abs(levels - top) < 0.01).sum())
    return float(top + 0.1 - 0.1 * (at - above) / inside)


def ask_about_it(store: SeriesStore, days: int = DAYS) -> None:
    """Hold a store that has the first ``days`` of the year, and nothing else, to what arithmetic says."""
    total, end = days * 86_400, YEAR + days * DAY
    assert store.count("noise") == total
    assert store.newest() == end - SECOND
    ((_, _, t, level, top, flags),) = store.noise_latest()
    assert (t, flags) == (end - SECOND, 0)
    assert (level, top) == pytest.approx((tenths(np.array([total - 1]))[0] / 10, level + 3), abs=1e-5)
    for day in sorted({0, days // 3, days - 1}):
        begin = YEAR + day * DAY
        hours = store.noise_hours(SITE, DEVICE, begin, begin + DAY)
        assert [hour.t for hour in hours] == [begin + n * HOUR for n in range(24)]
        for n in (0, 6, 21, 23):
            first = day * 86_400 + n * 3600
            assert hours[n].seconds == 3600 and hours[n].ln_from == "seconds"
            assert hours[n].laeq_db == pytest.approx(laeq_db(first, 3600), abs=0.005)
            for percent, got in ((10, hours[n].l10_db), (50, hours[n].l50_db), (90, hours[n].l90_db)):
                assert got == pytest.approx(exceeded_db(first, 3600, percent), abs=0.005)
    edge = YEAR + (days // 2) * DAY
    table = store.noise_seconds(SITE, DEVICE, edge - 2 * SECOND, edge + 3 * SECOND)
    assert list(table.t) == [edge + n * SECOND for n in range(-2, 3)]
    first = days // 2 * 86_400 - 2
    assert list(table.laeq_db) == pytest.approx(list(tenths(np.arange(first, first + 5)) / 10))
    assert len(store.noise_seconds(SITE, DEVICE, YEAR, end, limit=5000).t) == 5000
    assert list(store.noise_seconds(SITE, DEVICE, end, end + DAY).t) == []
    back = min(7, days // 2)
    steps = store.noise_series(SITE, DEVICE, edge - back * DAY, edge, step_s=86_400)
    assert [step.t for step in steps] == [edge - n * DAY for n in range(back, 0, -1)]
    for n, step in enumerate(steps):
        assert step.laeq_db == pytest.approx(laeq_db((days // 2 - back + n) * 86_400, 86_400), abs=0.005)
    (window,) = store.noise_windows(edge, edge + 15 * MINUTE)
    assert window.laeq_db == pytest.approx(laeq_db(days // 2 * 86_400, 900), abs=0.005)
    again = [second(edge + n * SECOND, 99.0) for n in range(1000)]
    report = store.write(again)
    assert (report.accepted, store.count("noise")) == (1000, total)
    after = store.noise_seconds(SITE, DEVICE, edge, edge + 3 * SECOND)
    assert list(after.laeq_db) == list(table.laeq_db)[2:]


# -- into InfluxDB -----------------------------------------------------------------------------------------------------


def bodies(days: int) -> Iterator[bytes]:
    total, begin = days * 86_400, int(YEAR.timestamp())
    for at in range(0, total, _LINES_A_REQUEST):
        i = np.arange(at, min(at + _LINES_A_REQUEST, total))
        levels = (tenths(i) / 10).tolist()
        energies = (10 ** (tenths(i) / 100) * 1000).tolist()
        yield "\n".join([
            f"noise_second,site={SITE},source={DEVICE} laeq_db={level!r},lafmax_db={level + 3:.1f},"
            f"lafmin_db={level - 3:.1f},laf_db={level!r},energy_ms={energy:.7g},measured_ms=1000i,flags=0i,"
            f"seq={n}i,received_us={(begin + n + 1) * 1_000_000}i {begin + n}000000000"
            for n, level, energy in zip(i.tolist(), levels, energies, strict=True)
        ]).encode()  # fmt: skip


def main() -> None:
    """Post a year to InfluxDB and ask about it."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--days", type=int, default=DAYS)
    days = parser.parse_args().days
    program = shutil.which("influxd")
    if program is None:
        raise SystemExit("influxd is not installed; on Debian: apt-get install influxdb")
    with tempfile.TemporaryDirectory() as folder, influxdb(program, Path(folder)) as server:
        address = InfluxAddress(server.url, prefix="year", timeout_ms=120_000)
        init_store(address, Retention(None, None))
        http = InfluxHttp(address)
        began = time.perf_counter()
        for n, body in enumerate(bodies(days), start=1):
            http.write(address.seconds, body)
            if n % 100 == 0:
                done = n * _LINES_A_REQUEST
                print(f"{done:,} seconds, {done / (time.perf_counter() - began):,.0f} a second", flush=True)
        http.close()
        wrote_s = time.perf_counter() - began
        store = InfluxStore(address)
        began = time.perf_counter()
        ask_about_it(store, days)
        asked_s = time.perf_counter() - began
        store.close()
        took = sum(one.stat().st_size for one in Path(folder).rglob("*") if one.is_file())
        print(
            f"{days} days, {days * 86_400:,} seconds: written in {wrote_s:.0f} s, all answers right, asked in "
            f"{asked_s:.1f} s, {took / days / 86_400:.1f} bytes a second on disk, {os.cpu_count()} processors"
        )


if __name__ == "__main__":
    main()
