"""Large stores for benchmarks, made by DuckDB itself as ingest would have left them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np

from contract.messages import NoiseSecond
from store.series.duckdb_store import DuckDbStore
from store.series.interface import Entry
from store.series.packed_histogram import pack

START = datetime(2025, 1, 1, tzinfo=UTC)
SITE = "garden"
_T0 = int(START.timestamp())
_BATCH_S = 10
_HISTOGRAMS = 64


def device(number: int) -> str:
    return f"d{number}"


def opened(path: Path, devices: int) -> DuckDbStore:
    """Open a new store that knows its devices: each has sent one second, long before the others."""
    store = DuckDbStore(path)
    t = START - timedelta(days=400)
    store.write([
        Entry(SITE, device(n), NoiseSecond(seq=n, t=t, laeq_db=50.0, lafmax_db=50.0, lafmin_db=50.0, laf_db=50.0), t)
        for n in range(devices)
    ])  # fmt: skip
    return store


def add_seconds(store: DuckDbStore, devices: int, days: int) -> None:
    """Add seconds and minutes in the order in which they arrive: ten seconds of one device after the other's."""
    for day in range(days):
        first = day * 86_400
        with store._file.write() as connection:
            connection.execute(f"""INSERT INTO noise_second
                SELECT n, {_T0} + i, l, l + (h % 90) / 10, l - (h % 70) / 10, l + (h % 31) / 10 - 1.5,
                    l + (h % 57) / 10, NULL, NULL, NULL, l + 15 + (h % 97) / 10, NULL, 1000, 0, i,
                    ({_T0} + i // {_BATCH_S} * {_BATCH_S} + {_BATCH_S}) * 1000000 + h % 900000
                FROM (SELECT n, b * {_BATCH_S} + k AS i, hash((b * {_BATCH_S} + k) * 1000003 + n) % 1000003 AS h,
                        round(50 + 8 * sin((b * {_BATCH_S} + k) / 13751.0 + n) + (h % 100) / 10, 1)::FLOAT AS l
                    FROM range({first // _BATCH_S}, {(first + 86_400) // _BATCH_S}) r(b), range({devices}) q(n),
                        range({_BATCH_S}) o(k) ORDER BY b, n, k)""")
            connection.execute(f"""INSERT INTO noise_minute
                SELECT n, {_T0} + i * 60, 60000, 0, 10,
                    list_transform(range(34), lambda x: round(40 + x + (hash(i * 41 + x + n) % 100) / 10.0, 1)::FLOAT),
                    list_transform(range(60), lambda x: (400 + x + (i + n) % 100)::SMALLINT),
                    list_transform(range(60), lambda x: (1 + hash(i * 67 + x + n) % 16)::INTEGER),
                    i, ({_T0} + i * 60 + 61) * 1000000
                FROM range({first // 60}, {first // 60 + 1440}) r(i), range({devices}) q(n) ORDER BY i, n""")


def add_hours(store: DuckDbStore, devices: int, days: int) -> None:
    """Add hour rows in the order in which they are rolled up: the hour of one device after the other's."""
    rng = np.random.default_rng(1)
    blobs = np.empty(_HISTOGRAMS, dtype=object)
    blobs[:] = [pack(range(400 + n, 520 + n), rng.integers(1, 600, 120).tolist()) for n in range(_HISTOGRAMS)]
    with store._file.write() as connection:
        connection.execute_with(
            {"i": np.arange(_HISTOGRAMS), "laf": blobs},
            f"""INSERT INTO noise_hour
                SELECT n, {_T0} + h * 3600, 0, l, l + 5, l + 3, l, l - 3, l - 4, l + 20, l - 10, 3.2, 3600, 1, 3600,
                    3600, 'histogram', b.laf, CASE WHEN h % 8 = 3 THEN '{{"wind":12.0}}' END
                FROM (SELECT h, n, round(48 + 6 * sin(h / 3.8 + n) + (hash(h * 1009 + n) % 50) / 10, 4)::FLOAT AS l
                    FROM range({days * 24}) r(h), range({devices}) q(n))
                    JOIN batch b ON b.i = (h * 7 + n) % {_HISTOGRAMS}
                ORDER BY h, n""",
        )


def tidied(store: DuckDbStore) -> None:
    """Have all of it put in order, as it is some minutes after each hour."""
    while store.tidy(datetime(2030, 1, 1, tzinfo=UTC), budget_s=5.0):
        pass
