"""Lets commands of this machine work on an embedded store that a server process holds: ``store.sock`` in its folder.

A DuckDB file belongs to one process. Whoever may write the data folder may use the socket (mode 600): they could read
the file itself if the server were down. A request is one line of JSON; answers are frames of a type, a length and a
payload: ``P`` progress (0 to 1), ``R`` record batch, ``E`` error, ``Z`` the end with a result.
"""

from __future__ import annotations

import os
import socket
import struct
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import datetime
from pathlib import Path
from typing import BinaryIO, Final

import msgspec
import structlog

from store.series.duckdb_store import DuckDbStore
from store.series.export import ExportKind, ExportQuery, packed, parts
from store.series.interface import StoreUnavailable

log = structlog.get_logger(__name__)

NAME: Final = "store.sock"
_HEAD: Final = struct.Struct(">cI")
_MOST_AT_ONCE: Final = 4
_IDLE_S: Final = 600.0
_LONGEST_REQUEST: Final = 8 * 2**20


class CopyRequest(msgspec.Struct, tag_field="do", tag="copy", frozen=True):
    """Copy the store into the new file ``path``."""

    path: str


class ExportRequest(msgspec.Struct, tag_field="do", tag="export", frozen=True):
    """Send the rows of a range."""

    kind: ExportKind
    start: datetime
    end: datetime
    sources: list[tuple[str, str]]
    zones: dict[str, str]


Request = CopyRequest | ExportRequest


class ServerSaid(Exception):
    """The server could not do it; the text is meant for people."""


class NotServed(Exception):
    """Nobody listens at the socket."""


# -- the server's side -----------------------------------------------------------------------------------------


class StoreSocket:
    """Serves the store to commands until :meth:`stop`."""

    def __init__(self, store: DuckDbStore, folder: Path) -> None:
        self._store = store
        self._path = folder / NAME
        self._stopping = threading.Event()
        self._places = threading.BoundedSemaphore(_MOST_AT_ONCE)
        self._busy: set[socket.socket] = set()
        self._lock = threading.Lock()
        self._listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._thread = threading.Thread(target=self._accept, name="store-socket", daemon=True)

    def start(self) -> None:
        """Begin. Raises ``OSError``."""
        self._path.unlink(missing_ok=True)  # of a process that was killed: the lock on the store says so
        with _reachable(self._path) as address:
            mask = os.umask(0o177)
            try:
                self._listener.bind(address)
            finally:
                os.umask(mask)
        self._listener.listen()
        self._thread.start()

    def stop(self) -> None:
        """End what is under way: a copy or an export that is not finished fails."""
        self._stopping.set()
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        with self._lock:
            for one in self._busy:
                with suppress(OSError):
                    one.shutdown(socket.SHUT_RDWR)
        for _ in range(_MOST_AT_ONCE):
            self._places.acquire(timeout=10.0)
        self._path.unlink(missing_ok=True)

    def _accept(self) -> None:
        while not self._stopping.is_set():
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            if not self._places.acquire(blocking=False):
                with connection, suppress(OSError), connection.makefile("wb") as out:
                    _send(
                        out,
                        b"E",
                        f"the server does {_MOST_AT_ONCE} such things already; try again later".encode(),
                    )
                continue
            threading.Thread(
                target=self._serve, args=(connection,), name="store-command", daemon=True
            ).start()

    def _serve(self, connection: socket.socket) -> None:
        with self._lock:
            self._busy.add(connection)
        try:
            connection.settimeout(_IDLE_S)
            with connection, connection.makefile("rb") as line, connection.makefile("wb") as out:
                try:
                    request = msgspec.json.decode(line.readline(_LONGEST_REQUEST), type=Request)
                    _send(out, b"Z", msgspec.json.encode(self._do(request, out)))
                except (StoreUnavailable, ValueError, FileExistsError, msgspec.MsgspecError) as error:
                    _send(out, b"E", str(error).encode())
        except OSError:
            pass  # the command was ended; what it had begun is undone
        except Exception:
            log.exception("a command to the store failed")
        finally:
            with self._lock:
                self._busy.discard(connection)
            self._places.release()

    def _do(self, request: Request, out: BinaryIO) -> object:
        def progress(share: float) -> None:
            _send(out, b"P", msgspec.json.encode(share))

        if isinstance(request, CopyRequest):
            return self._store.copy_to(Path(request.path), progress)
        query = ExportQuery(request.kind, request.start, request.end, request.sources, request.zones)
        for part in parts(self._store, query):
            if part.rows.num_rows:
                _send(out, b"R", packed(part.rows))
            progress(part.done)
        return None


def _send(out: BinaryIO, kind: bytes, payload: bytes) -> None:
    out.write(_HEAD.pack(kind, len(payload)) + payload)
    out.flush()


# -- the command's side ----------------------------------------------------------------------------------------


def ask(folder: Path, request: Request) -> Iterator[float | bytes | dict[str, int] | None]:
    """Have the server that holds the store do something; yield its progress, its rows, and at last its result.

    Raises :class:`NotServed` when no server does, :class:`ServerSaid` with its reason.
    """
    with _connected(folder) as connection, connection.makefile("rwb") as stream:
        stream.write(msgspec.json.encode(request) + b"\n")
        stream.flush()
        while True:
            head = stream.read(_HEAD.size)
            if len(head) < _HEAD.size:
                raise ServerSaid("the server ended before it was done")
            kind, length = _HEAD.unpack(head)
            payload = stream.read(length)
            if kind == b"E":
                raise ServerSaid(payload.decode())
            if kind == b"Z":
                yield msgspec.json.decode(payload, type=dict[str, int] | None)
                return
            yield payload if kind == b"R" else msgspec.json.decode(payload, type=float)


@contextmanager
def _connected(folder: Path) -> Iterator[socket.socket]:
    path = folder / NAME
    connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        try:
            with _reachable(path) as address:
                connection.connect(address)
        except (FileNotFoundError, ConnectionRefusedError) as error:
            raise NotServed(str(path)) from error
        yield connection
    finally:
        connection.close()


@contextmanager
def _reachable(path: Path) -> Iterator[str]:
    """Give an address short enough for a socket, however deep the folder lies."""
    handle = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        short = Path(f"/proc/self/fd/{handle}/{path.name}")
        yield str(short if short.parent.exists() else path)
    finally:
        os.close(handle)
