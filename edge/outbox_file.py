"""The outbox's file: SQLite (WAL), one transaction a commit, held by one process.

A file that SQLite cannot read is set aside, what can still be read of it is taken over, and a new one begins.
"""

from __future__ import annotations

import contextlib
import fcntl
import itertools
import os
import sqlite3
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence, Set
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import IO, Final

import msgspec
import structlog

from contract.codec import decode_reading
from contract.seqranges import to_ranges
from edge.outbox_entry import DROP_ORDER, ROW_OVERHEAD_BYTES, Dropped, OutboxEntry

log = structlog.get_logger(__name__)

SEQ_BLOCK: Final = 10_000
"""Numbers reserved on disk ahead of their use."""
_DROP_SHARE: Final = 0.0025
"""How much of the bound one drop frees, so that a full outbox does not drop at every commit."""
_EVENTS_BYTES: Final = 1_000
"""Room for the events that tell a drop."""
_SALVAGE_CHUNK: Final = 1_000
_LOG_PAGES: Final = 64
"""Pages of the write-ahead log before it is written back: that takes so much room on the disk at most."""
_PAGE_BYTES: Final = 4096
_FILLED_SHARE: Final = 0.85
"""How much of its pages is content when the oldest go and the newest come (measured: 0.90 before any went)."""
_GROWTH_BYTES: Final = 64 << 10
_SPARE_BYTES: Final = 384 << 10
"""Half as much again, in a file beside the outbox. It is given up when the disk is full: SQLite needs room to write its
log back, and must do that before anything can be deleted."""

_SCHEMA = """
CREATE TABLE IF NOT EXISTS entries (
    seq INTEGER PRIMARY KEY, kind TEXT NOT NULL, t_ms INTEGER NOT NULL, payload BLOB NOT NULL
);
CREATE INDEX IF NOT EXISTS entries_kind ON entries (kind, seq);
CREATE TABLE IF NOT EXISTS meta (key TEXT PRIMARY KEY, value INTEGER NOT NULL);
"""


class OutboxInUse(OSError):
    """Another process holds this outbox."""


@dataclass(frozen=True, slots=True)
class Replaced:
    """A corrupt file was set aside: why, and how many readings could be taken over from it."""

    cause: str
    salvaged: int
    kept_as: Path


class OutboxFile:
    """Entries on disk. Not thread-safe: its owner holds a lock.

    Every method raises ``sqlite3.OperationalError`` when the disk does not take or give it now, and another
    ``sqlite3.DatabaseError`` when the file turns out to be corrupt: then :meth:`replace`.
    """

    def __init__(self, path: Path, now: datetime) -> None:
        """Open or make the file. Raises :class:`OutboxInUse`, or ``OSError`` if the folder cannot be used."""
        self._path = path
        self.rows = 0
        self.bytes = 0
        self.replaced: Replaced | None = None
        """Set when the file was corrupt at the opening."""
        path.parent.mkdir(parents=True, exist_ok=True)
        self._lock_file = _hold(path.with_name(path.name + ".lock"))
        self._db: sqlite3.Connection | None = None
        self._spare = path.with_name(path.name + ".spare")
        had_content = path.exists()
        try:
            with _told_apart():
                self._db = _connect(path)
                self._load(now, must_have_meta=had_content)
        except sqlite3.OperationalError as error:
            self._give_up(error)
        except sqlite3.DatabaseError as error:
            self.replaced = self.replace(error, now)
        self.keep_spare()

    # -- writing -----------------------------------------------------------------------------------------------

    def apply(
        self, add: Collection[OutboxEntry], remove: Collection[int], *, reserve_to: int, max_bytes: int,
        tell: Callable[[Dropped], OutboxEntry],
    ) -> list[Dropped]:  # fmt: skip
        """Add, remove, keep the bound, tell what it pushed out, and reserve numbers: all of it or nothing."""
        db = self._open_db()
        with _told_apart(), _transaction(db):
            removed, freed = self._delete(db, to_ranges(remove))
            self._insert(db, add)
            rows = self.rows - removed + len(add)
            size = self.bytes - freed + sum(entry.cost_bytes for entry in add)
            dropped, dropped_bytes = self._keep_bound(db, size, max_bytes)
            events = [tell(one) for one in dropped]
            self._insert(db, events)
            if reserve_to != self.reserved_to:
                _set(db, "reserved_to", reserve_to)
        self.rows = rows - sum(one.count for one in dropped) + len(events)
        self.bytes = size - dropped_bytes + sum(entry.cost_bytes for entry in events)
        self.reserved_to = reserve_to
        return dropped

    def make_room(self) -> None:
        """Give up the spare file, and the write-ahead log into the outbox itself."""
        self._spare.unlink(missing_ok=True)
        self._open_db().execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()

    def holds_bytes(self) -> int:
        """Return how much content the file takes without growing, but for what the spare file has left to it."""
        ((pages,),) = self._open_db().execute("PRAGMA page_count").fetchall()
        return int(pages * _PAGE_BYTES * _FILLED_SHARE) + _GROWTH_BYTES

    def keep_spare(self) -> bool:
        """Keep room for a full disk where the disk has plenty; return whether it is kept."""
        with contextlib.suppress(OSError):
            if self._spare.exists():
                return True
            disk = os.statvfs(self._path.parent)
            if disk.f_bavail * disk.f_frsize < 2 * _SPARE_BYTES:
                return False
            try:
                with self._spare.open("wb") as file:
                    os.posix_fallocate(file.fileno(), 0, _SPARE_BYTES)
                return True
            except OSError:
                self._spare.unlink(missing_ok=True)
        return False

    def close(self, next_seq: int | None) -> None:
        """Close. With ``next_seq`` all is written and the next start goes on with it; without, after a crash."""
        try:
            if self._db is not None:
                if next_seq is not None:
                    with _transaction(self._db):
                        _set(self._db, "reserved_to", next_seq)
                        _set(self._db, "clean", 1)
                self._db.close()
        finally:
            self._db = None
            self._lock_file.close()

    # -- reading -----------------------------------------------------------------------------------------------

    def below(self, seq: int, limit: int) -> list[OutboxEntry]:
        """Return up to ``limit`` entries below ``seq``, newest first.

        An entry that does not decode is damage: in one message with others it would take them along.
        """
        with _told_apart():
            rows = self._open_db().execute(
                "SELECT seq, kind, t_ms, payload FROM entries WHERE seq < ? ORDER BY seq DESC LIMIT ?",
                (seq, limit),
            )
            entries = [OutboxEntry(*row) for row in rows]
        damaged = next((entry.seq for entry in entries if not _is_sound(entry)), None)
        if damaged is not None:
            raise sqlite3.DatabaseError(f"the entry {damaged} is damaged")
        return entries

    def seqs(self, first: int, last: int) -> list[int]:
        """Return the numbers on disk from ``first`` to ``last``."""
        with _told_apart():
            rows = self._open_db().execute("SELECT seq FROM entries WHERE seq BETWEEN ? AND ?", (first, last))
            return [row[0] for row in rows]

    def oldest_t_ms(self, gone: Set[int]) -> int | None:
        """Return the time of the entry that waits longest, Unix milliseconds; those in ``gone`` wait no more."""
        with _told_apart():
            rows = self._open_db().execute(
                "SELECT seq, t_ms FROM entries ORDER BY seq LIMIT ?", (len(gone) + 1,)
            )
            return next((t_ms for seq, t_ms in rows if seq not in gone), None)

    # -- opening and replacing ---------------------------------------------------------------------------------

    def replace(self, error: sqlite3.DatabaseError, now: datetime) -> Replaced:
        """Set the corrupt file aside, begin a new one, and take over what can still be read."""
        with contextlib.suppress(sqlite3.Error):
            if self._db is not None:
                self._db.close()
        self._db = None
        aside = _set_aside(self._path, now)
        salvaged = 0
        try:
            self._db = _connect(self._path)
            self._load(now, must_have_meta=False)
            salvaged = self._salvage(aside)
        except sqlite3.OperationalError as trouble:
            self._give_up(trouble)
        log.error(
            "outbox was corrupt and is replaced", kept_as=str(aside), error=str(error), salvaged=salvaged
        )
        return Replaced(str(error), salvaged, aside)

    def _open_db(self) -> sqlite3.Connection:
        if self._db is None:
            raise sqlite3.OperationalError("the outbox file is not open")
        return self._db

    def reopen(self, now: datetime) -> bool:
        """Try again to open a file that could not be opened; return whether there was need to."""
        if self._db is not None:
            return False
        with _told_apart():
            self._db = _connect(self._path)
            try:
                self._load(now, must_have_meta=False)
            except Exception:
                self._db.close()
                self._db = None
                raise
        return True

    def _give_up(self, error: sqlite3.OperationalError) -> None:
        # A full disk, say: measuring begins all the same, and commit tries to open the file again.
        if not os.access(self._path.parent, os.W_OK):
            self._lock_file.close()
            raise OSError(f"cannot open the outbox {self._path}: {error}; is the folder writable?") from error
        log.error("outbox cannot be opened; readings stay in memory", path=str(self._path), error=str(error))
        self._spare.unlink(missing_ok=True)  # it may be what is wanting
        if self._db is not None:
            self._db.close()
        self._db = None
        self.rows = self.bytes = 0
        self.next_seq = self.reserved_to = 0

    def _load(self, now: datetime, *, must_have_meta: bool) -> None:
        db = self._open_db()
        meta = dict(db.execute("SELECT key, value FROM meta").fetchall())
        if must_have_meta and "reserved_to" not in meta:
            raise sqlite3.DatabaseError("the file is empty")
        # A new or crashed outbox goes on at the milliseconds since 1970 (or above, if more is reserved): no device
        # makes a thousand readings a second, so no number that an earlier file gave out comes again.
        at_least = 0 if meta.get("clean") else int(now.timestamp() * 1000)
        self.next_seq = max(meta.get("reserved_to", 0), at_least)
        self.reserved_to = self.next_seq + SEQ_BLOCK
        with _transaction(db):
            _set(db, "reserved_to", self.reserved_to)
            _set(db, "clean", 0)
        self._count()

    def _count(self) -> None:
        count, size = (
            self._open_db()
            .execute("SELECT count(*), coalesce(sum(length(payload)), 0) FROM entries")
            .fetchone()
        )
        self.rows, self.bytes = int(count), int(size) + int(count) * ROW_OVERHEAD_BYTES

    def _salvage(self, aside: Path) -> int:
        count, highest = 0, 0
        entries = _readable(aside)
        while chunk := list(itertools.islice(entries, _SALVAGE_CHUNK)):
            with _transaction(self._open_db()) as db:
                self._insert(db, chunk)
            count += len(chunk)
            highest = max(highest, *(entry.seq for entry in chunk), 0)
        self.next_seq = max(self.next_seq, highest + 1)
        self.reserved_to = self.next_seq + SEQ_BLOCK
        with _transaction(self._open_db()) as db:
            _set(db, "reserved_to", self.reserved_to)
        self._count()
        return count

    # -- within a transaction ----------------------------------------------------------------------------------

    @staticmethod
    def _insert(db: sqlite3.Connection, entries: Iterable[OutboxEntry]) -> None:
        db.executemany(
            "INSERT OR REPLACE INTO entries VALUES (?, ?, ?, ?)",
            [(entry.seq, entry.kind, entry.t_ms, entry.payload) for entry in entries],
        )

    @staticmethod
    def _delete(db: sqlite3.Connection, ranges: Sequence[tuple[int, int]]) -> tuple[int, int]:
        count, freed = 0, 0
        for first, last in ranges:
            for (length,) in db.execute(
                "DELETE FROM entries WHERE seq BETWEEN ? AND ? RETURNING length(payload)", (first, last)
            ):
                count += 1
                freed += length + ROW_OVERHEAD_BYTES
        return count, freed

    @staticmethod
    def _keep_bound(db: sqlite3.Connection, size: int, max_bytes: int) -> tuple[list[Dropped], int]:
        dropped: list[Dropped] = []
        freed = 0
        target = int(max_bytes * (1 - _DROP_SHARE)) - _EVENTS_BYTES if size > max_bytes else max_bytes
        for kind in DROP_ORDER:
            excess = size - freed - target
            if excess <= 0:
                break
            seqs, cost = _oldest(db, kind, excess)
            if seqs:
                db.execute(
                    "DELETE FROM entries WHERE kind = ? AND seq BETWEEN ? AND ?", (kind, seqs[0], seqs[-1])
                )
                dropped.append(Dropped(kind, len(seqs), seqs[0], seqs[-1]))
                freed += cost
        return dropped, freed


def _oldest(db: sqlite3.Connection, kind: str, excess_bytes: int) -> tuple[list[int], int]:
    seqs: list[int] = []
    cost = 0
    for seq, length in db.execute(
        "SELECT seq, length(payload) FROM entries WHERE kind = ? ORDER BY seq", (kind,)
    ):
        if cost >= excess_bytes:
            break
        cost += length + ROW_OVERHEAD_BYTES
        seqs.append(seq)
    return seqs, cost


@contextlib.contextmanager
def _told_apart() -> Iterator[None]:
    """Leave ``OperationalError`` to a disk that may recover; all else that a damaged file brings forth is damage.

    A damaged schema shows as "no such column" and the like, a damaged name as a message that is no UTF-8.
    """
    try:
        yield
    except sqlite3.OperationalError as error:
        if getattr(error, "sqlite_errorcode", None) == sqlite3.SQLITE_ERROR:
            raise sqlite3.DatabaseError(str(error)) from error
        raise
    except (UnicodeDecodeError, TypeError, ValueError) as error:
        raise sqlite3.DatabaseError(f"unreadable content: {error}") from error


@contextlib.contextmanager
def _transaction(db: sqlite3.Connection) -> Iterator[sqlite3.Connection]:
    db.execute("BEGIN IMMEDIATE")
    try:
        yield db
        db.execute("COMMIT")
    except BaseException:
        if db.in_transaction:
            db.execute("ROLLBACK")
        raise


def _set(db: sqlite3.Connection, key: str, value: int) -> None:
    db.execute(
        "INSERT INTO meta VALUES (?, ?) ON CONFLICT (key) DO UPDATE SET value = excluded.value", (key, value)
    )


def _connect(path: Path) -> sqlite3.Connection:
    # isolation_level None: transactions are begun by us alone.
    db = sqlite3.connect(path, check_same_thread=False, isolation_level=None)
    try:
        db.execute("PRAGMA journal_mode=WAL").fetchall()
        db.execute("PRAGMA synchronous=FULL")
        db.execute(f"PRAGMA wal_autocheckpoint={_LOG_PAGES}").fetchall()
        db.execute(f"PRAGMA journal_size_limit={_LOG_PAGES * _PAGE_BYTES}").fetchall()
        if not _ended_well(db) and db.execute("PRAGMA quick_check(1)").fetchone()[0] != "ok":
            raise sqlite3.DatabaseError("the file does not pass SQLite's quick_check")
        db.executescript(_SCHEMA)
    except Exception:
        db.close()
        raise
    return db


def _ended_well(db: sqlite3.Connection) -> bool:
    # Checking half a gigabyte takes a Pi some ten seconds: only after a crash or a power cut.
    try:
        row = db.execute("SELECT value FROM meta WHERE key = 'clean'").fetchone()
    except sqlite3.OperationalError:
        return False
    return bool(row and row[0])


def _hold(path: Path) -> IO[str]:
    file = path.open("a+")
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        file.seek(0)
        holder = file.read().strip() or "unknown"
        file.close()
        raise OutboxInUse(
            f"process {holder} already uses the outbox {path.with_suffix('')}; end it first, "
            "or give this device another data folder"
        ) from None
    with contextlib.suppress(OSError):  # a full disk: the lock holds all the same
        file.truncate(0)
        file.write(str(os.getpid()))
        file.flush()
    return file


def _set_aside(path: Path, now: datetime) -> Path:
    for old in path.parent.glob(f"{path.name}.corrupt-*"):
        old.unlink(missing_ok=True)  # one is enough to look at; more would fill the card
    aside = path.with_name(f"{path.name}.corrupt-{now:%Y%m%dT%H%M%S}")
    path.replace(aside)
    wal = path.with_name(path.name + "-wal")
    if wal.exists():
        wal.replace(aside.with_name(aside.name + "-wal"))
    path.with_name(path.name + "-shm").unlink(missing_ok=True)
    return aside


def _readable(path: Path) -> Iterator[OutboxEntry]:
    """Yield what can be read of a damaged file: from its start up to the damage, then from its end down to it."""
    upto = -1
    for order in ("ASC", "DESC"):
        with (
            contextlib.suppress(sqlite3.Error, UnicodeDecodeError),
            contextlib.closing(sqlite3.connect(path)) as db,
        ):
            db.execute("PRAGMA writable_schema=ON")  # else SQLite reads nothing of a file that is too short
            for row in db.execute(f"SELECT seq, kind, t_ms, payload FROM entries ORDER BY seq {order}"):  # noqa: S608
                entry = OutboxEntry(*row)
                if order == "DESC" and entry.seq <= upto:
                    return
                upto = max(upto, entry.seq) if order == "ASC" else upto
                if _is_sound(entry):
                    yield entry
            return  # read from end to end


def _is_sound(entry: OutboxEntry) -> bool:
    try:
        return decode_reading(entry.kind, entry.payload).seq == entry.seq
    except (msgspec.DecodeError, KeyError, TypeError, UnicodeDecodeError, RecursionError):
        return False
