"""A real PostgreSQL for the tests: in a folder of its own, on a free port, with a database for each test."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import threading
import uuid
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import psycopg

from store.registry.address import PostgresAddress

_FAST = ("fsync=off", "synchronous_commit=off", "full_page_writes=off", "shared_buffers=32MB", "max_connections=60",
         "autovacuum=off", "log_min_messages=warning")  # fmt: skip
DURABLE = ("fsync=on", "synchronous_commit=on", "full_page_writes=on")
"""For tests that kill it: what was committed is there afterwards."""
PASSWORD = "registry test: p@ss/word %41"
_EMPTY, _MIGRATED = "template0", "quietwater_template"


def programs() -> Path | None:
    """Return the folder of PostgreSQL's programs: Debian keeps them beside the PATH."""
    if found := shutil.which("postgres"):
        return Path(found).parent
    there = sorted(Path("/usr/lib/postgresql").glob("*/bin/postgres"), key=lambda path: int(path.parts[-3]))
    return there[-1].parent if there else None


@dataclass(slots=True)
class PostgresServer:
    """A running server; :meth:`kill` and :meth:`start` interrupt it as a power cut would."""

    bin: Path
    folder: Path
    port: int
    settings: Sequence[str]
    user: str = "quietwater"
    process: subprocess.Popen[bytes] | None = None
    _template: bool = field(default=False)

    def start(self) -> None:
        """Start it and wait until it takes connections."""
        words = [word for one in (*_FAST, *self.settings) for word in ("-c", one)]
        with (self.folder / "log").open("ab") as log:
            self.process = subprocess.Popen(
                [*_as_its_user(), self.bin / "postgres", "-D", self.folder / "data", "-p", str(self.port),
                 "-c", "listen_addresses=127.0.0.1", "-k", self.folder, *words],
                stdout=log, stderr=log, cwd=self.folder,
            )  # fmt: skip
        waiting = threading.Event()
        for _ in range(600):
            if self.process.poll() is not None:
                break
            with contextlib.suppress(psycopg.OperationalError), self.admin():
                return
            waiting.wait(0.05)
        raise RuntimeError(f"PostgreSQL does not answer: {(self.folder / 'log').read_text()[-2000:]}")

    def kill(self) -> None:
        """End it at once with all its children, as kill -9 on each of them."""
        self._end(signal.SIGKILL)

    def stop(self) -> None:
        """End it in order, and its clients' transactions with it."""
        self._end(signal.SIGINT)

    def freeze(self) -> None:
        """Stop every one of its processes until :meth:`thaw`."""
        self._signal(signal.SIGSTOP)

    def thaw(self) -> None:
        self._signal(signal.SIGCONT)

    def admin(self, database: str = "postgres") -> psycopg.Connection:
        """Return a connection of the superuser."""
        return psycopg.connect(
            host="127.0.0.1", port=self.port, user=self.user, password=PASSWORD, dbname=database, autocommit=True,
            connect_timeout=5,
        )  # fmt: skip

    def address(self, database: str, **changes: object) -> PostgresAddress:
        """Return the address of a database."""
        values: dict[str, object] = {
            "host": "127.0.0.1", "port": self.port, "database": database, "username": self.user, "password": PASSWORD,
            **changes,
        }  # fmt: skip
        return PostgresAddress(**values)  # type: ignore[arg-type]

    def make_database(self, template: str | None = None) -> str:
        """Make a database, migrated already unless another template is named (``template0`` for an empty one)."""
        if template is None and not self._template:
            self._create(_MIGRATED, _EMPTY)
            self.address(_MIGRATED).open().close()
            self._template = True
        name = f"qw_{uuid.uuid4().hex[:12]}"
        self._create(name, template or _MIGRATED)
        return name

    def drop_database(self, name: str) -> None:
        with self.admin() as connection:
            connection.execute(f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)')

    @contextmanager
    def database(self, template: str | None = None) -> Iterator[PostgresAddress]:
        """Make a database for the length of a block."""
        name = self.make_database(template)
        try:
            yield self.address(name)
        finally:
            self.drop_database(name)

    def _create(self, name: str, template: str) -> None:
        with self.admin() as connection:
            connection.execute(f'CREATE DATABASE "{name}" TEMPLATE "{template}" STRATEGY FILE_COPY')

    def _signal(self, number: int) -> None:
        assert self.process is not None
        for one in _family(self.process.pid):
            with contextlib.suppress(ProcessLookupError):
                os.kill(one, number)

    def _end(self, number: int) -> None:
        if self.process is None:
            return
        family = _family(self.process.pid)
        for one in family if number == signal.SIGKILL else family[:1]:
            with contextlib.suppress(ProcessLookupError):
                os.kill(one, number)
        self.process.wait(30)
        self.process = None


def _family(pid: int) -> list[int]:
    """Return the postmaster and its children, the postmaster first: it would start new ones."""
    children = Path(f"/proc/{pid}/task/{pid}/children")
    return [pid, *map(int, children.read_text().split())] if children.exists() else [pid]


def _as_its_user() -> list[str]:
    """PostgreSQL refuses to run as root; Debian's package makes a user for it. It ends when its starter does."""
    if os.geteuid() != 0:
        return []
    return ["setpriv", "--reuid=postgres", "--regid=postgres", "--clear-groups", "--pdeathsig=KILL"]


@contextmanager
def postgresql(bin_folder: Path, *settings: str) -> Iterator[PostgresServer]:
    """Run a new server, in a folder that is gone afterwards; connections need :data:`PASSWORD`."""
    # Not below pytest's folder, which only its owner may enter.
    folder = Path(tempfile.mkdtemp(prefix="qwpg-"))
    try:
        (folder / "password").write_text(PASSWORD)
        if os.geteuid() == 0:
            for path in (folder, folder / "password"):
                shutil.chown(path, "postgres", "postgres")
        subprocess.run(
            [*_as_its_user(), bin_folder / "initdb", "-D", folder / "data", "-U", "quietwater", "--no-sync",
             "-A", "scram-sha-256", f"--pwfile={folder / 'password'}", "-E", "UTF8", "--locale=C.UTF-8"],
            check=True, capture_output=True, cwd=folder,
        )  # fmt: skip
        server = PostgresServer(bin_folder, folder, _free_port(), settings)
        try:
            server.start()
            yield server
        finally:
            server.kill()
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]
