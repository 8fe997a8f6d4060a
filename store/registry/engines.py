"""The two kinds of engine behind the registry, and how each keeps writers apart (docs/decisions/0007)."""

from __future__ import annotations

from typing import Final

from sqlalchemy import URL, Connection, Engine, create_engine, event
from sqlalchemy.engine.interfaces import DBAPIConnection
from sqlalchemy.pool import ConnectionPoolEntry

PATIENCE_S: Final = 10.0
"""How long a writer waits for its turn before it says that the registry does not answer."""
_READ_ONLY: Final = "quietwater_read_only"
_FILE_POOL: Final = 40
_SERVER_POOL: Final = 10
WRITERS_TURN: Final = 0x7177_7265_6769
"""Key of the advisory lock that a writing transaction holds on PostgreSQL: the letters ``qwregi``."""
_TURN: Final = (
    f"SELECT pg_advisory_xact_lock({WRITERS_TURN}), "
    "set_config('idle_in_transaction_session_timeout', '10s', true)"
)
_LIBPQ: Final = {
    "connect_timeout": 5, "keepalives_idle": 10, "keepalives_interval": 3, "keepalives_count": 3,
    "tcp_user_timeout": 20_000, "application_name": "quietwater",
    "client_encoding": "utf8",
}  # fmt: skip
"""A server that is gone without a word is noticed in some twenty seconds, not in two hours."""


def for_reading(engine: Engine) -> Engine:
    """Return the engine's view for readers: one snapshot, no turn to wait for, nothing written."""
    if engine.dialect.name == "sqlite":
        return engine.execution_options(**{_READ_ONLY: True})
    return engine.execution_options(
        **{_READ_ONLY: True}, isolation_level="REPEATABLE READ", postgresql_readonly=True
    )


# -- SQLite ----------------------------------------------------------------------------------------------------


def file_engine(url: str | URL, *, patience_s: float = PATIENCE_S) -> Engine:
    """Return an engine on an SQLite file."""

    def pragmas(dbapi: DBAPIConnection, _record: ConnectionPoolEntry) -> None:
        # The driver's own transaction control is off (isolation_level None), so that BEGIN IMMEDIATE below rules:
        # a deferred transaction that turns to writing fails with "database is locked" however long it may wait.
        dbapi.isolation_level = None  # type: ignore[attr-defined]
        cursor = dbapi.cursor()
        wait = f"busy_timeout={round(patience_s * 1000)}"  # first: changing to WAL takes a lock too
        for pragma in (wait, "journal_mode=WAL", "synchronous=FULL", "foreign_keys=ON"):
            cursor.execute(f"PRAGMA {pragma}")
        cursor.close()

    # A file takes as many connections as there are requests at once: one past the pool would be made, with its
    # pragmas, and closed again for each request.
    engine = create_engine(url, pool_size=_FILE_POOL, hide_parameters=True)
    event.listen(engine, "connect", pragmas)
    event.listen(engine, "begin", _sqlite_begin)
    return engine


def _sqlite_begin(connection: Connection) -> None:
    connection.exec_driver_sql("BEGIN" if _reads(connection) else "BEGIN IMMEDIATE")


# -- PostgreSQL ------------------------------------------------------------------------------------------------


def server_engine(url: str | URL, *, patience_s: float = PATIENCE_S) -> Engine:
    """Return an engine on a PostgreSQL server."""
    settings = f"-c lock_timeout={round(patience_s * 1000)} -c timezone=UTC"
    engine = create_engine(
        url, pool_pre_ping=True, pool_size=_SERVER_POOL, pool_timeout=patience_s, hide_parameters=True,
        connect_args={**_LIBPQ, "options": settings},
    )  # fmt: skip
    event.listen(engine, "begin", _postgresql_begin)
    return engine


def _postgresql_begin(connection: Connection) -> None:
    """Take the writers' turn; a process that stops in the middle of it loses it with its connection."""
    if not _reads(connection):
        connection.exec_driver_sql(_TURN)


def _reads(connection: Connection) -> bool:
    return connection.get_execution_options().get(_READ_ONLY, False)
