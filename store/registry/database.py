"""Open the registry: engine, migrations, sessions."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from alembic import command
from alembic.config import Config
from sqlalchemy import Connection, Engine, create_engine, event
from sqlalchemy.engine.interfaces import DBAPIConnection
from sqlalchemy.exc import InterfaceError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from sqlalchemy.orm import Session, sessionmaker
from sqlalchemy.pool import ConnectionPoolEntry

from store.registry import dossier_models as _dossier_models  # noqa: F401 - its tables belong to the schema
from store.registry import handling as _handling  # noqa: F401 - as above

MIGRATIONS = Path(__file__).parent / "migrations"
_READ_ONLY = "quietwater_read_only"
_FILE_POOL = 40
_SERVER_POOL = 10


class RegistryUnavailable(Exception):
    """The registry cannot answer now (locked, disk full, server away); nothing of the session was committed."""


class Registry:
    """The registry's database: SQLite (WAL) by default, PostgreSQL where several processes write.

    Opening it brings the schema to the newest version (Alembic). Methods block; sessions may be used from any
    thread, one thread each.
    """

    def __init__(self, url: str) -> None:
        """Open ``url``, a SQLAlchemy address such as ``sqlite:////var/lib/quietwater/registry.sqlite``."""
        self.url = url
        self._engine = _engine(url)
        with self._engine.begin() as connection:
            migrate(connection)
        self._sessions = sessionmaker(self._engine, expire_on_commit=False)
        reading = self._engine.execution_options(**{_READ_ONLY: True})
        self._readers = sessionmaker(reading, expire_on_commit=False)

    @classmethod
    def in_folder(cls, folder: Path) -> Registry:
        """Open (or make) the SQLite registry in a data folder."""
        folder.mkdir(parents=True, exist_ok=True)
        return cls(f"sqlite:///{folder / 'registry.sqlite'}")

    @contextmanager
    def session(self) -> Iterator[Session]:
        """Yield a session that may write; commit at its end, roll back on an exception.

        Raises :class:`RegistryUnavailable`.
        """
        with _told_apart(), self._sessions.begin() as session:
            yield session

    @contextmanager
    def reader(self) -> Iterator[Session]:
        """Yield a session for reading; it never waits for a writer, and what it changes is rolled back.

        Raises :class:`RegistryUnavailable`.
        """
        with _told_apart(), self._readers() as session:
            yield session

    def close(self) -> None:
        """Close all connections."""
        self._engine.dispose()


@contextmanager
def _told_apart() -> Iterator[None]:
    try:
        yield
    except (OperationalError, InterfaceError, PoolTimeout) as error:
        cause = getattr(error, "orig", None) or error
        raise RegistryUnavailable(f"the registry does not answer: {cause}") from error


def migrate(connection: Connection) -> None:
    """Bring the schema on an open connection to the newest version."""
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS))
    config.attributes["connection"] = connection
    command.upgrade(config, "head")


def _engine(url: str) -> Engine:
    sqlite = url.startswith("sqlite")
    # A file takes as many connections as there are requests at once: one past the pool would be made, with its
    # pragmas, and closed again for each request.
    engine = create_engine(url, pool_pre_ping=not sqlite, pool_size=_FILE_POOL if sqlite else _SERVER_POOL)
    if engine.dialect.name == "sqlite":
        event.listen(engine, "connect", _sqlite_pragmas)
        event.listen(engine, "begin", _sqlite_begin)
    return engine


def _sqlite_pragmas(dbapi: DBAPIConnection, _record: ConnectionPoolEntry) -> None:
    # The driver's own transaction control is off (isolation_level None), so that BEGIN IMMEDIATE below rules:
    # a deferred transaction that turns to writing fails with "database is locked" however long it may wait.
    dbapi.isolation_level = None  # type: ignore[attr-defined]
    cursor = dbapi.cursor()
    for pragma in ("journal_mode=WAL", "synchronous=FULL", "foreign_keys=ON", "busy_timeout=10000"):
        cursor.execute(f"PRAGMA {pragma}")
    cursor.close()


def _sqlite_begin(connection: Connection) -> None:
    reading = connection.get_execution_options().get(_READ_ONLY, False)
    connection.exec_driver_sql("BEGIN" if reading else "BEGIN IMMEDIATE")
