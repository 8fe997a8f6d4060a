"""Writing readings into DuckDB: each identity once, the first copy stays, one commit a batch.

A reading later than the newest of its series cannot be there yet; that is nearly all of a live stream, and costs
no look at the file. The others are looked up day by day, which DuckDB answers from the few row groups that hold
the day.
"""

# ruff: noqa: S608  SQL is put together from this package's own names and from integers; values are bound

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

import numpy as np

from store.series.columns import Batch, Family
from store.series.copies import first_copies
from store.series.duckdb_file import Connection
from store.series.memory import NONE_YET, Mark, Memory

_HOUR_S: Final = 3600
_DAY_S: Final = 86_400
_US: Final = 1_000_000
_NEIGHBOUR_REACH_US: Final = 2 * _DAY_S * _US


@dataclass(frozen=True, slots=True)
class _Table:
    """A table of readings: its time column with its unit, and the columns after ``source`` in the table's order."""

    name: str
    time: str
    per_second: int
    columns: tuple[str, ...]
    identity: tuple[str, ...] = ()
    """What distinguishes readings of one series and time: two events may happen at once."""

    @property
    def insert(self) -> str:
        return f"INSERT INTO {self.name} SELECT source, {', '.join(self.columns)} FROM batch"


TABLES: Final[dict[str, _Table]] = {
    "noise": _Table("noise_second", "t_s", 1, (
        "t_s", "laeq_db", "lafmax_db", "lafmin_db", "laf_db", "lceq_db", "lzeq_db", "lasmax_db", "lasmin_db",
        "lcpeak_db", "lae_db", "measured_ms", "flags", "seq", "received_us")),
    "spectrum": _Table("noise_minute", "t_s", 1, (
        "t_s", "measured_ms", "flags", "first_band", "bands_db", "laf_bins", "laf_counts", "seq", "received_us")),
    "water": _Table("water_reading", "t_us", _US, (
        "t_us", "device", "volume_steps", "step_ml", "flow_m3h", "reverse_steps", "meter_time", "serial", "flags",
        "seq", "received_us")),
    "event": _Table("event", "t_us", _US, (
        "t_us", "kind", "meter", "detail", "seq", "received_us"), identity=("kind", "meter")),
}  # fmt: skip


@dataclass(slots=True)
class _Stored:
    """New rows of one family, as they went into their table."""

    numbers: np.ndarray
    t: np.ndarray
    columns: dict[str, np.ndarray]


@dataclass(slots=True)
class Written:
    """What a transaction has put into the file; :meth:`remember` is called once it is committed."""

    sources: dict[tuple[str, str], int] = field(default_factory=dict)
    rows: dict[str, _Stored] = field(default_factory=dict)
    touched: set[Mark] = field(default_factory=set)

    def remember(self, memory: Memory) -> None:
        """Bring the memory up to the file."""
        with memory.lock:
            memory.sources.add(self.sources)
            for family, stored in self.rows.items():
                memory.newest[family].update(stored.numbers, stored.t, stored.columns)
            memory.dirty.touch(self.touched)


def write_batch(connection: Connection, memory: Memory, batch: Batch) -> Written:
    """Put what is new of a batch into the tables, inside the caller's transaction."""
    written = Written()
    for family, rows in batch.families.items():
        stored = _write_family(connection, memory, written, family, rows)
        if stored is None:
            continue
        written.rows[family] = stored
        if family in ("noise", "spectrum"):
            hours = stored.t // _HOUR_S * _HOUR_S
            written.touched.update(
                ("noise", number, hour)
                for number, hour in set(zip(stored.numbers.tolist(), hours.tolist(), strict=True))
            )
        elif family == "water":
            written.touched.update(_touched_water(connection, memory, stored))
    write_sources(connection, written.sources)
    _write_marks(connection, [mark for mark in written.touched if mark not in memory.dirty])
    return written


def _write_family(
    connection: Connection, memory: Memory, written: Written, family: str, rows: Family
) -> _Stored | None:
    table = TABLES[family]
    numbers = memory.sources.number(rows.names, written.sources)
    t = rows.columns[table.time]
    order = first_copies(numbers, t, [rows.columns[key] for key in table.identity])
    unsure = np.flatnonzero(t[order] <= memory.newest[family].times(numbers[order]))
    if len(unsure):
        known = _already_stored(connection, table, numbers, rows.columns, order[unsure])
        order = order[~np.isin(order, known)]
    if not len(order):
        return None
    chosen = {key: column[order] for key, column in rows.columns.items()}
    connection.execute_with({"source": numbers[order], **chosen}, table.insert)
    return _Stored(numbers[order], t[order], chosen)


def _already_stored(
    connection: Connection,
    table: _Table,
    numbers: np.ndarray,
    columns: dict[str, np.ndarray],
    candidates: np.ndarray,
) -> np.ndarray:
    """Return those of the candidate rows that the table has."""
    t = columns[table.time]
    days = t[candidates] // (_DAY_S * table.per_second)
    same = "".join(f" AND s.{key} IS NOT DISTINCT FROM b.{key}" for key in table.identity)
    found: list[int] = []
    for day in np.unique(days):
        rows = candidates[days == day]
        batch = {
            "i": rows,
            "source": numbers[rows],
            "t": t[rows],
            **{k: columns[k][rows] for k in table.identity},
        }
        found += (
            i for (i,) in connection.rows_with(
                batch,
                f"SELECT b.i FROM batch b JOIN {table.name} s ON s.source = b.source AND s.{table.time} = b.t{same} "
                f"WHERE s.{table.time} BETWEEN {int(t[rows].min())} AND {int(t[rows].max())}",
            )
        )  # fmt: skip
    return np.array(found, dtype=np.int64)


def write_sources(connection: Connection, new: Mapping[tuple[str, str], int]) -> None:
    """Store the numbers of new series."""
    for (site, name), number in new.items():
        connection.execute("INSERT INTO source VALUES (?, ?, ?)", [number, site, name])


def _write_marks(connection: Connection, marks: Sequence[Mark]) -> None:
    if marks:
        connection.execute_with(
            _mark_columns(marks), "INSERT INTO dirty_hour SELECT kind, source, t_s FROM batch"
        )


def clear_marks(connection: Connection, marks: Sequence[Mark]) -> None:
    """Delete the marks of dirty hours."""
    if marks:
        connection.execute_with(
            _mark_columns(marks),
            "DELETE FROM dirty_hour d USING batch b WHERE d.kind = b.kind AND d.source = b.source AND d.t_s = b.t_s",
        )


def _mark_columns(marks: Sequence[Mark]) -> dict[str, np.ndarray]:
    kinds = np.empty(len(marks), dtype=object)
    kinds[:] = [mark[0] for mark in marks]
    return {
        "kind": kinds,
        "source": np.array([mark[1] for mark in marks], dtype=np.int32),
        "t_s": np.array([mark[2] for mark in marks], dtype=np.int64),
    }


def _touched_water(connection: Connection, memory: Memory, stored: _Stored) -> set[Mark]:
    """Return the hours whose volume depends on the new rows: from the reading before each to the one after it."""
    newest = memory.newest["water"].times(stored.numbers)
    late = stored.t <= newest
    touched: set[Mark] = set()
    before = newest.copy()  # of rows in order: the newest or the row before
    follows = np.append(False, stored.numbers[1:] == stored.numbers[:-1])
    before[1:] = np.where(follows[1:], np.maximum(newest[1:], stored.t[:-1]), newest[1:])
    before = np.where(before == NONE_YET, stored.t, before)
    for number, start, end in zip(
        stored.numbers[~late].tolist(), before[~late].tolist(), stored.t[~late].tolist(), strict=True
    ):
        touched.update(_hours(number, min(start, end), end))
    if late.any():
        touched.update(_touched_by_late_water(connection, stored.numbers[late], stored.t[late]))
    return touched


def _touched_by_late_water(connection: Connection, numbers: np.ndarray, t: np.ndarray) -> set[Mark]:
    low, high = int(t.min()) - _NEIGHBOUR_REACH_US, int(t.max()) + _NEIGHBOUR_REACH_US
    near = f"SELECT source, t_us FROM water_reading WHERE t_us BETWEEN {low} AND {high}"
    found = _neighbours(connection, numbers, t, near)
    far = np.array(
        [i for i, (earlier, later) in enumerate(found) if earlier is None or later is None], dtype=int
    )
    if len(far):
        anywhere = _neighbours(connection, numbers[far], t[far], "SELECT source, t_us FROM water_reading")
        for i, both in zip(far.tolist(), anywhere, strict=True):
            found[i] = both
    touched: set[Mark] = set()
    for number, its_t, (earlier, later) in zip(numbers.tolist(), t.tolist(), found, strict=True):
        touched.update(
            _hours(number, its_t if earlier is None else earlier, its_t if later is None else later)
        )
    return touched


def _neighbours(
    connection: Connection, numbers: np.ndarray, t: np.ndarray, readings: str
) -> list[tuple[int | None, int | None]]:
    """Return the times of the readings before and after each row, from the query ``readings``."""
    batch = {"i": np.arange(len(t)), "source": numbers, "t": t}
    return [
        (earlier, later)
        for earlier, later in connection.rows_with(
            batch,
            f"WITH w AS ({readings}) SELECT p.t_us, n.t_us FROM batch b "
            "ASOF LEFT JOIN w p ON p.source = b.source AND p.t_us < b.t "
            "ASOF LEFT JOIN w n ON n.source = b.source AND n.t_us > b.t ORDER BY b.i",
        )
    ]


def _hours(number: int, start_us: int, end_us: int) -> Iterable[Mark]:
    first, last = start_us // _US // _HOUR_S, end_us // _US // _HOUR_S
    return (("water", number, hour * _HOUR_S) for hour in range(first, last + 1))
