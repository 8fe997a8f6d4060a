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
from dataclasses import dataclass
from typing import Any, Final, Literal, cast

import msgspec
import urllib3
from influxdb_client.client.influxdb_client import InfluxDBClient
from influxdb_client.rest import ApiException

from store.series.address import PASSWORD_VARIABLE, TOKEN_VARIABLE, USERNAME_VARIABLE, InfluxAddress
from store.series.interface import StoreNotSetUp, StoreUnavailable

_REFUSED: Final = (400, 409, 413, 422)
_NOT_MADE: Final = re.compile(r"(database|bucket|retention policy)\b.*not found", re.IGNORECASE | re.DOTALL)
_GZIP_ABOVE_BYTES: Final = 4096


class Refused(Exception):
    """The server did not take a request as it is; of a request of lines some may be stored all the same."""

    def __init__(self, reason: str, status: int) -> None:
        super().__init__(reason)
        self.status = status


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
        self._client = InfluxDBClient(address.url, token="", org=address.org, timeout=address.timeout_ms)
        self._rest: Any = self._client.api_client.rest_client  # type: ignore[union-attr]
        self._version: ServerVersion | None = None

    def version(self) -> ServerVersion:
        """Return what the server says at ``/ping``, asked once. Raises ``StoreUnavailable``."""
        if self._version is None:
            response = self._call("/ping", "GET", {})
            self._version = _version(response.headers.get("X-Influxdb-Version") or _version_in(response.data))
        return self._version

    def write(self, database: str, body: bytes) -> None:
        """Write lines with times in nanoseconds. Raises :class:`Refused` or ``StoreUnavailable``."""
        headers = {"Content-Type": "text/plain; charset=utf-8"}
        if len(body) > _GZIP_ABOVE_BYTES:  # at the client's own level it takes longer than the write
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
                raise self._trouble(fault)
        if len(answer.results) != len(statements):
            raise StoreUnavailable(
                f"{self.address.url} answered {len(answer.results)} of {len(statements)} queries"
            )
        return [one.series for one in answer.results]

    def command(self, statement: str) -> None:
        """Run an InfluxQL statement that changes something. Raises ``StoreUnavailable``."""
        self.query("", [statement])

    def request(
        self, path: str, method: str, *, params: Mapping[str, str] | None = None,
        body: Mapping[str, object] | None = None,
    ) -> bytes:  # fmt: skip
        """Send JSON to the server's own API and return what it says. Raises as :meth:`write` does."""
        headers = {"Content-Type": "application/json"}
        return self._call(path, method, params or {}, body=body, headers=headers).data

    def close(self) -> None:
        """Close the connections."""
        self._client.close()

    def _call(
        self, path: str, method: str, params: Mapping[str, str], *,
        body: bytes | Mapping[str, object] | None = None,
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

    def _meaning(self, error: ApiException) -> StoreUnavailable | Refused:
        body = error.body.decode(errors="replace") if isinstance(error.body, bytes) else error.body
        said = str(body or error.reason).strip()[:500]
        if error.status in _REFUSED:
            return Refused(said, error.status)
        return self._trouble(said, error.status or 0)

    def _trouble(self, said: str, status: int = 0) -> StoreUnavailable:
        where = f"InfluxDB at {self.address.url}"
        if _NOT_MADE.search(said):
            return StoreNotSetUp(
                f"{where}: {said}; run `quietwater admin init-store` once to make the databases"
            )
        if status in (401, 403) or "authoriz" in said:
            return StoreNotSetUp(
                f"{where} refuses the login ({said}); set {TOKEN_VARIABLE}, or {USERNAME_VARIABLE} and "
                f"{PASSWORD_VARIABLE}"
            )
        return StoreUnavailable(f"{where} answered {status or 'a query'}: {said}")

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
