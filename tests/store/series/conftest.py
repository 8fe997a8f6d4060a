"""Every backend behind one fixture: a test that takes ``store`` runs against each of them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from store.series.duckdb_store import DuckDbStore
from store.series.interface import SeriesStore

OpenStore = Callable[[], SeriesStore]


@pytest.fixture(params=["duckdb"])
def open_store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[OpenStore]:
    """Return a function that opens the same store again after it was closed; what is open is closed at the end."""
    opened: list[Any] = []

    def open_() -> SeriesStore:
        opened.append(DuckDbStore(tmp_path / "series.duckdb", memory_mb=256, threads=1))
        return opened[-1]

    yield open_
    for one in opened:
        one.close()


@pytest.fixture
def store(open_store: OpenStore) -> SeriesStore:
    return open_store()
