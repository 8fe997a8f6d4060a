"""Where the series store is: what an address means, and opening what it names."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final
from urllib.parse import parse_qsl, unquote, urlsplit

import structlog

from store.series.interface import SeriesStore, StoreNotSetUp, StoreUnavailable

log = structlog.get_logger(__name__)

TOKEN_VARIABLE: Final = "QUIETWATER_INFLUX_TOKEN"  # noqa: S105  the name of a variable
USERNAME_VARIABLE: Final = "QUIETWATER_INFLUX_USERNAME"
PASSWORD_VARIABLE: Final = "QUIETWATER_INFLUX_PASSWORD"  # noqa: S105  the name of a variable
EXAMPLES: Final = "duckdb:///var/lib/quietwater/series.duckdb or http://influxdb:8086?db=quietwater"
_TIMEOUT_MS: Final = 30_000
_PREFIX: Final = re.compile(r"[A-Za-z][A-Za-z0-9-]{0,40}\Z")
_ORG: Final = re.compile(r"[^\x00-\x1f]{1,100}\Z")


class BadAddress(ValueError):
    """An address that names no store; the text says what is wrong and how it is written."""


@dataclass(frozen=True, slots=True)
class DuckDbAddress:
    """The file of the embedded store."""

    path: Path

    def __str__(self) -> str:
        return str(self.path.absolute())


@dataclass(frozen=True, slots=True)
class InfluxAddress:
    """Where an InfluxDB server is and how to log in; ``prefix`` begins the names of the databases.

    1.x takes ``username`` and ``password``, 2.x and 3.x a ``token`` (2.x an ``org`` too).
    """

    url: str
    prefix: str = "quietwater"
    username: str | None = None
    password: str | None = field(default=None, repr=False)
    token: str | None = field(default=None, repr=False)
    org: str = "-"
    timeout_ms: int = _TIMEOUT_MS

    def __str__(self) -> str:
        return f"{self.url} (databases {self.prefix}-*)"

    @property
    def seconds(self) -> str:
        """Database of the seconds of noise."""
        return f"{self.prefix}-seconds"

    @property
    def minutes(self) -> str:
        """Database of the minutes of noise and the water readings."""
        return f"{self.prefix}-minutes"

    @property
    def lasting(self) -> str:
        """Database of what is kept for ever: hour rows and events."""
        return f"{self.prefix}-lasting"


StoreAddress = DuckDbAddress | InfluxAddress


def parse_address(text: str, environment: Mapping[str, str]) -> StoreAddress:
    """Read a store's address; secrets come from the environment or from the files that it names.

    ``duckdb:///absolute/file`` or ``duckdb:relative/file`` is the embedded store. ``http(s)://[user@]host:port`` is
    InfluxDB, with ``?db=`` (beginning of the databases' names, ``quietwater``) and ``&org=`` (InfluxDB 2). Its token,
    user name and password are in the three ``QUIETWATER_INFLUX_…`` variables; a variable with ``_FILE`` at its end
    names a file to read instead. Raises :class:`BadAddress`.
    """
    scheme = text.partition(":")[0].lower()
    if scheme == "duckdb":
        return DuckDbAddress(_file(text))
    if scheme in ("http", "https"):
        return _server(text, environment)
    raise BadAddress(f"this is no address of a store (it begins with {text[:8]!r}); write {EXAMPLES}")


def open_store(address: StoreAddress) -> SeriesStore:
    """Open the store of an address.

    A file raises as :class:`store.series.duckdb_store.DuckDbStore` does. A server raises ``StoreNotSetUp``; if it does
    not answer now, that is logged and the store opens all the same, because servers start in any order.
    """
    if isinstance(address, DuckDbAddress):
        from store.series.duckdb_store import DuckDbStore

        return DuckDbStore(address.path)
    from store.series.influx_store import InfluxStore

    store = InfluxStore(address)
    try:
        store.check()
    except StoreNotSetUp:
        store.close()
        raise
    except StoreUnavailable as error:
        log.warning("the series store does not answer yet", cause=str(error))
    return store


def _file(text: str) -> Path:
    parts = urlsplit(text)
    if parts.netloc or parts.query or not parts.path.strip("/"):
        raise BadAddress(
            f"{text!r} names no file; write duckdb:///absolute/file (three strokes) or duckdb:file"
        )
    return Path(unquote(parts.path))


def _server(text: str, environment: Mapping[str, str]) -> InfluxAddress:
    try:
        parts = urlsplit(text)
        port = parts.port
        given = dict(parse_qsl(parts.query, strict_parsing=True, keep_blank_values=True))
    except ValueError as error:
        raise BadAddress(f"the store's address cannot be read: {error}; write {EXAMPLES}") from error
    if parts.password is not None:
        raise BadAddress(
            f"a password in an address can be seen by every user of the machine; put it into {PASSWORD_VARIABLE}, "
            f"or name a file in {PASSWORD_VARIABLE}_FILE"
        )
    if not parts.hostname or parts.fragment:
        raise BadAddress(f"{text!r} names no server; write {EXAMPLES}")
    unknown = sorted(given.keys() - {"db", "org"})
    if unknown:
        raise BadAddress(
            f"{unknown[0]!r} is no part of a store's address; there are db and org, and secrets go into "
            f"{TOKEN_VARIABLE} or {PASSWORD_VARIABLE}"
        )
    prefix, org = given.get("db", "quietwater"), given.get("org", "-")
    if not _PREFIX.match(prefix):
        raise BadAddress(f"db={prefix!r}: a letter, then letters, digits or -, at most 41 together")
    if not _ORG.match(org):
        raise BadAddress(f"org={org!r} is no name of an organisation")
    host = f"[{parts.hostname}]" if ":" in parts.hostname else parts.hostname
    where = f"{parts.scheme.lower()}://{host}{f':{port}' if port else ''}{parts.path.rstrip('/')}"
    username = unquote(parts.username) if parts.username else _secret(environment, USERNAME_VARIABLE)
    return InfluxAddress(
        where,
        prefix,
        username,
        _secret(environment, PASSWORD_VARIABLE),
        _secret(environment, TOKEN_VARIABLE),
        org,
    )


def _secret(environment: Mapping[str, str], variable: str) -> str | None:
    if value := environment.get(variable):
        return value
    file = environment.get(f"{variable}_FILE")
    if not file:
        return None
    try:
        return Path(file).read_text(encoding="utf-8").strip() or None
    except (OSError, UnicodeDecodeError) as error:
        raise BadAddress(f"{variable}_FILE names {file}, which cannot be read: {error}") from error
