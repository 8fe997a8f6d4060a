"""A year of seconds: 31.5 million rows in the embedded store (for InfluxDB see ``year.py``), some days in InfluxDB."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from store.series.address import InfluxAddress
from store.series.duckdb_store import DuckDbStore
from store.series.influx_http import InfluxHttp
from store.series.influx_store import InfluxStore
from tests.store.series import year
from tests.store.series.made import put, second


def _fill(path: Path, days: int) -> None:
    """Put the seconds into the file by SQL: through :meth:`write` a year would take minutes."""
    store = DuckDbStore(path, memory_mb=256)
    level = year.tenths(np.array([0]))[0] / 10
    put(store, [second(year.YEAR, level, lafmax_db=level + 3)])  # the store numbers the source
    begin = int(year.YEAR.timestamp())
    with store._file.write() as connection:
        connection.execute("SET preserve_insertion_order = false")
        connection.execute(
            f"""INSERT INTO noise_second
                SELECT 0, {begin} + i, l / 10, l / 10 + 3, l / 10 - 3, l / 10, NULL, NULL, NULL, NULL, NULL, NULL, 1000,
                    0, i, ({begin} + i + 1) * 1000000
                FROM (SELECT i, ({year.TENTHS_SQL})::DOUBLE AS l FROM range(1, {days * 86_400}) r(i))"""
        )
    store.close()


@pytest.mark.slow
def test_a_year_of_seconds_in_duckdb(tmp_path: Path) -> None:
    path = tmp_path / "year.duckdb"
    _fill(path, year.DAYS)
    store = DuckDbStore(path, memory_mb=256)
    year.ask_about_it(store)
    store.close()


def test_the_same_questions_to_influxdb_about_some_days(influx_address: InfluxAddress) -> None:
    days = 4
    http = InfluxHttp(influx_address)
    for body in year.bodies(days):
        http.write(influx_address.seconds, body)
    http.close()
    store = InfluxStore(influx_address)
    year.ask_about_it(store, days)
    store.close()
