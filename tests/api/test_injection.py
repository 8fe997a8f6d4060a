"""Hostile values in every parameter of every reading operation, with a real InfluxDB behind it; and a fixed session."""

from __future__ import annotations

import json
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from fastapi import FastAPI

from api.app import create_app
from api.context import ApiContext
from api.live_hub import LiveHub
from api.ratelimit import RateLimit
from contract.messages import NoiseSecond
from store.registry.database import Registry
from store.series.address import InfluxAddress
from store.series.influx_setup import init_store
from store.series.influx_store import InfluxStore
from store.series.interface import Entry
from store.series.retention import Retention
from tests.api import seeding
from tests.api.conftest import Person, SetClock
from tests.store.series.servers import Server, influxdb

HOSTILE = (
    "'; DROP DATABASE qw_seconds; --",
    "x' OR site =~ /.*/ --",
    '"; DROP MEASUREMENT noise_second; SELECT "laeq_db',
    "dong-men\\' OR 1=1 --",
    "1; SHOW DATABASES",
    "x'); DELETE FROM devices; --",
    "a\r\nX-Evil: 1",
    "..%2f..%2fregistry.sqlite",
    "$(id)",
    "\x00",
)
OWN, OTHER = seeding.OWN_SITE, next(site for site in seeding.SITES if site != seeding.OWN_SITE)


@pytest.fixture(scope="module")
def influx_server(
    program: Callable[[str], str], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Server]:
    with influxdb(program("influxd"), tmp_path_factory.mktemp("influxdb")) as server:
        yield server


@pytest.fixture
def influx(influx_server: Server) -> Iterator[InfluxStore]:
    address = InfluxAddress(influx_server.url, prefix="qw")
    init_store(address, Retention(None, None))
    store = InfluxStore(address)
    for site in (OWN, OTHER):
        for n in range(60):
            t = seeding.NOW - timedelta(seconds=60 - n)
            second = NoiseSecond(seq=n, t=t, laeq_db=50.0, lafmax_db=55.0, lafmin_db=45.0, laf_db=50.0)
            assert not store.write([Entry(site, "dong-men", second, t)]).rejected
    yield store
    store.close()


@pytest.fixture
def over_influx(influx: InfluxStore, registry: Registry) -> FastAPI:
    return create_app(ApiContext(series=influx, registry=registry, clock=SetClock(), live=LiveHub()))


def everything_in(server: Server) -> dict[str, object]:
    """Return the databases, and how many points of which measurement are in each."""

    def ask(query: str, database: str = "") -> object:
        asked = urllib.parse.urlencode({"q": query, "db": database})
        with urllib.request.urlopen(f"{server.url}/query?{asked}", timeout=20) as answer:
            return json.load(answer)["results"]

    found = ask("SHOW DATABASES")
    names = [row[0] for row in found[0]["series"][0]["values"]]  # type: ignore[index]
    return {name: ask("SELECT count(seq) FROM /.*/", name) for name in names if name != "_internal"}


def reading_operations(app: FastAPI) -> Iterator[tuple[str, list[str], list[str]]]:
    """Yield path, names in the path and names in the query of each operation that reads and ends."""
    for path, methods in app.openapi()["paths"].items():
        operation = methods.get("get")
        if operation is None or operation["operationId"] == "stream_live":
            continue
        named = operation.get("parameters", [])
        yield (
            path,
            [one["name"] for one in named if one["in"] == "path"],
            [one["name"] for one in named if one["in"] == "query"],
        )


def known(name: str) -> str:
    start, end = seeding.NOW - timedelta(minutes=5), seeding.NOW
    return {
        "site": OWN, "device": "dong-men", "source": "dong-men", "meter": "zong-biao",
        "start": f"{start:%Y-%m-%dT%H:%M:%SZ}", "end": f"{end:%Y-%m-%dT%H:%M:%SZ}",
        "first": f"{start:%Y-%m-%d}", "last": f"{end:%Y-%m-%d}", "format": "csv",
    }.get(name, "1")  # fmt: skip


def test_no_parameter_of_any_reading_operation_gets_through(
    over_influx: FastAPI, influx_server: Server, influx: InfluxStore, registry: Registry
) -> None:
    who, before = Person(over_influx, "manager"), everything_in(influx_server)
    assert "120" in str(before), before
    asked = 0
    for path, in_path, in_query in reading_operations(over_influx):
        for hostile in HOSTILE:
            over_influx.state.rates = RateLimit()
            for attacked in (*in_path, *in_query):
                value = {name: hostile if name == attacked else known(name) for name in (*in_path, *in_query)}
                address = path
                for name in in_path:
                    address = address.replace(f"{{{name}}}", urllib.parse.quote(value[name], safe=""))
                    address = address.replace(f"{{{name}:path}}", urllib.parse.quote(value[name], safe=""))
                shown = {name: value[name] for name in in_query if name == attacked or name in _NEEDED}
                answer = who.http.get(address, params=shown)
                asked += 1
                assert answer.status_code < 500 or answer.status_code == 501, (
                    address,
                    shown,
                    answer.text[:300],
                )
                assert "x-evil" not in answer.headers
                assert OTHER not in answer.text and "_internal" not in answer.text, (address, shown)
    assert asked > 1000
    assert everything_in(influx_server) == before
    assert influx.count("noise", site=OWN) == 60
    with registry.reader() as session:
        assert session.connection().exec_driver_sql("SELECT count(*) FROM devices").scalar_one() > 0


_NEEDED = ("site", "device", "source", "meter", "start", "end", "first", "last", "kind", "format")


def test_a_session_that_somebody_else_chose_is_not_taken_over(app: FastAPI, context: ApiContext) -> None:
    victim, cookie = Person(app), context.config.cookie_name
    planted = "planted-by-somebody-else-0123456789abcdef"
    victim.http.cookies.set(cookie, planted)
    login = victim.send("POST", "/login", {"name": "bureau", "password": seeding.PASSWORD})
    assert login.status_code == 200
    given = victim.http.cookies.get(cookie, domain="testserver.local") or login.cookies[cookie]
    assert given != planted and len(given) >= 32
    attacker = Person(app)
    attacker.http.cookies.set(cookie, planted)
    assert attacker.get("/me").status_code == 401


def test_logging_in_anew_ends_the_session_before(app: FastAPI, context: ApiContext) -> None:
    cookie = context.config.cookie_name
    one = Person(app, "bureau")
    old = one.http.cookies[cookie]
    assert one.send("POST", "/login", {"name": "bureau", "password": seeding.PASSWORD}).status_code == 200
    stolen = Person(app)
    stolen.http.cookies.set(cookie, old)
    assert stolen.get("/me").status_code == 401


def test_no_file_outside_is_served(app: FastAPI, tmp_path: Path) -> None:
    (tmp_path / "secret.txt").write_text("secret")
    who = Person(app, "admin")
    for outside in ("%2e%2e", "%2e%2e%2f%2e%2e", "..%2f..", "....%2f%2f", "%2fetc%2fpasswd"):
        for address in (
            f"/assets/x/{outside}/etc/passwd", f"/assets/{outside}/app.py", f"/{outside}/etc/passwd",
            f"/api/v1/reports/{outside}/file", f"/api/v1/sites/{OWN}/dossier/attachments/{outside}",
        ):  # fmt: skip
            answer = who.http.get(address)
            assert answer.status_code in (404, 405, 422), (address, answer.status_code)
            assert "root:" not in answer.text
