"""A backup made while readings come in, brought back elsewhere, holds what was stored; a bad one is refused."""

from __future__ import annotations

import csv
import io
import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx
import pytest
from click.testing import CliRunner

from app.backup_files import BackupFailed, make_backup, read_manifest, restore_backup
from app.cli import main
from app.settings import ServerSettings
from contract.codec import encode, encode_array
from contract.messages import NoiseSecond
from store.series.duckdb_store import DuckDbStore
from store.series.influx_http import InfluxAddress
from store.series.influx_setup import init_store
from store.series.influx_store import InfluxStore
from store.series.interface import SeriesStore
from store.series.retention import Retention
from tests.app.commands import Command, run, running, wait_for
from tests.broker import BareClient, Quarter, quarter
from tests.store.series.made import DAY, DEVICE, HOUR, SITE, T0, event, minute, put, seconds, water
from tests.store.series.servers import influxdb

pytestmark = pytest.mark.own_registry

START = datetime.now(UTC).replace(minute=0, second=0, microsecond=0) - timedelta(hours=30)


def _nothing(_share: float) -> None:
    pass


@contextmanager
def _device_that_sends(town: Quarter, port: int) -> Iterator[Callable[[], int]]:
    """Publishes ten seconds of noise at a time until the end of the block; yields how many it has sent."""
    sent, ended = [0], threading.Event()
    client = BareClient(port, town.login("s1", "d1"), name="device")

    def publish() -> None:
        while not ended.wait(0.01) and sent[0] < 60_000:
            batch = [
                NoiseSecond(
                    seq=n, t=START + timedelta(seconds=n), laeq_db=45 + n % 23 / 2, lafmax_db=60.0, lafmin_db=40.0,
                    laf_db=44 + n % 19 / 2,
                )
                for n in range(sent[0], sent[0] + 10)
            ]  # fmt: skip
            client.publish("qw/v1/s1/d1/noise", encode_array([encode(one) for one in batch]))
            sent[0] += 10

    thread = threading.Thread(target=publish)
    thread.start()
    try:
        yield lambda: sent[0]
    finally:
        ended.set()
        thread.join()
        client.settle()
        client.close()


def _rows(data: Path) -> list[dict[str, str]]:
    out = data.parent / "rows.csv"
    words = ("seconds", str(out), "--data", str(data), "--start", START.isoformat(), "--force")
    told = CliRunner().invoke(main, ["export", *words])
    assert told.exit_code == 0, told.output
    return list(csv.DictReader(io.StringIO(out.read_text())))


def _may_log_in(up: Command, password: str) -> bool:
    address = up.until(r"(http://127\.0\.0\.1:\d+)")[1]
    return (
        httpx.post(f"{address}/api/v1/login", json={"name": "tester", "password": password}).status_code
        == 200
    )


@pytest.mark.system
def test_a_backup_while_readings_come_in(tmp_path: Path, free_port: Callable[[], int]) -> None:
    data, elsewhere, kept = tmp_path / "data", tmp_path / "elsewhere" / "data", tmp_path / "kept" / "first"
    port, second_port = free_port(), free_port()
    town = quarter(data, devices=1, meters=1)
    town.registry.close()
    password = (
        run("admin", "user", "add", "tester", "--role", "bureau", data=data).split("password ")[1].split()[0]
    )
    (data / "files").mkdir()
    (data / "files" / "plan.pdf").write_bytes(b"a plan")
    with running("up", "--data", str(data), "--port", "0", "--mqtt-port", str(port)) as up:
        up.until("ingest is connected")
        with _device_that_sends(town, port) as sent:
            wait_for(lambda: len(_rows(data)) > 500, "the first readings in the store")
            before = len(_rows(data))
            assert "restore: quietwater restore" in run("backup", str(kept), "--data", str(data))
            after = sent()
        everything = _rows(data)
    manifest = read_manifest(kept)
    assert before <= manifest.rows["noise_second"] <= after
    assert {"series.duckdb", "registry.sqlite", "broker/server.password", "files/plan.pdf"} <= {
        one.path for one in manifest.files
    }
    assert not any("jetstream" in one.path or one.path.endswith(".lock") for one in manifest.files)
    run("restore", str(kept), "--data", str(elsewhere))
    with running("up", "--data", str(elsewhere), "--port", "0", "--mqtt-port", str(second_port)) as again:
        again.until("ingest is connected")
        assert _may_log_in(again, password)
        restored = _rows(elsewhere)
    assert restored == everything[: manifest.rows["noise_second"]]
    for name in ("broker/server.password", "files/plan.pdf"):
        assert (elsewhere / name).read_bytes() == (data / name).read_bytes()
        assert (elsewhere / name).stat().st_mode == (data / name).stat().st_mode
    assert list(kept.parent.iterdir()) == [kept]


# -- a server that does not run --------------------------------------------------------------------------------


@pytest.fixture
def stopped(tmp_path: Path) -> ServerSettings:
    """A data folder with some of everything."""
    settings = ServerSettings(data=tmp_path / "data")
    quarter(settings.data).registry.close()
    (settings.data / "broker").mkdir()
    (settings.data / "broker" / "server.password").write_text("secret")
    (settings.data / "broker" / "server.password").chmod(0o600)
    store = DuckDbStore(settings.data / "series.duckdb", memory_mb=256, threads=1)
    _fill(store)
    store.close()
    return settings


def _fill(store: SeriesStore) -> None:
    put(store, [*seconds(T0, [50.0, 51.5, 49.0]), minute(T0), water(T0, 10), water(T0 + HOUR, 30), event(T0)])
    store.write_rollups(store.noise_hours(SITE, DEVICE, T0, T0 + HOUR), [])
    put(store, seconds(T0 + HOUR, [60.0] * 3, flags=("wind",), lceq_db=70.5))


def _all_of_it(store: SeriesStore) -> list[object]:
    span = (T0 - DAY, T0 + DAY)
    return [
        store.noise_seconds(SITE, DEVICE, *span), store.noise_hours(SITE, DEVICE, *span),
        store.spectrum(SITE, DEVICE, *span), store.water_readings(SITE, "flat-1", *span), store.events(*span),
        store.noise_rollups(*span), store.dirty_hours(T0 + DAY), store.noise_latest(), store.newest(),
    ]  # fmt: skip


def _stored(settings: ServerSettings) -> list[object]:
    store = DuckDbStore(settings.data / "series.duckdb", memory_mb=256, threads=1)
    try:
        return _all_of_it(store)
    finally:
        store.close()


def test_what_was_there_is_moved_aside_with_force_alone(stopped: ServerSettings, tmp_path: Path) -> None:
    make_backup(stopped, tmp_path / "kept", _nothing)
    before = _stored(stopped)
    with pytest.raises(BackupFailed, match="not empty"):
        restore_backup(tmp_path / "kept", stopped, _nothing, force=False)
    (stopped.data / "note.txt").write_text("mine")
    aside = restore_backup(tmp_path / "kept", stopped, _nothing, force=True)
    assert aside is not None
    assert (aside / "note.txt").read_text() == "mine"
    assert (aside / "registry.sqlite").exists()
    assert not (stopped.data / "note.txt").exists()
    assert _stored(stopped) == before
    assert (stopped.data / "broker" / "server.password").stat().st_mode & 0o777 == 0o600


def _flip(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)


def _rename_in_manifest(path: Path) -> None:
    manifest = json.loads(path.read_text())
    manifest["files"][0]["path"] = "../outside"
    path.write_text(json.dumps(manifest))


@pytest.mark.parametrize(
    ("spoil", "reason"),
    [
        (lambda kept: _flip(kept / "series.duckdb"), "checksum differs"),
        (lambda kept: _flip(kept / "registry.sqlite"), "checksum differs"),
        (lambda kept: (kept / "broker" / "server.password").unlink(), "is missing"),
        (lambda kept: (kept / "manifest.json").unlink(), "is no backup"),
        (lambda kept: (kept / "manifest.json").write_text("{"), "cannot be read"),
        (lambda kept: _rename_in_manifest(kept / "manifest.json"), "outside the backup"),
    ],
)
def test_a_spoilt_backup_changes_nothing(
    stopped: ServerSettings, tmp_path: Path, spoil: Callable[[Path], object], reason: str
) -> None:
    make_backup(stopped, tmp_path / "kept", _nothing)
    spoil(tmp_path / "kept")
    to = ServerSettings(data=tmp_path / "new")
    with pytest.raises(BackupFailed, match=reason):
        restore_backup(tmp_path / "kept", to, _nothing, force=False)
    assert not to.data.exists()


def test_an_interrupted_backup_leaves_nothing(stopped: ServerSettings, tmp_path: Path) -> None:
    def interrupted(_share: float) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        make_backup(stopped, tmp_path / "there" / "kept", interrupted)
    assert list((tmp_path / "there").iterdir()) == []
    assert make_backup(stopped, tmp_path / "there" / "kept", _nothing).rows["noise_second"] == 6


def test_faults_have_their_cure(stopped: ServerSettings, tmp_path: Path) -> None:
    with pytest.raises(BackupFailed, match="--data"):
        make_backup(ServerSettings(data=tmp_path / "nowhere"), tmp_path / "kept", _nothing)
    with pytest.raises(BackupFailed, match="lies in the data folder"):
        make_backup(stopped, stopped.data / "kept" / "first", _nothing)
    make_backup(stopped, tmp_path / "kept", _nothing)
    with pytest.raises(BackupFailed, match="there already"):
        make_backup(stopped, tmp_path / "kept", _nothing)
    elsewhere = ServerSettings(data=tmp_path / "new", store=InfluxAddress("http://127.0.0.1:1"))
    with pytest.raises(BackupFailed, match="leave --store out"):
        restore_backup(tmp_path / "kept", elsewhere, _nothing, force=False)


def test_series_on_a_server(stopped: ServerSettings, tmp_path: Path, program: Callable[[str], str]) -> None:
    (tmp_path / "influx").mkdir()
    with influxdb(program("influxd"), tmp_path / "influx") as server:
        address, other = InfluxAddress(server.url), InfluxAddress(server.url, prefix="other")
        for one in (address, other):
            init_store(one, Retention(None, None))
        store = InfluxStore(address)
        _fill(store)
        settings = ServerSettings(data=stopped.data, store=address)
        manifest = make_backup(settings, tmp_path / "kept", _nothing)
        assert (manifest.store, manifest.rows["lasting.noise_hour"]) == ("influxdb", 1)
        with pytest.raises(BackupFailed, match="name the server"):
            restore_backup(tmp_path / "kept", ServerSettings(data=tmp_path / "new"), _nothing, force=False)
        with pytest.raises(BackupFailed, match="is not empty"):
            restore_backup(
                tmp_path / "kept", ServerSettings(data=tmp_path / "new", store=address), _nothing, force=False
            )
        assert [one.suffix for one in (tmp_path / "new").iterdir()] == [".lock"] * 4
        restore_backup(
            tmp_path / "kept", ServerSettings(data=tmp_path / "new", store=other), _nothing, force=False
        )
        restored = InfluxStore(other)
        assert _all_of_it(restored) == _all_of_it(store)
        assert (tmp_path / "new" / "registry.sqlite").exists()
        assert not (tmp_path / "new" / "influxdb").exists()
        for one in (store, restored):
            one.close()
