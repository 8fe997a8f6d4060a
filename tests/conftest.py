"""What every test may ask for: a program of this machine, a free port."""

from __future__ import annotations

import os
import shutil
import socket
from collections.abc import Callable, Iterator
from pathlib import Path

import hypothesis
import pytest
import structlog

from tests.postgres import PostgresServer, postgresql, programs
from tests.registries import OnServer, on_server


def pytest_configure() -> None:
    """Keep the tests' logging and time zone the same everywhere, and their drawn examples the same in CI."""
    os.environ.setdefault("TZ", "UTC")
    hypothesis.settings.register_profile("quietwater", deadline=None)  # machines are noisy
    hypothesis.settings.register_profile(
        "ci", deadline=None, derandomize=True, database=None, print_blob=True
    )
    hypothesis.settings.load_profile("ci" if os.environ.get("QUIETWATER_NOTHING_MISSING") else "quietwater")


@pytest.fixture(scope="session")
def program() -> Callable[[str], str]:
    """Return a function that gives a program's path, or skips the test where it is not installed.

    Where ``QUIETWATER_NOTHING_MISSING`` is set (CI) a missing program fails the test instead.
    """

    def find(name: str) -> str:
        beside = programs() or Path("/usr/sbin")
        path = shutil.which(name, path=f"{os.environ.get('PATH', '')}:/usr/sbin:/usr/local/sbin:{beside}")
        if path is None:
            told = f"{name} is not installed; on Debian: apt-get install {_PACKAGES.get(name, name)}"
            if os.environ.get("QUIETWATER_NOTHING_MISSING"):
                pytest.fail(told)
            pytest.skip(told)
        return path

    return find


_PACKAGES = {
    "influxd": "influxdb",
    "promtool": "prometheus",
    "victoria-metrics-prod": "victoria-metrics",
    "ssh-keygen": "openssh-client",
    "postgres": "postgresql",
}


@pytest.fixture(autouse=True)
def _logging_of_its_own() -> Iterator[None]:
    """Undo what a command that ran inside the test did to logging."""
    yield
    structlog.reset_defaults()


@pytest.fixture(scope="session")
def postgres_server(program: Callable[[str], str]) -> Iterator[PostgresServer]:
    """A PostgreSQL server of this process's own, fast and without durability; each test makes its databases."""
    with postgresql(Path(program("postgres")).parent) as server:
        yield server


@pytest.fixture(autouse=True)
def registry_of_choice(
    request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> Iterator[OnServer | None]:
    """Put registries on PostgreSQL where ``QUIETWATER_TEST_REGISTRY=postgresql`` says so."""
    if not on_server() or request.node.get_closest_marker("own_registry"):
        yield None
        return
    with OnServer(request.getfixturevalue("postgres_server")) as places:
        places.take_over(monkeypatch)
        yield places


@pytest.fixture
def free_port() -> Callable[[], int]:
    """Return a function that gives a free TCP port on loopback."""

    def find() -> int:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            return probe.getsockname()[1]

    return find
