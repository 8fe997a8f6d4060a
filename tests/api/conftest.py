"""Real stores, real passwords, a real server; only the clock is set."""

from __future__ import annotations

import shutil
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import uvicorn
from fastapi import FastAPI
from starlette.testclient import TestClient

from api.app import create_app
from api.context import ApiContext
from api.live_hub import LiveHub
from app.logs import set_up
from store.registry.database import Registry
from store.registry.users import find_user, open_session
from store.series.duckdb_store import DuckDbStore
from store.series.interface import SeriesStore
from tests.api import seeding
from tests.postgres import PostgresServer
from tests.registries import on_server

if TYPE_CHECKING:
    from playwright.sync_api import Browser


@pytest.fixture(autouse=True)
def _plain_logs() -> None:
    """Log as the product does; structlog's own default renders local variables, for a minute."""
    set_up("warning")


@dataclass
class SetClock:
    """A clock that stands where a test put it."""

    t: datetime = seeding.NOW
    speed: float = 1.0

    def now(self) -> datetime:
        return self.t


@dataclass(frozen=True)
class RunningClock:
    """A clock that starts at the seeded present and runs with the wall."""

    started_s: float
    speed: float = 1.0

    def now(self) -> datetime:
        return seeding.NOW + timedelta(seconds=time.monotonic() - self.started_s)


@pytest.fixture(scope="session")
def series(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SeriesStore]:
    """A seeded series store; tests only read it."""
    store = DuckDbStore(tmp_path_factory.mktemp("series") / "series.duckdb")
    seeding.seed_series(store)
    yield store
    store.close()


@pytest.fixture(scope="session")
def _registry_template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("registry")
    registry = Registry.in_folder(folder)
    seeding.seed_registry(registry)
    with registry.session() as session:
        session.connection().exec_driver_sql("SELECT 1")
    registry.close()
    return folder


@pytest.fixture(scope="session")
def _seeded_database(postgres_server: PostgresServer) -> str:
    """The same as a database, which others are made after."""
    name = postgres_server.make_database()
    registry = postgres_server.address(name).open()
    seeding.seed_registry(registry)
    registry.close()
    return name


@pytest.fixture
def registry(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Registry]:
    """A seeded registry of this test's own."""
    if on_server():
        template = request.getfixturevalue("_seeded_database")
        with request.getfixturevalue("postgres_server").database(template) as address:
            registry = address.open()
            yield registry
            registry.close()
        return
    _registry_template = request.getfixturevalue("_registry_template")
    shutil.copytree(_registry_template, tmp_path / "registry")
    registry = Registry.in_folder(tmp_path / "registry")
    yield registry
    registry.close()


@pytest.fixture
def context(series: SeriesStore, registry: Registry) -> ApiContext:
    """What the application of a test works with."""
    return ApiContext(series=series, registry=registry, clock=SetClock(), live=LiveHub())


@pytest.fixture
def app(context: ApiContext) -> FastAPI:
    return create_app(context)


class Person:
    """A client that is logged in, or nobody; sends the CSRF token with changes."""

    def __init__(self, app: FastAPI, name: str | None = None) -> None:
        self.http = TestClient(app, raise_server_exceptions=False)
        self.csrf = ""
        if name:
            # Argon2 is slow on purpose: the tests of logging in pass it, the others open a session behind it.
            context: ApiContext = app.state.context
            with context.registry.session() as session:
                user = find_user(session, name)
                assert user is not None
                opened = open_session(session, user, context.wall.now())
            self.http.cookies.set(context.config.cookie_name, opened.token)
            self.csrf = opened.csrf_token

    def get(self, path: str, **params):
        return self.http.get(f"/api/v1{path}", params=params)

    def send(self, method: str, path: str, body=None, headers: Mapping[str, str] | None = None):
        return self.http.request(
            method, f"/api/v1{path}", json=body, headers={"X-CSRF-Token": self.csrf, **(headers or {})}
        )


@pytest.fixture
def person(app: FastAPI) -> Callable[..., Person]:
    """Log somebody in by name; without a name it is nobody."""
    return lambda name=None: Person(app, name)


@dataclass
class Served:
    """A server on loopback with its own clock that runs."""

    address: str
    context: ApiContext


@pytest.fixture
def served(context: ApiContext) -> Iterator[Served]:
    """The application behind a real uvicorn."""
    with serving(context) as running:
        yield running


@contextmanager
def serving(context: ApiContext) -> Iterator[Served]:
    """Serve an application on loopback until the block ends."""
    running = replace(context, clock=RunningClock(time.monotonic()))
    server = uvicorn.Server(
        uvicorn.Config(
            create_app(running), host="127.0.0.1", port=0, log_config=None, timeout_graceful_shutdown=1
        )
    )
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    deadline = time.monotonic() + 90
    while not server.started:
        assert thread.is_alive() and time.monotonic() < deadline, "the server did not start"
        time.sleep(0.01)
    port = server.servers[0].sockets[0].getsockname()[1]
    yield Served(f"http://127.0.0.1:{port}", running)
    running.live.close()
    server.should_exit = True
    thread.join(60)
    assert not thread.is_alive()


@pytest.fixture(scope="module")
def browser(program: Callable[[str], str]) -> Iterator[Browser]:
    """A real Chromium for the tests of one module."""
    from playwright.sync_api import sync_playwright

    from tests.api.browsing import CHROMIUM_ARGS

    with sync_playwright() as playwright:
        opened = playwright.chromium.launch(executable_path=program("chromium"), args=CHROMIUM_ARGS)
        yield opened
        opened.close()
