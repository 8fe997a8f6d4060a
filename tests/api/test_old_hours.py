"""Hours are answered also when retention has deleted the readings that they were made of."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from analysis.rollups import roll_up
from api.hours import noise_hours, water_hours
from store.series.duckdb_store import DuckDbStore
from store.series.interface import NoiseHour, SeriesStore, WaterHour
from store.series.retention import Retention
from tests.store.series.made import DAY, DEVICE, HOUR, METER, MINUTE, SITE, T0, minute, put, seconds, water

NOW = T0 + 91 * DAY
ONLY_SECONDS_GO = Retention(seconds_days=1)
ALL_GOES = Retention(seconds_days=1, minutes_days=1)
SPANS = pytest.mark.parametrize("span", [2 * HOUR, 100 * DAY], ids=["hours", "months"])
KINDS = pytest.mark.parametrize("retention", [ONLY_SECONDS_GO, ALL_GOES], ids=["seconds go", "all goes"])


@pytest.fixture
def series(tmp_path: Path) -> Iterator[SeriesStore]:
    store = DuckDbStore(tmp_path / "series.duckdb", memory_mb=256, threads=1)
    put(store, [*seconds(T0, [50.0, 60.0] * 60), minute(T0), minute(T0 + MINUTE)])
    put(store, [water(T0, 10), water(T0 + MINUTE, 20), water(T0 + 2 * HOUR, 70)])
    yield store
    store.close()


def _noise(store: SeriesStore, span: timedelta = 2 * HOUR) -> list[NoiseHour]:
    return noise_hours(store, SITE, DEVICE, T0, T0 + span, NOW)


def _water(store: SeriesStore, span: timedelta = 2 * HOUR) -> list[WaterHour]:
    return water_hours(store, SITE, METER, T0, T0 + span, NOW)


def _computed(store: SeriesStore) -> tuple[list[NoiseHour], list[WaterHour]]:
    span = T0, T0 + 2 * HOUR
    return store.noise_hours(SITE, DEVICE, *span), store.water_hours(SITE, METER, *span)


@SPANS
@KINDS
def test_hours_outlive_their_readings(series: SeriesStore, retention: Retention, span: timedelta) -> None:
    roll_up(series, NOW)
    noise, water = series.noise_rollups(T0, T0 + span), series.water_rollups(T0, T0 + span)
    assert [row.seconds for row in noise] == [row.seconds for row in _noise(series, span)] == [120]
    assert water == _water(series, span) and all(row.volume_l is not None for row in water[:2])
    assert series.retain(retention, NOW, budget_s=60).deleted
    assert (_noise(series, span), _water(series, span)) == (noise, water)


def test_late_data_is_in_the_answer_before_it_is_in_the_row(series: SeriesStore) -> None:
    roll_up(series, NOW)
    put(series, seconds(T0 + 2 * MINUTE, [70.0] * 5))
    put(series, [water(T0 + 2 * MINUTE, 25)])
    assert [row.seconds for row in _noise(series)] == [125]
    assert [row.readings for row in _water(series)] == [3, 0]
    assert (_noise(series), _water(series)) == _computed(series)
    put(series, [minute(T0 + 2 * MINUTE, {700: 480})])
    assert (_noise(series), _water(series)) == _computed(series)


def test_an_hour_that_has_minutes_alone_is_an_hour(series: SeriesStore) -> None:
    put(series, [minute(T0 + HOUR)])
    assert [row.seconds for row in _noise(series)] == [120, 0]
