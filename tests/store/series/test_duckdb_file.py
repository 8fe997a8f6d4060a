"""The DuckDB store as a file: killed, full, locked, damaged, from the future, and used by many threads."""

from __future__ import annotations

import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import duckdb
import pytest

from store.series.duckdb_file import UnusableStoreFile
from store.series.duckdb_store import DuckDbStore
from store.series.interface import StoreUnavailable
from tests.store.series.made import DAY, DEVICE, HOUR, METER, SECOND, SITE, T0, put, second, seconds, water
from tests.store.series.writer_child import BATCH


@contextmanager
def _writer(path: Path, largest_file: int = 0) -> Iterator[subprocess.Popen[str]]:
    command = [sys.executable, "-m", "tests.store.series.writer_child", str(path), str(largest_file)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as child:
        try:
            yield child
        finally:
            child.kill()


@pytest.mark.parametrize("batches", [1, 7, 40])
def test_what_was_reported_stored_survives_kill_9(tmp_path: Path, batches: int) -> None:
    path = tmp_path / "series.duckdb"
    with _writer(path) as child:
        assert child.stdout is not None
        for n in range(batches):
            assert child.stdout.readline() == f"stored {n}\n"
        child.send_signal(signal.SIGKILL)
        child.wait()
        told = batches + len(child.stdout.read().split("\n")) - 1
    store = DuckDbStore(path)
    whole = store.count("water")
    assert whole in (told, told + 1), "a batch that was committed but not yet reported may be there, whole"
    assert store.count("noise") == whole * BATCH
    assert store.count("spectrum") == whole
    late = store.noise_seconds(SITE, "late", T0 - 100 * HOUR, T0)
    assert len(set(late.t)) == len(late.t) == whole * BATCH // 2
    assert len(store.dirty_hours(T0 + 1000 * HOUR)) > 0
    store.close()


def test_a_full_disk_is_told_and_survived(tmp_path: Path) -> None:
    path = tmp_path / "series.duckdb"
    with _writer(path, largest_file=700_000) as child:
        out, _ = child.communicate(timeout=60)
    lines = out.splitlines()
    refused = next(line for line in lines if line.startswith("refused"))
    assert "no space left" in refused
    assert "free some space" in refused
    n = int(refused.split()[1])
    assert n > 0
    assert lines[-1] == f"recovered {n} {(n + 1) * BATCH}"
    store = DuckDbStore(path)
    assert store.count("noise") == (n + 1) * BATCH
    store.close()


def test_a_file_in_use_names_who_uses_it(tmp_path: Path) -> None:
    path = tmp_path / "series.duckdb"
    with _writer(path) as child:
        assert child.stdout is not None
        child.stdout.readline()
        with pytest.raises(StoreUnavailable, match=rf"process {child.pid} has the store .* open; end it"):
            DuckDbStore(path)
    store = DuckDbStore(path)
    store.close()


def _filled(path: Path) -> None:
    store = DuckDbStore(path)
    put(store, seconds(T0, range(30, 90)))
    store.close()


def test_a_file_that_is_no_database(tmp_path: Path) -> None:
    path = tmp_path / "series.duckdb"
    path.write_bytes(b"not a database " * 1000)
    with pytest.raises(UnusableStoreFile, match="restore a backup, or move the file away"):
        DuckDbStore(path)
    assert path.read_bytes().startswith(b"not a database"), "what is there is left alone"


def test_a_damaged_file(tmp_path: Path) -> None:
    path = tmp_path / "series.duckdb"
    _filled(path)
    data = bytearray(path.read_bytes())
    data[4096 : len(data)] = bytes(b ^ 0x5A for b in data[4096:])
    path.write_bytes(data)
    with pytest.raises(UnusableStoreFile, match="restore a backup"):
        DuckDbStore(path)
    path.write_bytes(data[: len(data) // 3])
    with pytest.raises(UnusableStoreFile, match="restore a backup"):
        DuckDbStore(path)


def test_a_file_from_a_newer_version(tmp_path: Path) -> None:
    path = tmp_path / "series.duckdb"
    _filled(path)
    with duckdb.connect(str(path)) as connection:
        connection.execute("UPDATE quietwater_store SET version = 99")
    with pytest.raises(UnusableStoreFile, match=r"newer Quietwater \(store version 99"):
        DuckDbStore(path)


def test_a_database_of_somebody_else(tmp_path: Path) -> None:
    path = tmp_path / "series.duckdb"
    with duckdb.connect(str(path)) as connection:
        connection.execute("CREATE TABLE mine (a INTEGER)")
    with pytest.raises(UnusableStoreFile, match="no store of Quietwater"):
        DuckDbStore(path)


def test_a_log_cut_off_in_the_middle_loses_the_last_batch_alone(tmp_path: Path) -> None:
    """What a power cut may leave of a commit that had not returned."""
    path = tmp_path / "series.duckdb"
    with _writer(path) as child:
        assert child.stdout is not None
        for _ in range(5):
            child.stdout.readline()
        child.send_signal(signal.SIGKILL)
    log = path.with_name("series.duckdb.wal")
    log.write_bytes(log.read_bytes()[:-100])
    store = DuckDbStore(path)
    whole = store.count("water")
    assert whole >= 4
    assert store.count("noise") == whole * BATCH
    put(store, [second(T0 + 900 * DAY)])
    store.close()


def test_a_reader_waits_for_no_writer_and_a_writer_for_no_reader(tmp_path: Path) -> None:
    store = DuckDbStore(tmp_path / "series.duckdb")
    put(store, seconds(T0, [50.0] * 1000))
    file = store._file
    with file.write() as writing:
        writing.execute("INSERT INTO noise_second SELECT * REPLACE (t_s + 100000 AS t_s) FROM noise_second")
        assert store.count("noise") == 1000, "a reader sees the state before, at once"
        assert len(store.noise_hours(SITE, DEVICE, T0, T0 + HOUR)) == 1
    with file.read() as reading:
        before = reading.rows("SELECT count(*) FROM noise_second")
        put(store, [second(T0 + 5 * DAY)])
        assert reading.rows("SELECT count(*) FROM noise_second") == before == [(2000,)]
    assert store.count("noise") == 2001
    store.close()


def test_many_threads_read_and_write_at_once(tmp_path: Path) -> None:
    store = DuckDbStore(tmp_path / "series.duckdb", memory_mb=256)
    failures: list[BaseException] = []
    stop = threading.Event()

    def guarded(work: object) -> threading.Thread:
        def run() -> None:
            try:
                work()  # type: ignore[operator]
            except BaseException as error:
                failures.append(error)

        thread = threading.Thread(target=run)
        thread.start()
        return thread

    def write(device: str) -> None:
        for n in range(20):
            put(
                store, seconds(T0 + n * 50 * SECOND, [50.0] * 60, device=device)
            )  # ten of each batch are copies

    def read() -> None:
        while not stop.is_set():
            seen = store.count("noise", source="d0")
            assert len(store.noise_seconds(SITE, "d0", T0, T0 + HOUR).t) >= seen
            store.noise_windows(T0, T0 + HOUR)
            store.noise_hours(SITE, "d1", T0, T0 + HOUR)
            store.noise_latest()
            store.dirty_hours(T0 + DAY)

    readers = [guarded(read) for _ in range(3)]
    writers = [guarded(lambda n=n: write(f"d{n}")) for n in range(3)]
    for thread in writers:
        thread.join(timeout=120)
    stop.set()
    for thread in readers:
        thread.join(timeout=60)
    assert failures == []
    assert store.count("noise") == 3 * (19 * 50 + 60)
    store.close()


def test_closing_waits_and_later_calls_are_told(tmp_path: Path) -> None:
    store = DuckDbStore(tmp_path / "series.duckdb")
    put(store, [second(T0)])
    store.close()
    store.close()
    for call in (lambda: store.count("noise"), lambda: store.write([second(T0 + SECOND)])):
        with pytest.raises(StoreUnavailable, match="closed"):
            call()


def test_opened_again_it_knows_what_it_knew(tmp_path: Path) -> None:
    path = tmp_path / "series.duckdb"
    store = DuckDbStore(path)
    put(store, [second(T0 + n * SECOND, 40.0 + n) for n in range(10)])
    put(store, [water(T0, 5), water(T0 + HOUR, 6, flow_m3h=None, reverse_steps=None, serial="x")])
    known = (store.noise_latest(), store.water_latest(), store.newest(), store.dirty_hours(T0 + DAY))
    store.close()
    again = DuckDbStore(path)
    assert (again.noise_latest(), again.water_latest(), again.newest(), again.dirty_hours(T0 + DAY)) == known
    assert known[1][0][2].flow_m3h is known[1][0][2].reverse_ml is None
    again.close()


def test_the_file_can_be_read_by_people(tmp_path: Path) -> None:
    path = tmp_path / "series.duckdb"
    store = DuckDbStore(path)
    put(store, [second(T0, 51.5), water(T0, 7)])
    store.close()
    with duckdb.connect(str(path), read_only=True) as connection:
        noise = connection.execute("SELECT site, device, t, laeq_db FROM noise").fetchall()
        volume = connection.execute("SELECT meter, volume_ml FROM water").fetchall()
    assert noise == [(SITE, DEVICE, T0.replace(tzinfo=None), 51.5)]
    assert volume == [(METER, 7000)]
