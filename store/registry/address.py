"""Where the registry is: a file of the data folder, or a PostgreSQL server; and how to open it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Final
from urllib.parse import parse_qsl, quote, unquote, urlsplit

if TYPE_CHECKING:
    from store.registry.database import Registry

VARIABLE: Final = "QUIETWATER_REGISTRY"
PASSWORD_VARIABLE: Final = "QUIETWATER_REGISTRY_PASSWORD"  # noqa: S105  the name of a variable
FILE_NAME: Final = "registry.sqlite"
EXAMPLES: Final = (
    "postgresql://quietwater@db.example/quietwater or sqlite:////var/lib/quietwater/registry.sqlite"
)
_SCHEMES: Final = ("postgresql", "postgres")
_OPTIONS: Final = frozenset(
    {"host", "port", "sslmode", "sslrootcert", "sslcert", "sslkey", "sslcrl", "channel_binding", "target_session_attrs",
     "gssencmode", "application_name", "passfile", "service"}
)  # fmt: skip
"""What libpq may be told in the address; no secrets among them."""


class BadRegistryAddress(ValueError):
    """The address cannot be used; the message says why and what to write instead."""


class NoRegistry(LookupError):
    """There is no registry where a command looks for one that a server has made."""


@dataclass(frozen=True, slots=True)
class SqliteAddress:
    """A file, which processes of one machine may share."""

    path: Path

    def __str__(self) -> str:
        return f"sqlite:///{self.path}"

    def open(self) -> Registry:
        """Open (or make) it. Raises ``RegistryUnavailable`` and ``OSError``."""
        from store.registry.database import (
            Registry,
        )  # late: the Pi reads the same command line without SQLAlchemy

        return Registry.in_file(self.path)


@dataclass(frozen=True, slots=True)
class PostgresAddress:
    """A database of a PostgreSQL server; ``str`` of it shows no password."""

    host: str
    database: str
    username: str | None = None
    port: int | None = None
    password: str | None = field(default=None, repr=False)
    options: tuple[tuple[str, str], ...] = ()

    def __str__(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else quote(self.host, safe="")
        user = f"{quote(self.username, safe='')}@" if self.username else ""
        return (
            f"postgresql://{user}{host}{f':{self.port}' if self.port else ''}/{quote(self.database, safe='')}"
        )

    def open(self) -> Registry:
        """Open it and bring its schema up to date. Raises ``RegistryUnavailable``."""
        from store.registry.database import Registry

        return Registry.on_server(
            host=self.host, port=self.port, database=self.database, username=self.username, password=self.password,
            options=dict(self.options),
        )  # fmt: skip

    def revision(self) -> str | None:
        """Return the schema's revision without changing it. Raises ``RegistryUnavailable``."""
        from store.registry.database import present_revision, server_url

        options = dict(self.options)
        return present_revision(
            server_url(self.host, self.database, self.port, self.username, self.password, options)
        )


RegistryAddress = SqliteAddress | PostgresAddress


def in_folder(data: Path) -> SqliteAddress:
    """Return the registry of a data folder."""
    return SqliteAddress(data / FILE_NAME)


def open_existing(address: RegistryAddress) -> Registry:
    """Open a registry that a server has made. Raises :class:`NoRegistry` for a file that is not there."""
    if isinstance(address, SqliteAddress) and not address.path.exists():
        raise NoRegistry(
            f"there is no registry in {address.path.parent.absolute()}; name the server's folder with --data or "
            f"QUIETWATER_DATA, the server of the registry with --registry or {VARIABLE}, or start `quietwater up` once"
        )
    return address.open()


def parse_registry(
    text: str, environment: Mapping[str, str], *, password_may_show: bool = False
) -> RegistryAddress:
    """Return what an address says; the password comes from ``environment``, else from libpq's own places.

    ``password_may_show``: the address comes from the environment, where it may hold the password. Raises
    :class:`BadRegistryAddress`, whose message never holds one.
    """
    try:
        parts = urlsplit(text)
        port = parts.port
        options = dict(parse_qsl(parts.query, strict_parsing=True)) if parts.query else {}
    except ValueError:
        raise BadRegistryAddress(f"the registry's address cannot be read; write {EXAMPLES}") from None
    if parts.scheme == "sqlite":
        return _file(parts.netloc, parts.path)
    if parts.scheme not in _SCHEMES:
        raise BadRegistryAddress(f"a registry is a PostgreSQL server or an SQLite file; write {EXAMPLES}")
    if parts.password is not None and not password_may_show:
        raise BadRegistryAddress(
            "a password on the command line can be seen by every user of the machine; put it into "
            f"{PASSWORD_VARIABLE}, name a file in {PASSWORD_VARIABLE}_FILE, or use ~/.pgpass"
        )
    unknown = sorted(options.keys() - _OPTIONS)
    if unknown:
        raise BadRegistryAddress(
            f"{unknown[0]!r} is no part of a registry's address; there are {', '.join(sorted(_OPTIONS))}"
        )
    database = unquote(parts.path.removeprefix("/"))
    if not database or "/" in database or parts.fragment:
        raise BadRegistryAddress(f"the registry's address names no database; write {EXAMPLES}")
    host = options.pop("host", None) or unquote(parts.hostname or "") or environment.get("PGHOST", "")
    return PostgresAddress(
        host=host or "/var/run/postgresql", database=database,
        username=unquote(parts.username) if parts.username else None, port=_port(options.pop("port", None)) or port,
        password=unquote(parts.password) if parts.password else _secret(environment), options=tuple(options.items()),
    )  # fmt: skip


def _file(netloc: str, path: str) -> SqliteAddress:
    name = unquote(path.removeprefix("/"))
    if netloc or not name:
        raise BadRegistryAddress(
            "sqlite: names no file; write sqlite:////absolute/file (four strokes) or sqlite:///file"
        )
    return SqliteAddress(Path(name))


def _port(text: str | None) -> int | None:
    if text is None:
        return None
    if not text.isdecimal() or not 0 < int(text) < 1 << 16:
        raise BadRegistryAddress(f"port={text!r} is no port")
    return int(text)


def _secret(environment: Mapping[str, str]) -> str | None:
    if value := environment.get(PASSWORD_VARIABLE):
        return value
    file = environment.get(f"{PASSWORD_VARIABLE}_FILE")
    if not file:
        return None
    try:
        return Path(file).read_text(encoding="utf-8").strip() or None
    except (OSError, UnicodeDecodeError) as error:
        raise BadRegistryAddress(
            f"{PASSWORD_VARIABLE}_FILE names {file}, which cannot be read: {error}"
        ) from error
