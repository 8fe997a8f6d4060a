"""A registry with one quarter, and servers on loopback that receive messages."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from store.registry.database import Registry
from store.series.duckdb_store import DuckDbStore
from tests.analysis.quarter import furnish
from tests.analysis.receivers import Mailbox, Webhook, mail_server, webhook_server


@pytest.fixture
def webhook() -> Iterator[Webhook]:
    with webhook_server() as hook:
        yield hook


@pytest.fixture
def mailbox() -> Iterator[Mailbox]:
    with mail_server() as box:
        yield box


@pytest.fixture
def series(tmp_path: Path) -> Iterator[DuckDbStore]:
    store = DuckDbStore(tmp_path / "series.duckdb", memory_mb=256, threads=1)
    yield store
    store.close()


@pytest.fixture
def registry(tmp_path: Path) -> Iterator[Registry]:
    """One quarter of class 1, ``garden``, with the noise devices ``gate`` and ``roof`` and a meter at ``cellar``."""
    registry = Registry.in_folder(tmp_path / "registry")
    with registry.session() as session:
        furnish(session)
    yield registry
    registry.close()
