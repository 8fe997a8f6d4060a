"""What the platform has not acknowledged yet: a SQLite file, so that neither a restart nor a cut loses a row.

A row is known by station, command and time of its data: it is put in once, goes out until it is acknowledged, and stays
known after that for as long as late hours are looked for, so that it does not go out again. The queue has a bound; when
it is full the oldest rows go, minutes first, and are counted.
"""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

MOST_WAITING: Final = 200_000
"""Some three weeks of 100 stations with ten-minute data."""

_SCHEMA: Final = """
CREATE TABLE IF NOT EXISTS packets (
    id INTEGER PRIMARY KEY,
    mn TEXT NOT NULL, cn TEXT NOT NULL, data_time TEXT NOT NULL,
    cp TEXT NOT NULL, priority INTEGER NOT NULL,
    qn TEXT, acknowledged INTEGER NOT NULL DEFAULT 0,
    UNIQUE (mn, cn, data_time)
);
CREATE INDEX IF NOT EXISTS ix_waiting ON packets (acknowledged, priority, data_time);
CREATE TABLE IF NOT EXISTS numbers (name TEXT PRIMARY KEY, value TEXT NOT NULL);
"""


@dataclass(frozen=True, slots=True)
class Row:
    """Data of one station and time that are to arrive: ``cp`` is the content of CP, ``data_time`` its own."""

    mn: str
    cn: str
    data_time: str
    cp: str
    priority: int = 1
    """0 goes first (hours and days), 1 after it (minutes)."""


@dataclass(frozen=True, slots=True)
class Waiting:
    """A row on its way: its number in the file, and the request number under which it went out, if it did."""

    id: int
    row: Row
    qn: str | None


class UplinkQueue:
    """See the module. Safe from any thread. ``most`` bounds the rows that wait."""

    def __init__(self, path: Path, *, most: int = MOST_WAITING) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self._most = most
        self._lock = threading.Lock()
        self._connection = sqlite3.connect(path, check_same_thread=False, isolation_level=None)
        self._connection.execute("PRAGMA journal_mode=WAL")
        self._connection.execute("PRAGMA synchronous=FULL")
        self._connection.executescript(_SCHEMA)

    def put(self, rows: Iterable[Row]) -> int:
        """Add rows that are not known yet, and return how many; what is past the bound goes, the oldest first."""
        with self._transaction() as cursor:
            before = self._connection.total_changes
            cursor.executemany(
                "INSERT OR IGNORE INTO packets (mn, cn, data_time, cp, priority) VALUES (?, ?, ?, ?, ?)",
                [(row.mn, row.cn, row.data_time, row.cp, row.priority) for row in rows],
            )
            added = self._connection.total_changes - before
            self._drop_excess(cursor)
        return added

    def next(self, limit: int) -> list[Waiting]:
        """Return what is to be sent, hours and days before minutes, the oldest first."""
        with self._lock:
            found = self._connection.execute(
                "SELECT id, mn, cn, data_time, cp, priority, qn FROM packets WHERE acknowledged = 0 "
                "ORDER BY priority, data_time, id LIMIT ?",
                (limit,),
            ).fetchall()
        return [Waiting(row[0], Row(*row[1:6]), row[6]) for row in found]

    def sent(self, packet: int, qn: str) -> None:
        """Note that a row went out under a request number; a row keeps its first, so that a copy is known as one."""
        with self._transaction() as cursor:
            cursor.execute("UPDATE packets SET qn = coalesce(qn, ?) WHERE id = ?", (qn, packet))

    def acknowledge(self, packet: int) -> None:
        """Note that the platform has a row."""
        with self._transaction() as cursor:
            cursor.execute("UPDATE packets SET acknowledged = 1, cp = '' WHERE id = ?", (packet,))
            self._count(cursor, "acknowledged", 1)

    def known(self, mn: str, cn: str, since: str) -> set[str]:
        """Return the times from ``since`` on of which a station's rows wait or have arrived."""
        with self._lock:
            found = self._connection.execute(
                "SELECT data_time FROM packets WHERE mn = ? AND cn = ? AND data_time >= ?", (mn, cn, since)
            )
            return {row[0] for row in found}

    def forget(self, before: str) -> None:
        """Forget rows that have arrived and whose data are older than a time."""
        with self._transaction() as cursor:
            cursor.execute("DELETE FROM packets WHERE acknowledged = 1 AND data_time < ?", (before,))

    def note(self, name: str, value: str) -> None:
        """Keep a setting of the talk, such as an interval that the platform asked for."""
        with self._transaction() as cursor:
            cursor.execute("INSERT OR REPLACE INTO numbers VALUES (?, ?)", (name, value))

    def noted(self, name: str) -> str | None:
        """Return what was kept under a name."""
        with self._lock:
            row = self._connection.execute("SELECT value FROM numbers WHERE name = ?", (name,)).fetchone()
        return row[0] if row else None

    def counts(self) -> dict[str, int]:
        """Return how many rows wait, how many arrived, and how many had to go."""
        with self._lock:
            waiting = self._connection.execute(
                "SELECT count(*) FROM packets WHERE acknowledged = 0"
            ).fetchone()[0]
        return {
            "waiting": waiting,
            **{name: int(self.noted(f"count.{name}") or 0) for name in ("acknowledged", "dropped")},
        }

    def close(self) -> None:
        """Close the file."""
        with self._lock:
            self._connection.close()

    # -- inside ------------------------------------------------------------------------------------------------

    def _drop_excess(self, cursor: sqlite3.Cursor) -> None:
        waiting = cursor.execute("SELECT count(*) FROM packets WHERE acknowledged = 0").fetchone()[0]
        excess = waiting - self._most
        if excess > 0:
            cursor.execute(
                "DELETE FROM packets WHERE id IN (SELECT id FROM packets WHERE acknowledged = 0 "
                "ORDER BY priority DESC, data_time LIMIT ?)",
                (excess,),
            )
            self._count(cursor, "dropped", excess)

    def _count(self, cursor: sqlite3.Cursor, name: str, more: int) -> None:
        cursor.execute(
            "INSERT INTO numbers VALUES (?, ?) ON CONFLICT (name) DO UPDATE SET value = CAST(value AS INTEGER) + ?",
            (f"count.{name}", str(more), more),
        )

    @contextmanager
    def _transaction(self) -> Iterator[sqlite3.Cursor]:
        with self._lock:
            cursor = self._connection.cursor()
            cursor.execute("BEGIN IMMEDIATE")
            try:
                yield cursor
            except BaseException:
                cursor.execute("ROLLBACK")
                raise
            cursor.execute("COMMIT")
