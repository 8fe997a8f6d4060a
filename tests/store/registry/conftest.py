"""Every test of the registry runs on SQLite and on PostgreSQL, in `make test-servers` on PostgreSQL alone."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.registries import OnServer, on_server


@pytest.fixture(autouse=True, params=["postgresql"] if on_server() else ["sqlite", "postgresql"])
def backend(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """What ``Registry.in_folder`` opens in this test."""
    if request.param == "sqlite":
        yield "sqlite"
        return
    with OnServer(request.getfixturevalue("postgres_server")) as places:
        places.take_over(monkeypatch)
        yield "postgresql"
