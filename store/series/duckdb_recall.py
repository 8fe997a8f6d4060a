"""Reading from a DuckDB file what its owner keeps in memory."""

# ruff: noqa: S608  SQL is put together from this package's own names and from integers; values are bound

from __future__ import annotations

import numpy as np

from store.series.duckdb_file import Connection
from store.series.duckdb_write import TABLES
from store.series.memory import DirtyHours, Memory, Sources


def recall(connection: Connection) -> Memory:
    """Read the series, the newest reading of each and the dirty hours."""
    memory = Memory(
        sources=Sources(connection.rows("SELECT id, site, name FROM source")),
        dirty=DirtyHours(connection.rows("SELECT kind, source, t_s FROM dirty_hour")),  # type: ignore[arg-type]
    )
    for family, newest in memory.newest.items():
        table = TABLES[family]
        values = ", ".join(f"arg_max({key}, {table.time}) AS {key}" for key in newest.values)
        found = connection.columns(
            f"SELECT source, max({table.time}) AS t, {values} FROM {table.name} GROUP BY source"
        )
        newest.update(
            np.asarray(found["source"]), np.asarray(found["t"]),
            {key: _with_stand_ins(found[key]) for key in newest.values},
        )  # fmt: skip
    return memory


def _with_stand_ins(column: np.ndarray) -> np.ndarray:
    if not np.ma.isMaskedArray(column):
        return column
    if column.dtype.kind == "O":
        return np.array(column.tolist(), dtype=object)
    return np.ma.filled(column, np.nan if column.dtype.kind == "f" else -1)
