"""The outbox: every reading waits here until the server says that its store has committed it.

New readings are kept in memory and written to SQLite (WAL) together every few seconds, to spare the SD card; a
reading that the server confirms before that never touches the disk. The interval of these group commits is
therefore what a power cut can take of readings that the server does not have yet.

``seq`` never repeats: a block of numbers is reserved on disk before it is used, and after a crash the count goes on
above whatever may have been sent.
"""

from __future__ import annotations

import contextlib
import itertools
import sqlite3
import threading
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final

import msgspec
import structlog

from contract.codec import encode
from contract.messages import EdgeEvent, Reading
from edge.outbox_entry import DROP_ORDER, Dropped, OutboxEntry, kind_of
from edge.outbox_file import SEQ_BLOCK, OutboxFile, OutboxInUse, Replaced

__all__ = ["Dropped", "Outbox", "OutboxClosed", "OutboxEntry", "OutboxInUse"]

log = structlog.get_logger(__name__)

_MEMORY_LIMIT: Final = 50_000
"""Readings held in memory at most while the disk refuses to take them."""
_LIVE_LIMIT: Final = 2_000
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_NO_BOUND: Final = 1 << 62
_COMMIT_MOST: Final = 1_000
"""Readings in one transaction at most: what a disk that was full for long finds in memory goes in pieces."""


class OutboxClosed(RuntimeError):
    """The outbox takes nothing any more."""


class Outbox:
    """Readings that are not confirmed yet, in memory and in one SQLite file. Thread-safe.

    :meth:`append` never waits for the disk. ``max_bytes`` bounds the file's content. When it is reached the oldest
    seconds go first, then minutes, events, and water last; each drop is told by a ``readings_dropped`` event in the
    outbox itself, written in the same transaction. A file that SQLite cannot read is set aside as ``*.corrupt-…``,
    what can still be read is taken over, and an ``outbox_replaced`` event tells it.
    """

    def __init__(
        self, path: Path, *, now: datetime, max_bytes: int = 512 << 20, memory_limit: int = _MEMORY_LIMIT
    ) -> None:
        """Open or make the outbox at ``path``.

        Raises :class:`OutboxInUse` when another process holds it, ``OSError`` if the folder cannot be made or written.
        """
        self._path = path
        self._max_bytes = max_bytes
        self._disk_bytes = max_bytes
        """What a disk that is full has room for."""
        self._memory_limit = memory_limit
        self._lock = threading.RLock()
        """Guards what is in memory; held for moments only."""
        self._file_lock = threading.RLock()
        """Guards the file; held while the disk works. Taken before ``_lock``, never after."""
        self._fresh: dict[int, OutboxEntry] = {}
        self._writing: dict[int, OutboxEntry] = {}
        self._gone: set[int] = set()
        """Confirmed, and still on disk."""
        self._live: dict[int, OutboxEntry] = {}
        self._wake = threading.Event()
        self._last_event_ms = 0
        self._troubled = False
        self._closed = False
        self.dropped_total = 0
        self.refused_total = 0
        self._file = OutboxFile(path, now)
        self._next_seq = self._file.next_seq or int(now.timestamp() * 1000)
        if self._file.replaced is not None:
            self._tell_replaced(self._file.replaced, now)

    # -- writing -----------------------------------------------------------------------------------------------

    def append(self, reading: Reading) -> int:
        """Take a reading in, number it, and return its ``seq``. It is durable after the next :meth:`commit`.

        Raises :class:`OutboxClosed` after :meth:`close`. Events are told to the millisecond, and no two at the same:
        the time is part of a reading's identity.
        """
        with self._lock:
            if self._closed:
                raise OutboxClosed("the outbox is closed")
            entry = self._number(reading)
            self._fresh[entry.seq] = entry
            self._live[entry.seq] = entry
            if len(self._live) > _LIVE_LIMIT:  # nobody sends: the backlog will carry them
                for seq in list(itertools.islice(self._live, _LIVE_LIMIT // 2)):
                    del self._live[seq]
            self._wake.set()
            if len(self._fresh) > self._memory_limit:
                self._shed_memory(reading.t)
            return entry.seq

    def confirm(self, ranges: Iterable[tuple[int, int]]) -> int:
        """Forget what the server has stored (inclusive ranges of ``seq``); return how many that were."""
        return sum(self._forget(first, last) for first, last in ranges)

    def refuse(self, ranges: Iterable[tuple[int, int]]) -> int:
        """Forget what the server will never store and keeps in its quarantine; return how many that were."""
        count = self.confirm(ranges)
        self.refused_total += count
        return count

    def commit(self, now: datetime) -> list[Dropped]:
        """Write what is new, delete what is confirmed, keep the bound, and tell what it pushed out.

        One transaction writes ``_COMMIT_MOST`` readings at most, and is all or nothing. Returns what the bound pushed
        out. A disk that is full or failing is logged once and tried again at the next commit; meanwhile readings stay
        in memory up to a limit.
        """
        with self._file_lock:
            try:
                if self._file.reopen(now):
                    with self._lock:
                        self._next_seq = max(self._next_seq, self._file.next_seq)
                dropped = self._write_all(now, min(self._max_bytes, self._disk_bytes))
            except sqlite3.OperationalError as error:
                return self._disk_trouble(error, now)
            except sqlite3.DatabaseError as error:
                self.replace_corrupt(error, now)
                return []
            self._trouble_over()
            if self._file.keep_spare():
                self._disk_bytes = self._max_bytes
            return dropped

    def replace_corrupt(self, error: sqlite3.DatabaseError, now: datetime) -> None:
        """Set a file aside that turned out corrupt while in use; what is in memory and the count go on."""
        with self._file_lock:
            replaced = self._file.replace(error, now)
            with self._lock:
                self._gone.clear()  # what was salvaged of it is sent again: the store knows it already
                self._next_seq = max(self._next_seq, self._file.next_seq)
                self._tell_replaced(replaced, now)

    def close(self) -> None:
        """Write what is new and close the file; the next start goes on with the very next ``seq``."""
        with self._file_lock:
            with self._lock:
                self._closed = True
            written = True
            try:
                self._write_all(
                    _EPOCH, _NO_BOUND
                )  # nothing is dropped here: the next start's first commit may
            except sqlite3.Error as error:
                written = False
                log.error(
                    "outbox could not be written at its end", path=str(self._path), error=str(error),
                    lost=len(self._fresh),
                )  # fmt: skip
            try:
                self._file.close(self._next_seq if written else None)
            except sqlite3.Error as error:
                log.error("outbox could not be closed", path=str(self._path), error=str(error))

    # -- reading -----------------------------------------------------------------------------------------------

    def wait(self, timeout_s: float) -> bool:
        """Wait until a reading was appended since the last :meth:`take_live`, at most ``timeout_s``."""
        return self._wake.wait(timeout_s)

    def take_live(self) -> list[OutboxEntry]:
        """Return what was appended since the last call, in order, confirmed ones left out."""
        with self._lock:
            taken = list(self._live.values())
            self._live = {}
            self._wake.clear()
            return taken

    def older_than(self, seq: int, limit: int) -> list[OutboxEntry]:
        """Return up to ``limit`` unconfirmed entries below ``seq``, newest first: the backlog.

        What a failing disk does not give is left out.
        """
        with self._file_lock:
            with self._lock:
                waiting = [entry for entry in reversed(self._fresh.values()) if entry.seq < seq][:limit]
                gone = set(self._gone)
            missing = limit - len(waiting)
            if missing <= 0:
                return waiting
            try:
                rows = self._file.below(seq, missing + len(gone))
            except sqlite3.OperationalError as error:
                self._log_trouble(error)
                return waiting
            return waiting + [entry for entry in rows if entry.seq not in gone][:missing]

    @property
    def next_seq(self) -> int:
        """The number that the next reading gets."""
        with self._lock:
            return self._next_seq

    @property
    def first_live(self) -> int:
        """The number of the oldest reading that :meth:`take_live` has not given yet, else that of the next one."""
        with self._lock:
            return next(iter(self._live), self._next_seq)

    def depth(self) -> int:
        """Return how many readings are not confirmed."""
        with self._file_lock, self._lock:
            return self._file.rows + len(self._fresh) - len(self._gone)

    def oldest_t_ms(self) -> int | None:
        """Return the time of the reading that waits longest, Unix milliseconds."""
        try:
            with self._file_lock:
                with self._lock:
                    gone = frozenset(self._gone)
                on_disk = self._file.oldest_t_ms(gone)
        except sqlite3.Error:
            on_disk = None
        if on_disk is not None:
            return on_disk
        with self._lock:
            return next((entry.t_ms for entry in self._fresh.values()), None)

    # -- inside ------------------------------------------------------------------------------------------------

    def _number(self, reading: Reading) -> OutboxEntry:
        if isinstance(reading, EdgeEvent):
            t_ms = max(int(reading.t.timestamp() * 1000), self._last_event_ms + 1)
            self._last_event_ms = t_ms
            reading = msgspec.structs.replace(reading, t=_EPOCH + timedelta(milliseconds=t_ms))
        seq = self._next_seq
        self._next_seq = seq + 1
        numbered = msgspec.structs.replace(reading, seq=seq)
        return OutboxEntry(seq, kind_of(reading), int(reading.t.timestamp() * 1000), encode(numbered))

    def _forget(self, first: int, last: int) -> int:
        count = 0
        with self._lock:
            for seq in _within(self._live, first, last):
                del self._live[seq]
            for seq in _within(self._fresh, first, last):
                del self._fresh[seq]
                count += 1
        if count > last - first:
            return count  # all of it was in memory: the disk need not be asked
        with self._file_lock:
            try:
                on_disk = self._file.seqs(first, last)
            except sqlite3.OperationalError as error:
                self._log_trouble(error)  # it stays, is sent again, and confirmed again
                return count
            with self._lock:
                new = set(on_disk) - self._gone
                self._gone |= new
                return count + len(new)

    def _write_all(self, now: datetime, max_bytes: int) -> list[Dropped]:
        upto = self.next_seq
        dropped = self._write(now, max_bytes)
        while self._oldest_fresh(upto) < upto:
            dropped += self._write(now, max_bytes)
        return dropped

    def _oldest_fresh(self, otherwise: int) -> int:
        with self._lock:
            return next(iter(self._fresh), otherwise)

    def _write(self, now: datetime, max_bytes: int, *, most: int = _COMMIT_MOST) -> list[Dropped]:
        """Write in one transaction. The caller holds ``_file_lock``; ``_lock`` is free while the disk works."""
        with self._lock:
            nearly_used = self._next_seq + SEQ_BLOCK // 2 > self._file.reserved_to
            if not self._fresh and not self._gone and not nearly_used and self._file.bytes <= max_bytes:
                return []
            if len(self._fresh) <= most:
                self._writing, self._fresh = self._fresh, {}
            else:
                self._writing = {seq: self._fresh[seq] for seq in itertools.islice(self._fresh, most)}
                self._fresh = {seq: one for seq, one in self._fresh.items() if seq not in self._writing}
            gone = set(self._gone)
            reserve_to = self._next_seq + SEQ_BLOCK if nearly_used else self._file.reserved_to
        try:
            dropped = self._file.apply(
                self._writing.values(), gone, reserve_to=reserve_to, max_bytes=max_bytes,
                tell=lambda one: self._drop_event(one, now),
            )  # fmt: skip
        except BaseException:
            with self._lock:
                self._fresh = {**self._writing, **self._fresh}
                self._writing = {}
            raise
        with self._lock:
            self._writing = {}
            self._gone -= gone
        self.dropped_total += sum(one.count for one in dropped)
        for one in dropped:
            log.warning("outbox full: oldest readings dropped", kind=one.kind, count=one.count)
        return dropped

    def _drop_event(self, one: Dropped, now: datetime) -> OutboxEntry:
        with self._lock:
            return self._number(EdgeEvent(seq=0, t=now, kind="readings_dropped", detail=one.detail()))

    def _tell_replaced(self, replaced: Replaced, now: datetime) -> None:
        detail = {"cause": replaced.cause, "salvaged": replaced.salvaged, "kept_as": replaced.kept_as.name}
        self.append(EdgeEvent(seq=0, t=now, kind="outbox_replaced", detail=detail))
        with contextlib.suppress(sqlite3.Error):  # at once if it can be: a crash must not keep it untold
            self._write(now, self._max_bytes)

    def _disk_trouble(self, error: sqlite3.OperationalError, now: datetime) -> list[Dropped]:
        self._log_trouble(error)
        if "full" not in str(error):
            return []
        try:
            self._file.make_room()
            # From now on the file does not grow, until the disk has plenty: the oldest make room for the newest.
            self._disk_bytes = min(self._max_bytes, self._file.holds_bytes())
            before = self._file.bytes
            dropped = self._write(now, self._disk_bytes, most=0)
            room = max(before, self._disk_bytes) - self._file.bytes
            return dropped + self._write(now, self._disk_bytes, most=self._fitting(room))
        except sqlite3.OperationalError:
            return []

    def _fitting(self, room_bytes: int) -> int:
        with self._lock:
            costs = itertools.accumulate(entry.cost_bytes for entry in self._fresh.values())
            return sum(1 for _ in itertools.takewhile(lambda cost: cost <= room_bytes, costs))

    def _log_trouble(self, error: sqlite3.OperationalError) -> None:
        if not self._troubled:
            log.error(
                "outbox cannot be used; readings stay in memory", path=str(self._path), error=str(error)
            )
        self._troubled = True

    def _trouble_over(self) -> None:
        if self._troubled:
            log.info("outbox can be written again", path=str(self._path))
        self._troubled = False

    def _shed_memory(self, now: datetime) -> None:
        for kind in DROP_ORDER:
            seqs = [e.seq for e in self._fresh.values() if e.kind == kind][: max(1, self._memory_limit // 10)]
            if seqs:
                for seq in seqs:
                    del self._fresh[seq]
                    self._live.pop(seq, None)
                self.dropped_total += len(seqs)
                one = Dropped(kind, len(seqs), seqs[0], seqs[-1])
                log.error("outbox memory full: oldest readings dropped", kind=kind, count=len(seqs))
                self.append(EdgeEvent(seq=0, t=now, kind="readings_dropped", detail=one.detail()))
                return


def _within(entries: dict[int, OutboxEntry], first: int, last: int) -> list[int]:
    if last - first < len(entries):
        return [seq for seq in range(first, last + 1) if seq in entries]
    return [seq for seq in entries if first <= seq <= last]
