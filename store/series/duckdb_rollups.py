"""Hour rows in DuckDB: the newest revision in the table that is read, earlier ones kept beside it."""

# ruff: noqa: S608  SQL is put together from this package's own names and from integers; values are bound

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any, Final

import msgspec
import numpy as np

from store.series.duckdb_file import Connection
from store.series.duckdb_values import rounded, utc
from store.series.interface import NoiseHour, PeriodTable, WaterHour
from store.series.memory import Sources
from store.series.packed_histogram import PackedBins, PackedCounts, pack

_LEVELS: Final = (
    "laeq_db", "l5_db", "l10_db", "l50_db", "l90_db", "l95_db", "lafmax_db", "lafmin_db", "sd_db",
)  # fmt: skip
_SHARES: Final = ("valid_s", "valid_share", "measured_s")
_NOISE: Final = (*_LEVELS, *_SHARES, "seconds", "ln_from", "laf", "excluded_s")
_WATER: Final = ("volume_l", "readings", "flags")
# Data only grows, but for retention: a row (b) that knows less than the stored one (h) must not replace it. Of the same
# time measured, seconds know more than minutes.
_NOISE_NOT_LESS: Final = "(round(h.measured_s, 3), h.seconds) <= (round(b.measured_s, 3), b.seconds)"
_WATER_NOT_LESS: Final = "(h.readings, h.volume_l IS NOT NULL) <= (b.readings, b.volume_l IS NOT NULL)"


def write_noise(connection: Connection, numbers: Sequence[int], rows: Sequence[NoiseHour]) -> None:
    """Store hour rows as the next revision of each."""
    columns: dict[str, np.ndarray] = {
        key: _numbers([getattr(row, key) for row in rows], np.float64) for key in (*_LEVELS, *_SHARES)
    }
    columns["seconds"] = np.array([row.seconds for row in rows], dtype=np.int32)
    columns["ln_from"] = _objects([row.ln_from for row in rows])
    columns["laf"] = _objects([pack(row.laf_bins, row.laf_counts) for row in rows])
    columns["excluded_s"] = _objects(
        [msgspec.json.encode(dict(row.excluded_s)).decode() if row.excluded_s else None for row in rows]
    )
    _replace(connection, "noise_hour", _NOISE, numbers, rows, columns, _NOISE_NOT_LESS)


def write_water(connection: Connection, numbers: Sequence[int], rows: Sequence[WaterHour]) -> None:
    """Store hour rows as the next revision of each."""
    columns = {
        "volume_l": _numbers([row.volume_l for row in rows], np.float64),
        "readings": np.array([row.readings for row in rows], dtype=np.int32),
        "flags": np.array([row.flags for row in rows], dtype=np.int32),
    }
    _replace(connection, "water_hour", _WATER, numbers, rows, columns, _WATER_NOT_LESS)


def read_noise(
    connection: Connection, sources: Sources, start_s: int, end_s: int, numbers: Sequence[int] | None
) -> list[NoiseHour]:
    """Return the newest revision of each hour row of a range."""
    table = _read(connection, "noise_hour", _NOISE, start_s, end_s, numbers)
    # By columns and with map(): a year of hours is to be there within some tens of milliseconds.
    histograms = [packed or b"" for packed in table["laf"].tolist()]
    return list(
        map(
            NoiseHour,
            *_names_and_times(table, sources),
            *(rounded(table[key]) for key in _LEVELS),
            *(table[key].tolist() for key in (*_SHARES, "seconds", "ln_from")),
            map(PackedBins, histograms),
            map(PackedCounts, histograms),
            [msgspec.json.decode(text) if text else {} for text in table["excluded_s"].tolist()],
            table["revision"].tolist(),
        )
    )


def read_water(
    connection: Connection, sources: Sources, start_s: int, end_s: int, numbers: Sequence[int] | None
) -> list[WaterHour]:
    """Return the newest revision of each hour row of a range."""
    table = _read(connection, "water_hour", _WATER, start_s, end_s, numbers)
    values = (table[key].tolist() for key in (*_WATER, "revision"))
    return list(map(WaterHour, *_names_and_times(table, sources), *values))


_PERIODS: Final = """
SELECT h.source, b.period,
    10 * log10(sum(pow(10, laeq_db::DOUBLE / 10) * valid_s) FILTER (counts) / sum(valid_s) FILTER (counts)) AS laeq_db,
    max(lafmax_db) AS lafmax_db, count(*) FILTER (counts) AS counted
FROM (SELECT source, t_s, laeq_db, lafmax_db, valid_s, laeq_db IS NOT NULL AND valid_share >= $share AS counts
    FROM noise_hour WHERE measured_s > 0 AND t_s >= $start AND t_s < $end {chosen}) h
JOIN batch b ON b.t_s = h.t_s GROUP BY ALL"""


def read_periods(
    connection: Connection, sources: Sources, periods: Sequence[tuple[int, int]], numbers: Sequence[int] | None,
    hour_share: float,
) -> PeriodTable:  # fmt: skip
    """Return levels over periods, given as seconds since 1970; an hour belongs to the period that it begins in."""
    hours = [np.arange(-(-start // 3600) * 3600, end, 3600) for start, end in periods]
    batch = {
        "t_s": np.concatenate([*hours, np.zeros(0, dtype=np.int64)]).astype(np.int64),
        "period": np.repeat(np.arange(len(hours), dtype=np.int32), [len(one) for one in hours]),
    }
    if not len(batch["t_s"]):
        return PeriodTable([], [], [], [], [], [])
    found = connection.columns_with(
        batch, _PERIODS.format(chosen=_chosen(numbers)),
        {"start": int(batch["t_s"].min()), "end": int(batch["t_s"].max()) + 1, "share": hour_share},
    )  # fmt: skip
    # Numbers of sources follow their first appearance, not their names.
    rank = np.argsort(np.argsort([f"{site} {name}" for site, name in sources.names]))
    order = np.lexsort((found["period"], rank[found["source"]]))
    columns = {key: column[order] for key, column in found.items()}
    names = [sources.names[number] for number in columns["source"].tolist()]
    laeq_db, lafmax_db = (
        np.ma.filled(columns[key].astype(np.float64), np.nan).tolist() for key in ("laeq_db", "lafmax_db")
    )
    return PeriodTable(
        site=[site for site, _ in names], source=[name for _, name in names], period=columns["period"].tolist(),
        laeq_db=laeq_db, lafmax_db=lafmax_db, counted=columns["counted"].tolist(),
    )  # fmt: skip


def _names_and_times(
    table: dict[str, np.ndarray], sources: Sources
) -> tuple[list[str], list[str], list[datetime]]:
    names = [sources.names[number] for number in table["source"].tolist()]
    return [name[0] for name in names], [name[1] for name in names], [utc(t) for t in table["t_s"].tolist()]


def _read(
    connection: Connection, table: str, columns: Sequence[str], start_s: int, end_s: int,
    numbers: Sequence[int] | None,
) -> dict[str, np.ndarray]:  # fmt: skip
    found = connection.columns(
        f"SELECT source, t_s, revision, {', '.join(columns)} FROM {table} "
        f"WHERE t_s >= $start AND t_s < $end {_chosen(numbers)}",
        {"start": start_s, "end": end_s},
    )
    # Sorted here: DuckDB would carry every row's histogram through its own sort.
    order = np.lexsort((found["source"], found["t_s"]))
    return {key: column[order] for key, column in found.items()}


def _chosen(numbers: Sequence[int] | None) -> str:
    return "" if numbers is None else f"AND source IN ({', '.join(map(str, numbers or [-1]))})"


def _replace(
    connection: Connection, table: str, names: Sequence[str], numbers: Sequence[int],
    rows: Sequence[NoiseHour] | Sequence[WaterHour], columns: dict[str, np.ndarray], not_less: str,
) -> None:  # fmt: skip
    batch = {
        "source": np.array(numbers, dtype=np.int32),
        "t_s": np.array([row.t.timestamp() for row in rows], dtype=np.int64),
        **columns,
    }
    low, high = int(batch["t_s"].min()), int(batch["t_s"].max())
    listed = ", ".join(names)
    fresh = ", ".join(f"b.{name}" for name in names)
    connection.execute("DROP TABLE IF EXISTS fresh_hours")
    connection.execute_with(
        batch,
        f"CREATE TEMP TABLE fresh_hours AS SELECT b.source, b.t_s, coalesce(h.revision + 1, 0) AS revision, {fresh} "
        f"FROM batch b LEFT JOIN {table} h ON h.source = b.source AND h.t_s = b.t_s "
        f"AND h.t_s BETWEEN {low} AND {high} WHERE h.revision IS NULL OR {not_less}",
    )
    old = (
        f"SELECT h.* FROM {table} h SEMI JOIN fresh_hours f ON f.source = h.source AND f.t_s = h.t_s "
        f"WHERE h.t_s BETWEEN {low} AND {high}"
    )
    connection.execute(f"INSERT INTO {table}_superseded {old}")
    connection.execute(
        f"DELETE FROM {table} h USING fresh_hours f "
        f"WHERE h.source = f.source AND h.t_s = f.t_s AND h.t_s BETWEEN {low} AND {high}"
    )
    connection.execute(
        f"INSERT INTO {table} (source, t_s, revision, {listed}) SELECT source, t_s, revision, {listed} FROM fresh_hours"
    )
    connection.execute("DROP TABLE fresh_hours")


def _numbers(values: Sequence[Any], dtype: type[np.generic]) -> np.ndarray:
    missing = [value is None for value in values]
    filled = np.array([0 if value is None else value for value in values], dtype=dtype)
    return np.ma.masked_array(filled, mask=missing) if any(missing) else filled


def _objects(values: Sequence[object]) -> np.ndarray:
    column = np.empty(len(values), dtype=object)
    column[:] = values
    return column
