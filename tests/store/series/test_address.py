"""What an address of a store means, and what is told about a wrong one."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from store.series.address import (
    BadAddress,
    DuckDbAddress,
    InfluxAddress,
    StoreAddress,
    open_store,
    parse_address,
)
from store.series.duckdb_store import DuckDbStore
from store.series.influx_store import InfluxStore
from store.series.interface import StoreNotSetUp, StoreUnavailable
from tests.store.series.made import T0, put, second
from tests.store.series.servers import Server


@pytest.mark.parametrize(
    ("text", "meant"),
    [
        ("duckdb:///var/lib/q/series.duckdb", DuckDbAddress(Path("/var/lib/q/series.duckdb"))),
        ("duckdb:data/series.duckdb", DuckDbAddress(Path("data/series.duckdb"))),
        ("duckdb:///with%20space.db", DuckDbAddress(Path("/with space.db"))),
        ("http://influxdb:8086", InfluxAddress("http://influxdb:8086")),
        ("HTTPS://influx.example/", InfluxAddress("https://influx.example")),
        (
            "http://h:8086?db=lake-side&org=my%20org",
            InfluxAddress("http://h:8086", "lake-side", org="my org"),
        ),
        ("http://reader@h:8086/influx", InfluxAddress("http://h:8086/influx", username="reader")),
        ("http://[::1]:8086", InfluxAddress("http://[::1]:8086")),
    ],
)
def test_addresses(text: str, meant: StoreAddress) -> None:
    assert parse_address(text, {}) == meant


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("", "no address"),
        ("/var/lib/series.duckdb", "no address"),
        ("influxdb://u:s3cr@h", "no address"),
        ("duckdb://series.duckdb", "three strokes"),
        ("duckdb:", "names no file"),
        ("http://", "names no server"),
        ("http://h:port", "cannot be read"),
        ("http://h:8086?database=x", "'database' is no part"),
        ("http://h:8086?db=a&token=s3cr", "QUIETWATER_INFLUX_TOKEN"),
        ("http://u:s3cr@h:8086", "QUIETWATER_INFLUX_PASSWORD"),
        ("http://h:8086?db=a%22;DROP", "a letter, then"),
        ("http://h:8086?db=", "a letter, then"),
        ("http://h:8086?org=a%0Ab", "no name of an organisation"),
    ],
)
def test_bad_addresses_are_told_without_their_secrets(text: str, told: str) -> None:
    with pytest.raises(BadAddress, match=told) as caught:
        parse_address(text, {})
    assert "s3cr" not in str(caught.value)


def test_secrets_come_from_the_environment_or_from_files(tmp_path: Path) -> None:
    (tmp_path / "token").write_text("t0ken\n")
    environment = {
        "QUIETWATER_INFLUX_TOKEN_FILE": str(tmp_path / "token"),
        "QUIETWATER_INFLUX_USERNAME": "boss",
        "QUIETWATER_INFLUX_PASSWORD": "pass word",
    }
    address = parse_address("http://h", environment)
    assert isinstance(address, InfluxAddress)
    assert (address.token, address.username, address.password) == ("t0ken", "boss", "pass word")
    assert "t0ken" not in f"{address!r}{address}" and "pass word" not in f"{address!r}{address}"
    with pytest.raises(BadAddress, match=r"QUIETWATER_INFLUX_TOKEN_FILE names .*nowhere"):
        parse_address("http://h", {"QUIETWATER_INFLUX_TOKEN_FILE": str(tmp_path / "nowhere")})


def test_each_address_opens_its_backend(
    tmp_path: Path, influx_address: InfluxAddress, influx_server: Server, free_port: Callable[[], int]
) -> None:
    for address, backend in (
        (DuckDbAddress(tmp_path / "s.duckdb"), DuckDbStore),
        (influx_address, InfluxStore),
    ):
        store = open_store(address)
        assert isinstance(store, backend)
        put(store, [second(T0)])
        store.close()
    with pytest.raises(StoreNotSetUp, match="init-store"):
        open_store(InfluxAddress(influx_server.url, prefix="unmade"))
    away = open_store(InfluxAddress(f"http://127.0.0.1:{free_port()}"))  # a server may start later
    with pytest.raises(StoreUnavailable):
        away.count("noise")
    away.close()
