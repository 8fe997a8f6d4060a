"""A copy of a DuckDB file in use: all tables as they were at one moment, in a new file.

The copy is made in one transaction of the process that owns the file, so it sees one state of the store, and neither
readers nor writers wait for it.
"""

# ruff: noqa: S608  SQL is put together from this package's own names and from integers; values are bound

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

from store.series.duckdb_file import Connection, DuckDbFile
from store.series.duckdb_schema import STATEMENTS

Progress = Callable[[float], None]
"""Takes the share (0 to 1) of the work that is done; what it raises ends the work."""

_LARGE: Final = {"noise_second": "t_s", "noise_minute": "t_s"}
"""Tables that are copied piece by piece, so that there is progress, with their time columns."""
_ROWS_AT_LEAST: Final = 1_500_000


def copy_to(file: DuckDbFile, path: Path, progress: Progress) -> dict[str, int]:
    """Copy everything into the new file ``path``; return the rows of each table.

    Raises ``FileExistsError``, and ``StoreUnavailable`` when either file's disk or the store fails; then no file is
    left.
    """
    if path.exists():
        raise FileExistsError(f"{path} exists already")
    try:
        with file.beside(path) as (connection, store):
            return _copy(connection, store, progress)
    except BaseException:
        path.unlink(missing_ok=True)
        path.with_name(path.name + ".wal").unlink(missing_ok=True)
        raise


def counts(connection: Connection, prefix: str = "") -> dict[str, int]:
    """Return the rows of each table; ``prefix`` is put before the names of the current database's tables."""
    tables = connection.rows(
        "SELECT table_name FROM duckdb_tables() "
        "WHERE database_name = current_database() AND NOT temporary ORDER BY table_name"
    )
    return {name: connection.rows(f"SELECT count(*) FROM {prefix}{name}")[0][0] for (name,) in tables}


def _copy(connection: Connection, store: str, progress: Progress) -> dict[str, int]:
    for statement in STATEMENTS:
        connection.execute(statement)
    rows = counts(connection, f"{store}.")
    total, done = max(1, sum(rows.values())), 0
    for name in rows:
        for piece in _pieces(connection, store, name):
            ((copied,),) = connection.rows(f"INSERT INTO {name} SELECT * FROM {store}.{name}{piece}")
            done += copied
            progress(done / total)
    return rows


def _pieces(connection: Connection, store: str, name: str) -> Iterator[str]:
    """Return conditions that part a table, each of whole days and, but for the last, at least so many rows."""
    if name not in _LARGE:
        yield ""
        return
    time = _LARGE[name]
    first, rows = -(2**62), 0
    days = connection.rows(
        f"SELECT {time} // 86400 AS day, count(*) FROM {store}.{name} GROUP BY day ORDER BY day"
    )
    for day, count in days[:-1]:
        rows += count
        if rows >= _ROWS_AT_LEAST:
            after = (day + 1) * 86_400
            yield f" WHERE {time} >= {first} AND {time} < {after}"
            first, rows = after, 0
    yield f" WHERE {time} >= {first}"
