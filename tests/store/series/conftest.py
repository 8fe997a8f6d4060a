"""Every backend behind one fixture: a test that takes ``store`` runs against each of them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import count
from pathlib import Path

import pytest

from store.series.address import InfluxAddress
from store.series.duckdb_store import DuckDbStore
from store.series.influx_setup import init_store
from store.series.influx_store import InfluxStore
from store.series.interface import SeriesStore
from store.series.retention import Retention
from tests.store.series.servers import Server, influxdb, victoria_metrics

OpenStore = Callable[[], SeriesStore]
_NUMBERS = count()


@pytest.fixture(scope="session")
def influx_server(
    program: Callable[[str], str], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Server]:
    """InfluxDB 1.6, one for all tests of a process."""
    with influxdb(program("influxd"), tmp_path_factory.mktemp("influxdb")) as server:
        yield server


@pytest.fixture(scope="session")
def victoria_server(
    program: Callable[[str], str], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Server]:
    """VictoriaMetrics, which takes what an InfluxDB 2 client writes."""
    with victoria_metrics(program("victoria-metrics"), tmp_path_factory.mktemp("victoria")) as server:
        yield server


@pytest.fixture
def influx_address(influx_server: Server) -> InfluxAddress:
    """An address with databases of its own, which keep everything."""
    address = InfluxAddress(influx_server.url, prefix=f"t{next(_NUMBERS)}")
    init_store(address, Retention(None, None))
    return address


@pytest.fixture(params=["duckdb", "influxdb"])
def open_store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[OpenStore]:
    """Return a function that opens the same store again after it was closed; what is open is closed at the end."""
    opened: list[SeriesStore] = []
    if request.param == "duckdb":

        def make() -> SeriesStore:
            return DuckDbStore(tmp_path / "series.duckdb", memory_mb=256, threads=1)
    else:
        address = request.getfixturevalue("influx_address")

        def make() -> SeriesStore:
            return InfluxStore(address)

    def open_() -> SeriesStore:
        opened.append(make())
        return opened[-1]

    yield open_
    for one in opened:
        one.close()


@pytest.fixture
def store(open_store: OpenStore) -> SeriesStore:
    return open_store()
