"""Readings go when their time is over, and never before their hour is rolled up; tidying changes order alone."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from itertools import count
from pathlib import Path

import pytest

from contract.clock import Clock
from store.series import duckdb_tidy
from store.series.duckdb_store import DuckDbStore
from store.series.housekeeping import Housekeeping
from store.series.influx_http import InfluxAddress, InfluxHttp
from store.series.influx_setup import init_store
from store.series.influx_store import InfluxStore
from store.series.interface import DirtyHour, SeriesStore, StoreUnavailable, WaterHour
from store.series.retention import Retained, Retention
from tests.store.series.made import (
    DAY,
    DEVICE,
    HOUR,
    METER,
    MINUTE,
    SECOND,
    SITE,
    T0,
    event,
    minute,
    put,
    second,
    seconds,
    water,
)
from tests.store.series.servers import influxdb

NOW = T0 + 91 * DAY


@pytest.fixture
def duckdb(tmp_path: Path) -> Iterator[DuckDbStore]:
    store = DuckDbStore(tmp_path / "series.duckdb", memory_mb=256, threads=1)
    yield store
    store.close()


def _roll_up(store: SeriesStore, device: str = DEVICE) -> None:
    for mark in store.dirty_hours(NOW):
        if mark.kind == "water":
            store.write_rollups(
                [], store.water_hours(SITE, mark.source, mark.t, mark.t + HOUR) or [_no_volume(mark)]
            )
        elif mark.source == device:
            store.write_rollups(store.noise_hours(SITE, device, mark.t, mark.t + HOUR), [])


def _no_volume(mark: DirtyHour) -> WaterHour:
    return WaterHour(mark.site, mark.source, mark.t, None, 0)


def _counts(store: SeriesStore) -> tuple[int, ...]:
    return tuple(store.count(kind) for kind in ("noise", "spectrum", "water", "event"))


def _fill(store: SeriesStore) -> None:
    for t in (T0, NOW - HOUR):
        meter = f"{METER}-{t.day}"  # a meter of its own: between two readings of one lie all the hours
        put(store, [*seconds(t, [50.0] * 5), minute(t), event(t)])
        put(store, [water(t, 10, meter=meter), water(t + MINUTE, 20, meter=meter)])


def test_each_kind_is_kept_for_its_time(duckdb: DuckDbStore) -> None:
    _fill(duckdb)
    _roll_up(duckdb)
    assert duckdb.retain(Retention(), NOW, budget_s=60) == Retained(deleted=5)
    assert _counts(duckdb) == (5, 2, 4, 2)
    assert duckdb.retain(Retention(None, 30), NOW, budget_s=60).deleted == 3
    assert _counts(duckdb) == (5, 1, 2, 2)
    assert duckdb.retain(Retention(None, None), NOW + 10_000 * DAY, budget_s=60) == Retained()
    assert [row.seconds for row in duckdb.noise_rollups(T0, T0 + HOUR)] == [5]


def test_the_hour_on_the_border_stays_whole(duckdb: DuckDbStore) -> None:
    put(duckdb, seconds(T0, [50.0] * 3600))
    _roll_up(duckdb)
    assert duckdb.retain(Retention(seconds_days=1), T0 + DAY + HOUR - SECOND, budget_s=60).deleted == 0
    assert duckdb.retain(Retention(seconds_days=1), T0 + DAY + HOUR, budget_s=60).deleted == 3600


def test_nothing_goes_whose_hour_has_not_been_rolled_up(duckdb: DuckDbStore) -> None:
    put(
        duckdb, [*seconds(T0, [50.0] * 5), *seconds(T0, [60.0] * 7, device="roof"), minute(T0), water(T0, 10)]
    )
    retention = Retention(seconds_days=1, minutes_days=1)
    assert duckdb.retain(retention, NOW, budget_s=60) == Retained(deleted=0, waiting=4)
    _roll_up(duckdb, "roof")
    assert (
        duckdb.retain(retention, NOW, budget_s=60).deleted == 8
    )  # the roof's seconds, and the meter's reading
    assert _counts(duckdb) == (5, 1, 0, 0)
    _roll_up(duckdb)
    assert duckdb.retain(retention, NOW, budget_s=60) == Retained(deleted=6, waiting=0)


def test_late_data_is_rolled_up_again_before_it_goes(duckdb: DuckDbStore) -> None:
    put(duckdb, seconds(T0, [50.0] * 5))
    _roll_up(duckdb)
    put(duckdb, seconds(T0 + MINUTE, [50.0] * 5))
    assert duckdb.retain(Retention(), NOW, budget_s=60) == Retained(deleted=0, waiting=1)
    _roll_up(duckdb)
    assert duckdb.retain(Retention(), NOW, budget_s=60).deleted == 10
    assert [(row.seconds, row.revision) for row in duckdb.noise_rollups(T0, T0 + HOUR)] == [(10, 1)]


def test_a_piece_of_work_is_short_and_the_next_goes_on(duckdb: DuckDbStore) -> None:
    put(duckdb, [second(T0 + n * HOUR) for n in range(5)])
    _roll_up(duckdb)
    assert duckdb.retain(Retention(), NOW + DAY, budget_s=0) == Retained(deleted=0, more=True)
    assert duckdb.retain(Retention(), NOW + DAY, budget_s=60) == Retained(deleted=5)


def test_the_server_keeps_what_is_not_rolled_up(program: Callable[[str], str], tmp_path: Path) -> None:
    """InfluxDB, looking every second for shards whose time is over, deletes them only once their hours have rows."""
    with influxdb(program("influxd"), tmp_path, RETENTION_CHECK_INTERVAL="200ms") as server:
        address = InfluxAddress(server.url)
        init_store(address, Retention(None, None))
        store = InfluxStore(address)
        now = datetime.now(UTC).replace(microsecond=0)
        old = now.replace(minute=0, second=0, microsecond=0) - 100 * DAY
        put(store, [*seconds(old, [50.0] * 5), *seconds(now - DAY, [50.0] * 5)])
        assert store.retain(Retention(), now, budget_s=1).waiting == 1
        assert _kept_days(address) == {"seconds": "0s", "minutes": "26280h0m0s"}
        for mark in store.dirty_hours(now):
            store.write_rollups(store.noise_hours(SITE, DEVICE, mark.t, mark.t + HOUR), [])
        assert store.count("noise") == 10
        assert store.retain(Retention(), now, budget_s=1).waiting == 0
        assert _kept_days(address) == {"seconds": "2160h0m0s", "minutes": "26280h0m0s"}
        waiting = threading.Event()
        for _ in range(300):
            if store.count("noise") == 5:
                break
            waiting.wait(0.1)
        assert store.count("noise") == 5
        assert [row.seconds for row in store.noise_rollups(old, old + HOUR)] == [5]
        store.close()


def _wall_now():
    from datetime import UTC, datetime

    return datetime.now(UTC)


def _kept_days(address: InfluxAddress) -> dict[str, str]:
    http = InfluxHttp(address)
    found = {}
    for name in (address.seconds, address.minutes):
        ((row,),) = http.query("", [f'SHOW RETENTION POLICIES ON "{name}"'])
        found[name.rsplit("-", 1)[-1]] = row.values[0][row.columns.index("duration")]
    http.close()
    return found


# -- order -----------------------------------------------------------------------------------------------------


def test_tidying_changes_the_order_alone(duckdb: DuckDbStore, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(duckdb_tidy, "_ROWS_AT_A_TIME", 100)
    devices = ("gate", "roof", "yard")
    for n in range(90):
        t = T0 + n * MINUTE
        put(duckdb, [second(t, 40.0 + n % 20, device=one) for one in devices])
        put(duckdb, [minute(t, device=one) for one in devices])
        put(duckdb, [water(t, n, meter=one) for one in devices])
    span = (T0, T0 + 3 * HOUR)
    before = [
        (
            duckdb.noise_hours(SITE, one, *span),
            duckdb.noise_seconds(SITE, one, *span),
            duckdb.water_hours(SITE, one, *span),
        )
        for one in devices
    ]
    assert duckdb.tidy(T0 + 2 * DAY, budget_s=0) is True
    ticks = count()
    monkeypatch.setattr(duckdb._tidying, "_monotonic", lambda: float(next(ticks)))
    rounds = 1
    while duckdb.tidy(T0 + 2 * DAY, budget_s=2):  # time for one slice a table, or two
        rounds += 1
    assert 2 < rounds < 60  # a span that takes many rounds goes on where it was
    assert before == [
        (
            duckdb.noise_hours(SITE, one, *span),
            duckdb.noise_seconds(SITE, one, *span),
            duckdb.water_hours(SITE, one, *span),
        )
        for one in devices
    ]
    assert _counts(duckdb) == (270, 270, 270, 0)
    with duckdb._file.read() as connection:
        for table, time in (("noise_second", "t_s"), ("noise_minute", "t_s"), ("water_reading", "t_us")):
            rows = connection.rows(
                f"SELECT source, {time} FROM {table} WHERE {time} < {_unit(time, T0 + HOUR)} ORDER BY rowid"
            )
            assert rows == sorted(rows)
    put(duckdb, [second(T0 + HOUR + SECOND)])
    assert duckdb.write([second(T0, 99.0)]).accepted == 1
    assert duckdb.count("noise") == 271


def _unit(time: str, t: datetime) -> int:
    return int(t.timestamp()) * (1 if time == "t_s" else 1_000_000)


def test_an_hour_that_may_still_grow_is_left(duckdb: DuckDbStore) -> None:
    put(duckdb, [second(T0 + n * MINUTE, device=one) for n in range(90) for one in ("gate", "roof")])
    assert duckdb.tidy(T0 + HOUR + MINUTE, budget_s=60) is False
    with duckdb._file.read() as connection:
        assert connection.rows("SELECT name, upto FROM tidied") == [
            ("noise_second/3600", _unit("t_s", T0 + HOUR))
        ]


# -- by itself -------------------------------------------------------------------------------------------------


class _At:
    speed = 1.0

    def now(self) -> datetime:
        return NOW


def test_it_runs_by_itself_and_outlives_a_store_that_is_away(
    duckdb: DuckDbStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("store.series.housekeeping._EVERY_S", 0.01)
    put(duckdb, seconds(T0, [50.0] * 5))
    _roll_up(duckdb)
    away = threading.Event()
    retain = duckdb.retain

    def sometimes(*args: object, **kwargs: object) -> Retained:
        if not away.is_set():
            away.set()
            raise StoreUnavailable("away")
        return retain(*args, **kwargs)  # type: ignore[arg-type]

    monkeypatch.setattr(duckdb, "retain", sometimes)
    clock: Clock = _At()
    keeper = Housekeeping(duckdb, Retention(), clock)
    keeper.start()
    waiting = threading.Event()
    for _ in range(1000):
        if keeper.stats.deleted:
            break
        waiting.wait(0.01)
    keeper.stop()
    assert (keeper.stats.deleted, keeper.stats.errors) == (5, 1)
    assert duckdb.count("noise") == 0
