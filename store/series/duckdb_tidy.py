"""Putting what came in over an hour into the order in which it is read: source by source.

Readings arrive interleaved, a few seconds of every device at a time, so a device's day would lie scattered over all
that the others sent: with a hundred of them, a question about one would read a hundred times as much. Once an hour
is over, its rows are written anew, sorted. Rows that arrive later stay where they are put. How far a table is tidied
is kept in ``tidied``; an interrupted span is done again. The pages that this frees are used for what comes next.
"""

# ruff: noqa: S608  SQL is put together from this package's own names and from integers; values are bound

from __future__ import annotations

from collections.abc import Callable
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
    _Tidied("water_reading", "t_us", 86_400_000_000, 1_000_000),
    _Tidied("noise_hour", "t_s", 30 * 86_400),
    _Tidied("water_hour", "t_s", 30 * 86_400),
)


class Tidying:
    """Does the work in pieces and knows how far it is within a span, so that a large one is done in the end."""

    def __init__(self, file: DuckDbFile, monotonic: Callable[[], float]) -> None:
        self._file = file
        self._monotonic = monotonic
        self._left: dict[str, tuple[int, list[tuple[int, int]]]] = {}
        """Of each table the span under way, and the ranges of sources that are still to be sorted."""

    def run(self, before_s: int, budget_s: float) -> bool:
        """Sort spans that ended at or before ``before_s``; return whether ``budget_s`` ended before all were."""
        deadline = self._monotonic() + budget_s
        more = False
        for one in _TABLES:
            more = not self._table(one, before_s, deadline) or more
        return more

    def _table(self, one: _Tidied, before_s: int, deadline: float) -> bool:
        """Go on with one table; return whether all of it is in order."""
        while True:
            if one.name not in self._left:
                begin = _next(self._file, one, before_s)
                if begin is None:
                    return True
                self._left[one.name] = begin, _slices(self._file, one, begin)
            begin, slices = self._left[one.name]
            while slices:
                if self._monotonic() >= deadline:
                    return False
                with self._file.write() as connection:
                    _sort(connection, one, begin, slices[0])
                slices.pop(0)
            with self._file.write() as connection:
                connection.execute("DELETE FROM tidied WHERE name = $name", {"name": one.name})
                connection.execute(
                    "INSERT INTO tidied VALUES ($name, $upto)", {"name": one.name, "upto": begin + one.span}
                )
            del self._left[one.name]


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


def _slices(file: DuckDbFile, one: _Tidied, begin: int) -> list[tuple[int, int]]:
    """Return ranges of sources whose rows of a span are to be sorted together; one source alone is in order."""
    with file.read() as connection:
        counts = connection.rows(
            f"SELECT source, count(*) FROM {one.table} "
            f"WHERE {one.time} >= {begin} AND {one.time} < {begin + one.span} GROUP BY source ORDER BY source"
        )
    if len(counts) < 2:
        return []
    slices: list[tuple[int, int]] = []
    first, rows = counts[0][0], 0
    for n, (source, count) in enumerate(counts):
        rows += count
        if rows >= _ROWS_AT_A_TIME or n == len(counts) - 1:
            slices.append((first, source))
            first, rows = source + 1, 0
    return slices


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
