"""The HTTP side of InfluxDB, through ``influxdb-client``: the one file that imports it.

Only what every generation answers is used: line protocol to ``/write`` (1.x before 1.8) or ``/api/v2/write``,
InfluxQL to ``/query``. A write is one synchronous request of our own bytes, and a request that failed counts as not
written.
"""

from __future__ import annotations

import base64
import gzip
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Literal, cast

import msgspec
import urllib3
from influxdb_client.client.influxdb_client import InfluxDBClient
from influxdb_client.rest import ApiException

from store.series.interface import StoreUnavailable

_REFUSED: Final = (400, 413, 422)
_GZIP_ABOVE_BYTES: Final = 4096
_TIMEOUT_MS: Final = 30_000


class LinesRefused(Exception):
    """The server did not take all of a request's lines; some of them may be stored."""


@dataclass(frozen=True, slots=True)
class InfluxAddress:
    """Where the server is and how to log in; ``prefix`` begins the names of the databases.

    1.x takes ``username`` and ``password``, 2.x and 3.x a ``token`` (2.x an ``org`` too).
    """

    url: str
    prefix: str = "quietwater"
    username: str | None = None
    password: str | None = field(default=None, repr=False)
    token: str | None = field(default=None, repr=False)
    org: str = "-"
    timeout_ms: int = _TIMEOUT_MS

    @property
    def seconds(self) -> str:
        """Database of the seconds of noise."""
        return f"{self.prefix}_seconds"

    @property
    def minutes(self) -> str:
        """Database of the minutes of noise and the water readings."""
        return f"{self.prefix}_minutes"

    @property
    def lasting(self) -> str:
        """Database of what is kept for ever: hour rows and events."""
        return f"{self.prefix}_lasting"


@dataclass(frozen=True, slots=True)
class ServerVersion:
    """What answers at the address. ``other`` speaks the protocol (VictoriaMetrics, say) and gives no version."""

    text: str
    generation: Literal["1", "2", "3", "other"]
    has_v2_write: bool


class Row(msgspec.Struct):
    """One series of an InfluxQL result."""

    name: str = ""
    tags: dict[str, str] = {}
    columns: list[str] = []
    values: list[list[Any]] = []


class _Statement(msgspec.Struct):
    series: list[Row] = []
    error: str | None = None


class _Answer(msgspec.Struct):
    results: list[_Statement] = []
    error: str | None = None


_ANSWER: Final = msgspec.json.Decoder(_Answer)


class InfluxHttp:
    """Talks to one server; methods may be called from any thread."""

    def __init__(self, address: InfluxAddress) -> None:
        self.address = address
        token = address.token or (f"{address.username}:{address.password}" if address.username else "")
        self._client = InfluxDBClient(address.url, token=token, org=address.org, timeout=address.timeout_ms)
        self._rest: Any = self._client.api_client.rest_client  # type: ignore[union-attr]
        self._version: ServerVersion | None = None

    @property
    def client(self) -> InfluxDBClient:
        """The client itself, for setting up buckets."""
        return self._client

    def version(self) -> ServerVersion:
        """Return what the server says at ``/ping``, asked once. Raises ``StoreUnavailable``."""
        if self._version is None:
            response = self._call("/ping", "GET", {})
            self._version = _version(response.headers.get("X-Influxdb-Version") or _version_in(response.data))
        return self._version

    def write(self, database: str, body: bytes) -> None:
        """Write lines with times in nanoseconds. Raises :class:`LinesRefused` or ``StoreUnavailable``."""
        headers = {"Content-Type": "text/plain; charset=utf-8"}
        if (
            len(body) > _GZIP_ABOVE_BYTES
        ):  # the fastest level: the client's own default takes longer than the write
            body, headers["Content-Encoding"] = gzip.compress(body, 1), "gzip"
        if self.version().has_v2_write:
            path, params = "/api/v2/write", {"org": self.address.org, "bucket": database, "precision": "ns"}
        else:
            path, params = "/write", {"db": database, "precision": "ns"}
        self._call(path, "POST", params, body=body, headers=headers)

    def query(self, database: str, statements: Sequence[str]) -> list[list[Row]]:
        """Run InfluxQL statements in one request; return the series of each. Raises ``StoreUnavailable``."""
        fields = {"db": database, "q": "; ".join(statements), "epoch": "ns"}
        response = self._call("/query", "POST", {}, form=fields)
        try:
            answer = _ANSWER.decode(response.data)
        except msgspec.DecodeError as error:
            raise StoreUnavailable(f"{self.address.url} answered a query with {error}") from error
        for fault in (answer.error, *(one.error for one in answer.results)):
            if fault == "not executed" and len(statements) > 1:
                self.query(database, statements[:1])  # alone it says why
            if fault:
                raise StoreUnavailable(self._explained(fault))
        if len(answer.results) != len(statements):
            raise StoreUnavailable(
                f"{self.address.url} answered {len(answer.results)} of {len(statements)} queries"
            )
        return [one.series for one in answer.results]

    def command(self, statement: str) -> None:
        """Run an InfluxQL statement that changes something. Raises ``StoreUnavailable``."""
        self.query("", [statement])

    def request(self, path: str, method: str, body: Mapping[str, object] | None = None) -> bytes:
        """Send JSON to the server's own API and return what it says. Raises as :meth:`write` does."""
        encoded = None if body is None else msgspec.json.encode(body)
        return self._call(
            path, method, {}, body=encoded, headers={"Content-Type": "application/octet-stream"}
        ).data

    def close(self) -> None:
        """Close the connections."""
        self._client.close()

    def _call(
        self, path: str, method: str, params: Mapping[str, str], *, body: bytes | None = None,
        headers: Mapping[str, str] | None = None, form: Mapping[str, str] | None = None,
    ) -> urllib3.BaseHTTPResponse:  # fmt: skip
        sent = {"Content-Type": "application/x-www-form-urlencoded", **self._login(), **(headers or {})}
        try:
            response = self._rest.request(
                method, self.address.url.rstrip("/") + path, query_params=dict(params), headers=sent,
                body=body, post_params=form, _preload_content=False,
            )  # fmt: skip
            _ = response.data  # read it whole, so that the connection is free again
        except ApiException as error:
            raise self._meaning(error) from error
        except (urllib3.exceptions.HTTPError, OSError) as error:
            raise self._silent(error) from error
        return response

    def _login(self) -> dict[str, str]:
        if self.address.token:
            return {"Authorization": f"Token {self.address.token}"}
        if self.address.username:
            pair = f"{self.address.username}:{self.address.password or ''}".encode()
            return {"Authorization": f"Basic {base64.b64encode(pair).decode()}"}
        return {}

    def _meaning(self, error: ApiException) -> StoreUnavailable | LinesRefused:
        said = (
            error.body.decode(errors="replace")
            if isinstance(error.body, bytes)
            else str(error.body or error.reason)
        )
        said = said.strip()[:500]
        if error.status in _REFUSED:
            return LinesRefused(said)
        return StoreUnavailable(self._explained(said, error.status or 0))

    def _explained(self, said: str, status: int = 0) -> str:
        where = f"InfluxDB at {self.address.url}"
        if "not found" in said:
            return f"{where}: {said}; run `quietwater admin init-store` once to make the databases"
        if status in (401, 403) or "authoriz" in said:
            return (
                f"{where} refuses the login ({said}); set QUIETWATER_INFLUX_TOKEN, or _USERNAME and _PASSWORD"
            )
        return f"{where} answered {status or 'a query'}: {said}"

    def _silent(self, error: Exception) -> StoreUnavailable:
        return StoreUnavailable(f"InfluxDB at {self.address.url} does not answer: {error}")


def _version(told: str | None) -> ServerVersion:
    """Read a version such as ``1.6.7~rc0``, ``v2.7.1`` or ``3.1.0``."""
    found = re.match(r"v?(\d+)\.(\d+)", told or "")
    if found is None:
        return ServerVersion(told or "unknown", "other", True)
    major, minor = int(found[1]), int(found[2])
    if major not in (1, 2, 3):
        return ServerVersion(told or "", "other", True)
    return ServerVersion(told or "", cast('Literal["1", "2", "3"]', found[1]), (major, minor) >= (1, 8))


def _version_in(body: bytes) -> str | None:
    """Return the version that InfluxDB 3 puts into the body of its answer."""
    try:
        return msgspec.json.decode(body, type=dict[str, Any]).get("version")
    except msgspec.DecodeError:
        return None
