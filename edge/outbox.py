"""The outbox: every reading waits here until the server says that its store has committed it.

New readings are kept in memory and written to SQLite (WAL) together every few seconds, to spare the SD card; a
reading that the server confirms before that never touches the disk. The interval of these group commits is
therefore what a power cut can take of readings that the server does not have yet.

``seq`` never repeats: a block of numbers is reserved on disk before it is used, so that after a crash the
count goes on above whatever may have been sent.
"""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Final

import msgspec
import structlog

from contract.codec import encode
from contract.messages import EdgeEvent, NoiseMinute, NoiseSecond, Reading, WaterReading
from contract.topics import ReadingKind

log = structlog.get_logger(__name__)

_SEQ_BLOCK: Final = 10_000
_ROW_OVERHEAD_BYTES: Final = 40
_MEMORY_LIMIT: Final = 50_000
"""Readings held in memory at most while the disk refuses to take them."""
_LIVE_LIMIT: Final = 2_000
_DROP_ORDER: Final[tuple[ReadingKind, ...]] = ("noise", "spectrum", "event", "water")
"""What goes first when the outbox is full: seconds first, water last."""
_DROP_SHARE: Final = 0.02
"""How much of the bound one drop frees, so that a full outbox does not drop at every commit."""

_SCHEMA = """
CREATE TABLE IF NOT EXISTS entries (
    seq INTEGER PRIMARY KEY, kind TEXT NOT NULL, t_ms INTEGER NOT NULL, payload BLOB NOT NULL
);
CREATE INDEX IF NOT EXISTS entries_kind ON entries (kind, seq);
CREATE TABLE IF NOT EXISTS meta (key TEXT PRIMARY KEY, value INTEGER NOT NULL);
"""


@dataclass(frozen=True, slots=True)
class OutboxEntry:
    """A reading as it waits to be sent, encoded."""

    seq: int
    kind: ReadingKind
    t_ms: int
    payload: bytes

    @property
    def cost_bytes(self) -> int:
        """What it takes of the bound."""
        return len(self.payload) + _ROW_OVERHEAD_BYTES


@dataclass(frozen=True, slots=True)
class Dropped:
    """Readings of one kind that the bound pushed out, told in an event."""

    kind: ReadingKind
    count: int
    first_seq: int
    last_seq: int


def kind_of(reading: Reading) -> ReadingKind:
    """Return the topic kind of a reading."""
    match reading:
        case NoiseSecond():
            return "noise"
        case NoiseMinute():
            return "spectrum"
        case WaterReading():
            return "water"
        case EdgeEvent():
            return "event"


class Outbox:
    """Readings that are not confirmed yet, in memory and in one SQLite file. Thread-safe.

    ``max_bytes`` bounds the file's content. When it is reached the oldest seconds go first, then minutes, events,
    and water last; each drop is told by a ``readings_dropped`` event in the outbox itself. A file that SQLite
    cannot read is set aside as ``*.corrupt-…``, told by an ``outbox_replaced`` event, and replaced.
    """

    def __init__(self, path: Path, *, now: datetime, max_bytes: int = 512 << 20) -> None:
        """Open or make the outbox at ``path``. Raises ``OSError`` if the folder cannot be made or written."""
        self._path = path
        self._max_bytes = max_bytes
        self._lock = threading.RLock()
        self._fresh: dict[int, OutboxEntry] = {}
        self._gone: set[int] = set()
        self._live: list[OutboxEntry] = []
        self._shed: list[Dropped] = []
        self._wake = threading.Event()
        self.dropped_total = 0
        self.refused_total = 0
        path.parent.mkdir(parents=True, exist_ok=True)
        replaced = self._open(now)
        if replaced is not None:
            self.append(EdgeEvent(seq=0, t=now, kind="outbox_replaced", detail={"cause": replaced}))

    # -- writing -----------------------------------------------------------------------------------------------

    def append(self, reading: Reading) -> int:
        """Take a reading in, number it, and return its ``seq``. It is durable after the next :meth:`commit`."""
        with self._lock:
            seq = self._next_seq
            if seq >= self._reserved_to:
                self._reserve(seq + _SEQ_BLOCK)
            self._next_seq = seq + 1
            numbered = msgspec.structs.replace(reading, seq=seq)
            entry = OutboxEntry(seq, kind_of(reading), int(reading.t.timestamp() * 1000), encode(numbered))
            self._fresh[seq] = entry
            self._live.append(entry)
            if len(self._live) > _LIVE_LIMIT:  # nobody sends: the backlog will carry them
                del self._live[: _LIVE_LIMIT // 2]
            self._wake.set()
            if len(self._fresh) > _MEMORY_LIMIT:
                self._shed_memory()
            return seq

    def confirm(self, ranges: Iterable[tuple[int, int]]) -> int:
        """Forget what the server has stored (inclusive ranges of ``seq``); return how many that were."""
        with self._lock:
            return self._forget(ranges)

    def refuse(self, ranges: Iterable[tuple[int, int]]) -> int:
        """Forget what the server will never store and keeps in its quarantine; return how many that were."""
        with self._lock:
            count = self._forget(ranges)
            self.refused_total += count
            return count

    def commit(self, now: datetime) -> list[Dropped]:
        """Write what is new, delete what is confirmed, keep the bound: one transaction.

        Returns what the bound pushed out. A disk that is full or failing is logged once and tried again at the next
        commit; meanwhile readings stay in memory up to a limit.
        """
        with self._lock:
            try:
                self._write()
                dropped = self._keep_bound()
            except sqlite3.OperationalError as error:
                self._rollback()
                dropped = self._disk_trouble(error)
            except sqlite3.DatabaseError as error:
                self._rollback()
                self.replace_corrupt(error, now)
                dropped = []
            else:
                self._trouble_over()
            dropped += self._shed
            self._shed = []
            for one in dropped:
                self._tell(one, now)
            return dropped

    def replace_corrupt(self, error: sqlite3.DatabaseError, now: datetime) -> None:
        """Set a file aside that turned out corrupt while in use; what is in memory and the count go on."""
        with self._lock:
            self._db.close()
            aside = _set_aside(self._path, now)
            log.error("outbox was corrupt and is replaced", kept_as=str(aside), error=str(error))
            self._db = _connect(self._path)
            self._rows, self._bytes = 0, 0
            self._gone.clear()
            self._reserve(self._next_seq + _SEQ_BLOCK)
            self.append(EdgeEvent(seq=0, t=now, kind="outbox_replaced", detail={"cause": str(error)}))

    def close(self) -> None:
        """Write what is new and close the file; the next start goes on with the very next ``seq``."""
        with self._lock:
            try:
                self._write()
                with self._db:
                    self._db.execute("UPDATE meta SET value = ? WHERE key = 'reserved_to'", (self._next_seq,))
            except sqlite3.OperationalError as error:
                log.error("outbox could not be written at its end", path=str(self._path), error=str(error))
            self._db.close()

    # -- reading -----------------------------------------------------------------------------------------------

    def wait(self, timeout_s: float) -> bool:
        """Wait until a reading was appended since the last :meth:`take_live`, at most ``timeout_s``."""
        return self._wake.wait(timeout_s)

    def take_live(self) -> list[OutboxEntry]:
        """Return what was appended since the last call, in order, confirmed ones left out."""
        with self._lock:
            taken = [
                entry for entry in self._live if entry.seq in self._fresh or not self._is_gone(entry.seq)
            ]
            self._live = []
            self._wake.clear()
            return taken

    def older_than(self, seq: int, limit: int) -> list[OutboxEntry]:
        """Return up to ``limit`` unconfirmed entries below ``seq``, newest first: the backlog."""
        with self._lock:
            rows = self._db.execute(
                "SELECT seq, kind, t_ms, payload FROM entries WHERE seq < ? ORDER BY seq DESC LIMIT ?",
                (seq, limit + len(self._gone)),
            ).fetchall()
            stored = [OutboxEntry(*row) for row in rows if row[0] not in self._gone]
            fresh = [entry for entry in self._fresh.values() if entry.seq < seq]
            return sorted(stored + fresh, key=lambda entry: -entry.seq)[:limit]

    @property
    def next_seq(self) -> int:
        """The number that the next reading gets."""
        with self._lock:
            return self._next_seq

    def depth(self) -> int:
        """Return how many readings are not confirmed."""
        with self._lock:
            return self._rows + len(self._fresh) - len(self._gone)

    def oldest_t_ms(self) -> int | None:
        """Return the time of the oldest unconfirmed reading, Unix milliseconds."""
        with self._lock:
            row = self._db.execute("SELECT min(t_ms) FROM entries").fetchone()
            times = [entry.t_ms for entry in self._fresh.values()]
            return min([*times, row[0]] if row[0] is not None else times, default=None)

    # -- inside ------------------------------------------------------------------------------------------------

    def _open(self, now: datetime) -> str | None:
        cause: str | None = None
        try:
            self._db = _connect(self._path)
        except sqlite3.DatabaseError as error:
            if isinstance(error, sqlite3.OperationalError) and "unable to open" in str(error):
                raise OSError(
                    f"cannot open the outbox {self._path}: {error}; is the folder writable?"
                ) from error
            cause = str(error)
            aside = _set_aside(self._path, now)
            log.error("outbox was corrupt and is replaced", kept_as=str(aside), error=cause)
            self._db = _connect(self._path)
        self._load(now, replaced=cause is not None)
        return cause

    def _load(self, now: datetime, *, replaced: bool) -> None:
        row = self._db.execute("SELECT value FROM meta WHERE key = 'reserved_to'").fetchone()
        # After a replacement the old count is unknown; seconds since 1970 are above any count of readings.
        start = int(now.timestamp()) if replaced else 0
        self._next_seq = row[0] if row else start
        count, cost = self._db.execute(
            "SELECT count(*), coalesce(sum(length(payload) + ?), 0) FROM entries", (_ROW_OVERHEAD_BYTES,)
        ).fetchone()
        self._rows, self._bytes = int(count), int(cost)
        self._troubled = False
        self._reserved_to = self._next_seq
        self._reserve(self._next_seq + _SEQ_BLOCK)

    def _reserve(self, upto: int) -> None:
        try:
            with self._db:
                self._db.execute(
                    "INSERT INTO meta VALUES ('reserved_to', ?) ON CONFLICT (key) DO UPDATE SET value = excluded.value",
                    (upto,),
                )
        except sqlite3.OperationalError as error:
            # Going on in memory is better than losing the reading; the next commit reserves again.
            log.error("outbox cannot reserve numbers", path=str(self._path), error=str(error))
            return
        self._reserved_to = upto

    def _forget(self, ranges: Iterable[tuple[int, int]]) -> int:
        count = 0
        for first, last in ranges:
            in_memory = [seq for seq in self._fresh if first <= seq <= last]
            for seq in in_memory:
                del self._fresh[seq]
            rows = self._db.execute("SELECT seq FROM entries WHERE seq BETWEEN ? AND ?", (first, last))
            on_disk = {row[0] for row in rows} - self._gone
            self._gone |= on_disk
            count += len(in_memory) + len(on_disk)
        return count

    def _is_gone(self, seq: int) -> bool:
        if seq in self._gone:
            return True
        return self._db.execute("SELECT 1 FROM entries WHERE seq = ?", (seq,)).fetchone() is None

    def _write(self) -> None:
        if not self._fresh and not self._gone:
            return
        entries = list(self._fresh.values())
        gone = list(self._gone)
        freed = self._cost_of(gone)
        with self._db:
            self._db.executemany(
                "INSERT OR REPLACE INTO entries VALUES (?, ?, ?, ?)",
                [(e.seq, e.kind, e.t_ms, e.payload) for e in entries],
            )
            self._db.executemany("DELETE FROM entries WHERE seq = ?", [(seq,) for seq in gone])
        self._rows += len(entries) - len(gone)
        self._bytes += sum(e.cost_bytes for e in entries) - freed
        self._fresh.clear()
        self._gone.clear()

    def _cost_of(self, seqs: Sequence[int]) -> int:
        total = 0
        for at in range(0, len(seqs), 500):
            part = seqs[at : at + 500]
            marks = ",".join("?" * len(part))
            query = f"SELECT coalesce(sum(length(payload) + ?), 0) FROM entries WHERE seq IN ({marks})"  # noqa: S608
            total += self._db.execute(query, (_ROW_OVERHEAD_BYTES, *part)).fetchone()[0]
        return total

    def _keep_bound(self) -> list[Dropped]:
        dropped: list[Dropped] = []
        target = self._max_bytes
        if self._bytes > self._max_bytes:
            target = int(self._max_bytes * (1 - _DROP_SHARE))
        for kind in _DROP_ORDER:
            if self._bytes <= target:
                break
            one = self._drop_oldest(kind, self._bytes - target)
            if one is not None:
                dropped.append(one)
        return dropped

    def _drop_oldest(self, kind: ReadingKind, excess_bytes: int) -> Dropped | None:
        freed, count, first, last = 0, 0, -1, -1
        rows = self._db.execute(
            "SELECT seq, length(payload) FROM entries WHERE kind = ? ORDER BY seq", (kind,)
        )
        for seq, length in rows:
            if freed >= excess_bytes:
                break
            freed += length + _ROW_OVERHEAD_BYTES
            count += 1
            first = seq if first < 0 else first
            last = seq
        if count == 0:
            return None
        with self._db:
            self._db.execute(
                "DELETE FROM entries WHERE kind = ? AND seq BETWEEN ? AND ?", (kind, first, last)
            )
        self._rows -= count
        self._bytes -= freed
        self.dropped_total += count
        return Dropped(kind, count, first, last)

    def _tell(self, one: Dropped, now: datetime) -> None:
        log.warning("outbox full: oldest readings dropped", kind=one.kind, count=one.count)
        self.append(
            EdgeEvent(
                seq=0, t=now, kind="readings_dropped",
                detail={"kind": one.kind, "count": one.count, "first_seq": one.first_seq, "last_seq": one.last_seq},
            )
        )  # fmt: skip

    def _rollback(self) -> None:
        if self._db.in_transaction:
            self._db.rollback()

    def _disk_trouble(self, error: sqlite3.OperationalError) -> list[Dropped]:
        if not self._troubled:
            log.error(
                "outbox cannot be written; readings stay in memory", path=str(self._path), error=str(error)
            )
        self._troubled = True
        if "full" not in str(error):
            return []
        try:
            one = next(
                filter(None, (self._drop_oldest(kind, self._bytes // 20) for kind in _DROP_ORDER)), None
            )
        except sqlite3.OperationalError:
            self._rollback()
            return []
        return [one] if one else []

    def _trouble_over(self) -> None:
        if self._troubled:
            log.info("outbox can be written again", path=str(self._path))
        self._troubled = False

    def _shed_memory(self) -> None:
        for kind in _DROP_ORDER:
            seqs = [e.seq for e in self._fresh.values() if e.kind == kind][: _MEMORY_LIMIT // 10]
            if seqs:
                for seq in seqs:
                    del self._fresh[seq]
                self.dropped_total += len(seqs)
                self._shed.append(Dropped(kind, len(seqs), seqs[0], seqs[-1]))
                log.error(
                    "outbox memory full while the disk refuses: readings dropped", kind=kind, count=len(seqs)
                )
                return


def _connect(path: Path) -> sqlite3.Connection:
    db = sqlite3.connect(path, check_same_thread=False)
    try:
        db.execute("PRAGMA journal_mode=WAL")
        db.execute("PRAGMA synchronous=FULL")
        if db.execute("PRAGMA quick_check").fetchone()[0] != "ok":
            raise sqlite3.DatabaseError("the file does not pass SQLite's quick_check")
        db.executescript(_SCHEMA)
    except sqlite3.DatabaseError:
        db.close()
        raise
    return db


def _set_aside(path: Path, now: datetime) -> Path:
    aside = path.with_name(f"{path.name}.corrupt-{now:%Y%m%dT%H%M%S}")
    path.replace(aside)
    for suffix in ("-wal", "-shm"):
        path.with_name(path.name + suffix).unlink(missing_ok=True)
    return aside
