"""Open the registry: engine, migrations, sessions."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

from alembic import command
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import URL, Connection, Engine
from sqlalchemy.exc import DBAPIError, InterfaceError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from sqlalchemy.orm import Session, sessionmaker

from store.registry import dossier_models as _dossier_models  # noqa: F401 - its tables belong to the schema
from store.registry import fleet_models as _fleet_models  # noqa: F401 - likewise
from store.registry import handling as _handling  # noqa: F401 - as above
from store.registry import lease_models as _lease_models  # noqa: F401 - as above
from store.registry.engines import file_engine, for_reading, server_engine

MIGRATIONS = Path(__file__).parent / "migrations"
_MIGRATION_PATIENCE_S: Final = 300.0
"""How long a process waits for another one that brings the schema up to date."""
_STANDBY: Final = "25006"
"""What a server that only follows another one says to who wants to write."""
_UNAVAILABLE: Final = ("08", "25P03", "28", "3D000", "40", "42501", "53", "55P03", "57", "58", "XX")
"""SQLSTATE, or their beginnings, that speak of the server and not of what it was asked."""


class RegistryUnavailable(Exception):
    """The registry cannot answer now (locked, disk full, server away); nothing of the session was committed."""


class Registry:
    """The registry's database: SQLite (WAL) by default, PostgreSQL where several machines write.

    Opening it brings the schema to the newest version (Alembic). Methods block; sessions may be used from any
    thread, one thread each.
    """

    def __init__(self, url: str | URL) -> None:
        """Open ``url``, an SQLAlchemy address such as ``sqlite:////var/lib/quietwater/registry.sqlite``.

        Raises :class:`RegistryUnavailable`.
        """
        self._engine = _engine(url)
        try:
            with _told_apart(_STANDBY):
                self._bring_up_to_date(url)
        except BaseException:
            self._engine.dispose()
            raise
        self._sessions = sessionmaker(self._engine, expire_on_commit=False)
        self._readers = sessionmaker(for_reading(self._engine), expire_on_commit=False)

    @classmethod
    def in_folder(cls, folder: Path) -> Registry:
        """Open (or make) the SQLite registry in a data folder."""
        return cls.in_file(folder / "registry.sqlite")

    @classmethod
    def in_file(cls, path: Path) -> Registry:
        """Open (or make) an SQLite registry."""
        path.parent.mkdir(parents=True, exist_ok=True)
        return cls(URL.create("sqlite", database=str(path)))

    @classmethod
    def on_server(
        cls, *, host: str, database: str, port: int | None = None, username: str | None = None,
        password: str | None = None, options: Mapping[str, str] | None = None,
    ) -> Registry:  # fmt: skip
        """Open a database of a PostgreSQL server; ``host`` may be the folder of its socket, ``options`` are libpq's.

        What is not given libpq takes from where it always does (PGUSER, PGPASSWORD, ~/.pgpass).
        """
        return cls(server_url(host, database, port, username, password, options or {}))

    @property
    def dialect(self) -> str:
        """``sqlite`` or ``postgresql``."""
        return self._engine.dialect.name

    @contextmanager
    def session(self) -> Iterator[Session]:
        """Yield a session that may write; commit at its end, roll back on an exception.

        Sessions that may write follow one another, on either database and across processes: what one reads nobody
        else changes before it commits. Raises :class:`RegistryUnavailable`.
        """
        with _told_apart(_STANDBY), self._sessions.begin() as session:
            yield session

    @contextmanager
    def reader(self) -> Iterator[Session]:
        """Yield a session for reading: one state of the registry, of which nothing can be changed.

        It never waits for a writer. Raises :class:`RegistryUnavailable`.
        """
        with _told_apart(), self._readers() as session:
            yield session

    def close(self) -> None:
        """Close all connections."""
        self._engine.dispose()

    def _bring_up_to_date(self, url: str | URL) -> None:
        with for_reading(self._engine).connect() as connection:
            _demand_unicode(connection)
            if MigrationContext.configure(connection).get_current_revision() == newest_revision():
                return
        # The writers' turn keeps two processes that start at once apart: the second finds nothing left to do.
        patient = _engine(url, patience_s=_MIGRATION_PATIENCE_S)
        try:
            with patient.begin() as connection:
                migrate(connection)
        finally:
            patient.dispose()


def _demand_unicode(connection: Connection) -> None:
    """Refuse a database that counts bytes for letters: names in Chinese would not fit into their columns."""
    if connection.dialect.name != "postgresql":
        return
    encoding = connection.exec_driver_sql("SHOW server_encoding").scalar_one()
    if encoding != "UTF8":
        name = connection.engine.url.database
        raise RegistryUnavailable(
            f"the registry's database {name} is encoded in {encoding}; make one with: "
            f"createdb --encoding UTF8 --template template0 {name}"
        )


@contextmanager
def _told_apart(*more: str) -> Iterator[None]:
    try:
        yield
    except (OperationalError, InterfaceError, PoolTimeout) as error:
        raise _unavailable(error) from error
    except DBAPIError as error:
        if not (getattr(error.orig, "sqlstate", None) or "").startswith((*_UNAVAILABLE, *more)):
            raise
        raise _unavailable(error) from error


def _unavailable(error: Exception) -> RegistryUnavailable:
    cause = " ".join(str(getattr(error, "orig", None) or error).split())
    return RegistryUnavailable(f"the registry does not answer: {cause}")


def migrate(connection: Connection) -> None:
    """Bring the schema on an open connection to the newest version."""
    config = _alembic()
    config.attributes["connection"] = connection
    command.upgrade(config, "head")


def server_url(
    host: str, database: str, port: int | None, username: str | None, password: str | None, options: Mapping[str, str]
) -> URL:  # fmt: skip
    """Return the address of a database as SQLAlchemy has it."""
    query = {"host": host, **options, **({"port": str(port)} if port else {})}
    return URL.create("postgresql+psycopg", username, password, database=database, query=query)


def present_revision(url: URL) -> str | None:
    """Return the revision of a registry as it is, ``None`` before it was made. Raises :class:`RegistryUnavailable`."""
    engine = _engine(url)
    try:
        with _told_apart(), for_reading(engine).connect() as connection:
            return MigrationContext.configure(connection).get_current_revision()
    finally:
        engine.dispose()


def newest_revision() -> str:
    """Return the schema's revision that this version makes."""
    return ScriptDirectory.from_config(_alembic()).get_current_head() or ""


def _alembic() -> Config:
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS))
    return config


def _engine(url: str | URL, **settings: Any) -> Engine:
    make = file_engine if str(url).startswith("sqlite") else server_engine
    return make(url, **settings)
