"""Putting what came in over an hour into the order in which it is read: source by source.

Readings arrive interleaved, a few seconds of every device at a time, so a device's day would lie scattered over all
that the others sent: with a hundred of them, a question about one would read a hundred times as much. Once an hour
is over, its rows are written anew, sorted, so that today is quick to read; and once a day is over again, as a whole,
because long runs of one device also take a third less room. Rows that arrive later stay where they are put. How far a
table is tidied is kept in ``tidied``; an interrupted span is done again.
"""

# ruff: noqa: S608  SQL is put together from this package's own names and from integers; values are bound

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Final

from store.series.duckdb_file import Connection, DuckDbFile

_ROWS_AT_A_TIME: Final = 60_000
"""Rows that one transaction rewrites: writers wait for it some tenths of a second."""


@dataclass(frozen=True, slots=True)
class _Tidied:
    """A table, its time column, and the span that is sorted as a whole, in units of that column."""

    table: str
    time: str
    span: int
    per_second: int = 1

    @property
    def name(self) -> str:
        """Under which ``tidied`` knows how far it is."""
        return f"{self.table}/{self.span}"


_TABLES: Final = (
    _Tidied("noise_second", "t_s", 3600),
    _Tidied("noise_minute", "t_s", 3600),
    _Tidied("noise_second", "t_s", 86_400),
    _Tidied("noise_minute", "t_s", 86_400),
    _Tidied("water_reading", "t_us", 86_400_000_000, 1_000_000),
    _Tidied("noise_hour", "t_s", 30 * 86_400),
    _Tidied("water_hour", "t_s", 30 * 86_400),
)


def tidy(file: DuckDbFile, before_s: int, budget_s: float, monotonic: Callable[[], float]) -> bool:
    """Sort spans that ended at or before ``before_s``; return whether ``budget_s`` ended before all were."""
    deadline = monotonic() + budget_s
    for one in _TABLES:
        while (begin := _next(file, one, before_s)) is not None:
            for sources in _slices(file, one, begin):
                if monotonic() >= deadline:
                    return True
                with file.write() as connection:
                    _sort(connection, one, begin, sources)
            with file.write() as connection:
                connection.execute("DELETE FROM tidied WHERE name = $name", {"name": one.name})
                connection.execute(
                    "INSERT INTO tidied VALUES ($name, $upto)", {"name": one.name, "upto": begin + one.span}
                )
    return False


def _next(file: DuckDbFile, one: _Tidied, before_s: int) -> int | None:
    """Return where the next span begins that holds rows and is over."""
    last = before_s * one.per_second // one.span * one.span
    with file.read() as connection:
        known = connection.rows("SELECT upto FROM tidied WHERE name = $name", {"name": one.name})
        since = known[0][0] if known else -(2**62)
        ((first,),) = connection.rows(
            f"SELECT min({one.time}) FROM {one.table} WHERE {one.time} >= {since} AND {one.time} < {last}"
        )
    return None if first is None else first // one.span * one.span


def _slices(file: DuckDbFile, one: _Tidied, begin: int) -> Iterator[tuple[int, int]]:
    """Return ranges of sources whose rows of a span are to be sorted together; one source alone is in order."""
    with file.read() as connection:
        counts = connection.rows(
            f"SELECT source, count(*) FROM {one.table} "
            f"WHERE {one.time} >= {begin} AND {one.time} < {begin + one.span} GROUP BY source ORDER BY source"
        )
    if len(counts) < 2:
        return
    first, rows = counts[0][0], 0
    for n, (source, count) in enumerate(counts):
        rows += count
        if rows >= _ROWS_AT_A_TIME or n == len(counts) - 1:
            yield first, source
            first, rows = source + 1, 0


def _sort(connection: Connection, one: _Tidied, begin: int, sources: tuple[int, int]) -> None:
    span = f"{one.time} >= {begin} AND {one.time} < {begin + one.span}"
    chosen = f"{span} AND source BETWEEN {sources[0]} AND {sources[1]}"
    connection.execute("DROP TABLE IF EXISTS tidy")
    connection.execute(
        f"CREATE TEMP TABLE tidy AS SELECT * FROM {one.table} WHERE {chosen} ORDER BY source, {one.time}"
    )
    connection.execute(f"DELETE FROM {one.table} WHERE {chosen}")
    connection.execute(f"INSERT INTO {one.table} SELECT * FROM tidy")
    connection.execute("DROP TABLE tidy")
