"""A quarter with one day and night of real seconds, rolled up as the product does, and months of hours before."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from analysis.rollups import roll_up
from api.context import ApiContext
from api.live_hub import LiveHub
from api.reports.pdf import PdfImpossible
from api.reports.worker import check_pdf
from app.logs import set_up
from contract.sitetime import floor_hour
from store.registry.database import Registry
from store.series.duckdb_store import DuckDbStore
from tests.api import seeding
from tests.api.conftest import SetClock

MONTH = "2026-03"
"""The month of the seeded seconds."""
DATE = "2026-03-02"
"""The date whose day is complete."""


@pytest.fixture(autouse=True)
def _plain_logs() -> None:
    set_up("warning")


@pytest.fixture(scope="session")
def stores(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[DuckDbStore, Path]]:
    """A series store, and the folder of a registry to be copied."""
    folder = tmp_path_factory.mktemp("reports")
    store = DuckDbStore(folder / "series.duckdb", memory_mb=256, threads=1)
    entries = list(seeding.noise_entries("jing-yuan", "dong-men", seed=0))
    for start in range(0, len(entries), 20_000):
        assert not store.write(entries[start : start + 20_000]).rejected
    for meter in range(seeding.METERS):
        assert not store.write(list(seeding.water_entries("jing-yuan", meter))).rejected
    store.write(list(seeding._events("jing-yuan", "dong-men")))
    while roll_up(store, floor_hour(seeding.NOW), budget_s=30.0):
        pass
    seeding.seed_months(store, days=60)
    registry = Registry.in_folder(folder / "registry")
    seeding.seed_registry(registry)
    with registry.session() as session:
        from store.registry.models import Site

        site = session.get_one(Site, "jing-yuan")
        site.settings = {"water": {"province": "北京", "persons": 30, "plan_m3": {"2026": 400.0}}}
    registry.close()
    yield store, folder / "registry"
    store.close()


@pytest.fixture
def registry(stores: tuple[DuckDbStore, Path], tmp_path: Path) -> Iterator[Registry]:
    shutil.copytree(stores[1], tmp_path / "registry")
    registry = Registry.in_folder(tmp_path / "registry")
    yield registry
    registry.close()


@pytest.fixture
def series(stores: tuple[DuckDbStore, Path]) -> DuckDbStore:
    return stores[0]


@pytest.fixture
def context(series: DuckDbStore, registry: Registry, tmp_path: Path) -> ApiContext:
    return ApiContext(
        series=series, registry=registry, clock=SetClock(), live=LiveHub(), files=tmp_path / "files"
    )


@pytest.fixture(scope="session")
def pango() -> None:
    """Skip where this machine cannot draw PDFs; where nothing may be missing (CI) that is a failure."""
    try:
        check_pdf()
    except PdfImpossible as error:
        if os.environ.get("QUIETWATER_NOTHING_MISSING"):
            pytest.fail(str(error))
        pytest.skip(str(error))
