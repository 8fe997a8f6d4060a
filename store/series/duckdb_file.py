"""One DuckDB file, owned by one process: connections, transactions, and what DuckDB's errors mean for us.

DuckDB is a library: one *instance* in one process holds the file, and any number of connections share it under
MVCC. So a reader works on the snapshot it began with and never waits for a writer; writers take turns here,
because two that append to one table at once would make one of them fail. A commit has been written to the
write-ahead log and synced to the disk when it returns.
"""

from __future__ import annotations

import re
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Final

import duckdb
import numpy as np

from store.series.interface import StoreUnavailable

Columns = Mapping[str, np.ndarray]
"""A batch to write: arrays of one length; a masked element is NULL."""

Params = Sequence[object] | Mapping[str, object]

_CHECKPOINT: Final = "64MB"
# DuckDB would write batches above an estimated size straight into the file and hold up other commits meanwhile.
_NEVER_SKIP_THE_LOG: Final = 10**12
_REOPEN_WAIT_S: Final = 30.0


class UnusableStoreFile(StoreUnavailable):
    """The file is damaged, is no store of ours, or comes from a newer version: somebody has to act."""


class Connection:
    """A connection inside a transaction of :class:`DuckDbFile`."""

    def __init__(self, inner: duckdb.DuckDBPyConnection) -> None:
        self._inner = inner
        self.committed: list[Callable[[], None]] = []

    def after_commit(self, act: Callable[[], None]) -> None:
        """Have ``act`` called once the transaction is committed, before the next writer's turn."""
        self.committed.append(act)

    def rows(self, sql: str, params: Params = ()) -> list[tuple[Any, ...]]:
        """Run a statement and return its rows."""
        return self._inner.execute(sql, _bound(params)).fetchall()

    def columns(self, sql: str, params: Params = ()) -> dict[str, np.ndarray]:
        """Run a query and return its columns; one with NULLs comes as a masked array."""
        return self._inner.execute(sql, _bound(params)).fetchnumpy()

    def execute(self, sql: str, params: Params = ()) -> None:
        """Run a statement."""
        self._inner.execute(sql, _bound(params))

    def execute_with(self, batch: Columns, sql: str) -> None:
        """Run a statement that reads the table ``batch``."""
        self._inner.register("batch", dict(batch))
        try:
            self._inner.execute(sql)
        finally:
            self._inner.unregister("batch")

    def rows_with(self, batch: Columns, sql: str) -> list[tuple[Any, ...]]:
        """Run a query that reads the table ``batch``."""
        self._inner.register("batch", dict(batch))
        try:
            return self._inner.execute(sql).fetchall()
        finally:
            self._inner.unregister("batch")

    def columns_with(self, batch: Columns, sql: str, params: Params = ()) -> dict[str, np.ndarray]:
        """Run a query that reads the table ``batch`` and return its columns."""
        self._inner.register("batch", dict(batch))
        try:
            return self.columns(sql, params)
        finally:
            self._inner.unregister("batch")


class DuckDbFile:
    """Opens the file and lends connections. Methods may be called from any thread.

    ``generation`` rises when the instance had to be opened again after a fatal error (a full disk, say): what was
    kept in memory about the file has to be read anew.
    """

    def __init__(self, path: Path, *, memory_mb: int, threads: int | None) -> None:
        """Open or make ``path``. Raises ``StoreUnavailable`` or :class:`UnusableStoreFile`."""
        self.path = path
        self.generation = 0
        self._config: dict[str, str | bool | int | float | list[str]] = {"memory_limit": f"{memory_mb}MB"}
        if threads:
            self._config["threads"] = threads
        self._state = threading.Condition()
        self._writing = threading.Lock()
        self._besides = threading.Lock()
        self._idle: list[duckdb.DuckDBPyConnection] = []
        self._lent = 0
        self._closed = False
        self._main: duckdb.DuckDBPyConnection | None = None
        with _translated(path):
            self._main = self._connect()

    @contextmanager
    def read(self) -> Iterator[Connection]:
        """Lend a connection in a read-only transaction: every query in it sees one state of the store."""
        with self._lend() as inner:
            inner.execute("BEGIN TRANSACTION READ ONLY")
            try:
                yield Connection(inner)
            finally:
                _rollback(inner)

    @contextmanager
    def write(self) -> Iterator[Connection]:
        """Lend a connection in a transaction; commit at the end, roll back on an exception. Writers take turns."""
        with self._writing, self._lend() as inner:
            inner.execute("BEGIN TRANSACTION")
            connection = Connection(inner)
            try:
                yield connection
                inner.execute("COMMIT")
            except BaseException:
                _rollback(inner)
                raise
            for act in connection.committed:
                act()

    @contextmanager
    def outside_transactions(self) -> Iterator[Connection]:
        """Lend a connection for statements that manage transactions themselves; keeps writers out."""
        with self._writing, self._lend() as inner:
            yield Connection(inner)

    @contextmanager
    def beside(self, path: Path) -> Iterator[tuple[Connection, str]]:
        """Lend a connection, in a transaction, in which names without a prefix are those of the file ``path``.

        The second value is the prefix of the store's own names. One at a time: ``StoreUnavailable`` for a second.
        """
        if not self._besides.acquire(blocking=False):
            raise StoreUnavailable(f"the store {self.path} is being copied already")
        try:
            with self._lend() as inner:
                ((name, threads),) = inner.execute(
                    "SELECT current_database(), current_setting('threads')"
                ).fetchall()
                inner.execute(f"ATTACH '{str(path).replace(chr(39), chr(39) * 2)}' AS beside")
                try:
                    # Several threads fill blocks of their own, and the file would be twice as large.
                    inner.execute("SET threads = 1")
                    inner.execute("USE beside")
                    inner.execute("BEGIN TRANSACTION")
                    yield Connection(inner), f'"{name}"'
                    inner.execute("COMMIT")
                except BaseException:
                    _rollback(inner)
                    raise
                finally:
                    with suppress(duckdb.Error):  # of an error the first one is on its way up
                        inner.execute(f"SET threads = {threads}")
                        inner.execute(f'USE "{name}"')
                        inner.execute("DETACH beside")
        finally:
            self._besides.release()

    def close(self) -> None:
        """Wait for what is under way, then write the log into the file and release it. Closing twice is fine."""
        with self._state:
            self._closed = True
            self._state.wait_for(lambda: self._lent == 0, timeout=_REOPEN_WAIT_S)
            self._drop_connections()

    @contextmanager
    def _lend(self) -> Iterator[duckdb.DuckDBPyConnection]:
        with _translated(self.path):
            inner, generation = self._take()
        fatal = False
        try:
            with _translated(self.path):
                yield inner
        except StoreUnavailable as error:
            fatal = _ends_the_instance(error)
            raise
        finally:
            self._give_back(inner, generation, fatal=fatal)

    def _take(self) -> tuple[duckdb.DuckDBPyConnection, int]:
        with self._state:
            if self._closed:
                raise StoreUnavailable(f"the store {self.path} is closed")
            if self._main is None:
                self._reopen()
            assert self._main is not None
            inner = self._idle.pop() if self._idle else self._main.cursor()
            self._lent += 1
            return inner, self.generation

    def _give_back(self, inner: duckdb.DuckDBPyConnection, generation: int, *, fatal: bool) -> None:
        with self._state:
            self._lent -= 1
            if generation == self.generation and not fatal and not self._closed and self._main is not None:
                self._idle.append(inner)
            else:
                inner.close()
            if fatal:
                self._drop_connections()
            self._state.notify_all()

    def _reopen(self) -> None:
        # The instance is gone only when its last connection is: those that are lent fail soon and come back.
        if not self._state.wait_for(lambda: self._lent == 0, timeout=_REOPEN_WAIT_S):
            raise StoreUnavailable(f"the store {self.path} is being opened again after an error")
        if self._main is None:
            self._main = self._connect()
            self.generation += 1

    def _connect(self) -> duckdb.DuckDBPyConnection:
        connection = duckdb.connect(str(self.path), config=self._config)
        connection.execute(f"SET checkpoint_threshold='{_CHECKPOINT}'")
        connection.execute(f"SET auto_checkpoint_skip_wal_threshold={_NEVER_SKIP_THE_LOG}")
        connection.execute("SET TimeZone='UTC'")
        return connection

    def _drop_connections(self) -> None:
        for one in self._idle:
            one.close()
        self._idle.clear()
        if self._main is not None:
            self._main.close()
            self._main = None


def _bound(params: Params) -> object:
    return dict(params) if isinstance(params, Mapping) else list(params)


def _rollback(inner: duckdb.DuckDBPyConnection) -> None:
    try:
        inner.execute("ROLLBACK")
    except duckdb.Error:
        return  # DuckDB has rolled back by itself: the error that made it do so is on its way up


@contextmanager
def _translated(path: Path) -> Iterator[None]:
    try:
        yield
    except _MISTAKES_OF_OURS:
        raise
    except duckdb.Error as error:
        raise _meaning(path, error) from error


# A wrong statement is a bug to be seen, not a store to be waited for.
_MISTAKES_OF_OURS: Final = (
    duckdb.BinderException, duckdb.CatalogException, duckdb.ConstraintException, duckdb.ConversionException,
    duckdb.InvalidInputException, duckdb.NotImplementedException, duckdb.OutOfRangeException,
    duckdb.ParserException, duckdb.SyntaxException, duckdb.TypeMismatchException,
)  # fmt: skip


def _meaning(path: Path, error: duckdb.Error) -> StoreUnavailable:
    cause = str(error)
    if isinstance(error, duckdb.OutOfMemoryException):
        return StoreUnavailable(
            f"the store {path} ran out of its memory limit: ask for a shorter range, or raise the limit"
        )
    damaged = (
        "not a valid DuckDB",
        "version number",
        "Corrupt",
        "checksum",
        "deserialize",
        "Could not read enough",
    )
    if isinstance(error, duckdb.SerializationException) or any(sign in cause for sign in damaged):
        return UnusableStoreFile(_unusable(path, cause))
    return StoreUnavailable(_unavailable(path, cause))


def _ends_the_instance(error: StoreUnavailable) -> bool:
    # After a commit that could not be written the log may end in half an entry; what came after it would be
    # lost at the next start. Opening the file again cuts it off.
    cause = error.__cause__
    return isinstance(cause, duckdb.FatalException | duckdb.InternalException) or "Failed to commit" in str(
        cause
    )


def _unusable(path: Path, cause: str) -> str:
    return (
        f"{path} cannot be read as a store: {_first_line(cause)}; "
        "restore a backup, or move the file away to start with an empty one"
    )


def _unavailable(path: Path, cause: str) -> str:
    if "lock" in cause and (holder := re.search(r"PID (\d+)", cause)):
        return f"process {holder[1]} has the store {path} open; end it first, or give this one another data folder"
    if "No space left" in cause or "File too large" in cause or "quota" in cause.lower():
        return f"no space left for the store {path}: free some space on its disk; nothing that was committed is lost"
    return f"the store {path} does not answer: {_first_line(cause)}"


def _first_line(text: str) -> str:
    return text.strip().splitlines()[0] if text.strip() else "no reason given"
