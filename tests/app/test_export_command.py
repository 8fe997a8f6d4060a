"""``quietwater export``: what it writes, and what it says when it cannot."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from pyarrow import parquet

from app.cli import main
from app.store_socket import StoreSocket
from app.whole_file import whole_file
from store.series.duckdb_store import DuckDbStore
from tests.broker import quarter
from tests.store.series.made import T0, put, seconds, water

Export = Callable[..., Result]
SPAN = ("--start", "2026-03-10T20:00", "--end", "2026-03-10T20:00:05")
"""In the sites' own time: T0 is 12:00 UTC."""


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """Two sites with two devices each, of which s1's have readings."""
    folder = tmp_path / "data"
    quarter(folder, sites=2, devices=2, meters=1).registry.close()
    store = DuckDbStore(folder / "series.duckdb", memory_mb=256, threads=1)
    for device in ("d1", "d2"):
        put(store, seconds(T0, [50.0] * 10, site="s1", device=device))
    put(store, [water(T0, 7, site="s1", device="d1", meter="d1-m1")])
    store.close()
    return folder


@pytest.fixture(params=["server-stopped", "server-running"])
def export(request: pytest.FixtureRequest, data: Path) -> Iterator[Export]:
    """Runs the command while this process holds the store and offers it, and while nobody does."""
    store = socket = None
    if request.param == "server-running":
        store = DuckDbStore(data / "series.duckdb", memory_mb=256, threads=1)
        socket = StoreSocket(store, data)
        socket.start()

    def run(*words: str) -> Result:
        return CliRunner().invoke(main, ["export", "--data", str(data), *words])

    yield run
    if store is not None and socket is not None:
        socket.stop()
        store.close()


def test_a_range_of_the_sites_own_time(export: Export, tmp_path: Path) -> None:
    told = export("seconds", str(tmp_path / "out.csv"), *SPAN)
    assert told.exit_code == 0, told.output
    rows = list(csv.DictReader(io.StringIO((tmp_path / "out.csv").read_text())))
    assert [(row["device"], row["t"][-4:], row["t_site"]) for row in rows[:2]] == [
        ("d1", ":00Z", "2026-03-10T20:00:00+08:00"), ("d1", ":01Z", "2026-03-10T20:00:01+08:00"),
    ]  # fmt: skip
    assert len(rows) == 10
    assert "10 rows" in told.output


def test_sites_and_devices_are_chosen(export: Export, tmp_path: Path) -> None:
    out = tmp_path / "out.parquet"
    assert export("seconds", str(out), *SPAN, "--site", "s1", "--device", "d2").exit_code == 0
    table = parquet.read_table(out)
    assert set(table.column("device").to_pylist()) == {"d2"}
    assert export("seconds", str(out), *SPAN, "--site", "s2", "--force").exit_code == 0
    assert parquet.read_table(out).num_rows == 0
    assert export("water", str(out), *SPAN, "--device", "d1-m1", "--force").exit_code == 0
    assert parquet.read_table(out).column("volume_ml").to_pylist() == [7000]


def test_what_is_wrong_is_said_in_a_line(export: Export, tmp_path: Path) -> None:
    out = tmp_path / "out.csv"
    for words, reason in (
        (("--site", "nowhere"), "there is no site 'nowhere'; there are: s1, s2"),
        (("--device", "d9"), "there is no device 'd9'; there are: d1, d2"),
        (("--start", "yesterday"), "'yesterday' is no time; write 2026-03-01"),
        (("--start", "2026-03-02", "--end", "2026-03-01"), "--start lies after --end"),
        (("--data", str(tmp_path)), "there is no registry in"),
    ):
        told = export("seconds", str(out), *words)
        assert told.exit_code != 0
        assert reason in told.output.replace("\n", " ")
        assert not out.exists()
    out.write_text("mine")
    told = export("seconds", str(out))
    assert (told.exit_code, out.read_text()) == (1, "mine")
    assert "--force replaces it" in told.output


def test_an_interrupted_export_leaves_no_half_file(
    export: Export, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "out"
    folder.mkdir()
    (folder / "rows.csv").write_text("of yesterday")

    def interrupted(*_: object) -> Iterator[bytes]:
        yield b"t,"
        raise KeyboardInterrupt

    monkeypatch.setattr("store.series.export_file.encode", interrupted)
    assert export("seconds", str(folder / "rows.csv"), *SPAN, "--force").exit_code == 1
    assert [one.name for one in folder.iterdir()] == ["rows.csv"]
    assert (folder / "rows.csv").read_text() == "of yesterday"


def test_no_store_is_told(data: Path) -> None:
    (data / "series.duckdb").unlink()
    told = CliRunner().invoke(main, ["export", "--data", str(data), "seconds", "-"])
    assert (told.exit_code, "there is no store" in told.output) == (1, True)
    assert not (data / "series.duckdb").exists()


def test_a_whole_file_takes_the_place_of_the_old_one(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"old")
    with whole_file(path) as file:
        file.write(b"new")
        assert path.read_bytes() == b"old"
    assert path.read_bytes() == b"new"
    assert list(tmp_path.iterdir()) == [path]


def test_the_socket_is_for_the_owner_alone_and_goes_with_the_server(data: Path) -> None:
    store = DuckDbStore(data / "series.duckdb", memory_mb=256, threads=1)
    socket = StoreSocket(store, data)
    socket.start()
    assert (data / "store.sock").stat().st_mode & 0o777 == 0o600
    socket.stop()
    store.close()
    assert not (data / "store.sock").exists()
