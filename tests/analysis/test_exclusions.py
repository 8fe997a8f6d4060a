"""What is left of an hour that rain or a person cuts, also when retention has deleted its seconds."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from analysis.exclusions import Span, cut_hours
from analysis.rollups import roll_up
from store.series.duckdb_store import DuckDbStore
from store.series.interface import NoiseHour, SeriesStore
from store.series.retention import Retention
from tests.store.series.made import DAY, DEVICE, HOUR, MINUTE, SITE, T0, minute, put, seconds

LEVELS_DB = (50.0, 50.0, 70.0, 60.0)
"""Of the hour's first minutes."""
LAST = T0 + len(LEVELS_DB) * MINUTE


@pytest.fixture
def series(tmp_path: Path) -> Iterator[SeriesStore]:
    store = DuckDbStore(tmp_path / "series.duckdb", memory_mb=256, threads=1)
    for n, level_db in enumerate(LEVELS_DB):
        t = T0 + n * MINUTE
        put(
            store,
            [*seconds(t, [level_db] * 60), minute(t, {round(level_db * 10): 480})],
        )
    roll_up(store, T0 + DAY)
    yield store
    store.close()


def _cut(store: SeriesStore, start_s: float, end_s: float) -> NoiseHour:
    span = Span(T0 + timedelta(seconds=start_s), T0 + timedelta(seconds=end_s), "rain")
    (row,) = cut_hours(store, store.noise_rollups(T0, T0 + HOUR, site=SITE, source=DEVICE), [span])
    return row


def _forget(store: SeriesStore, retention: Retention) -> None:
    assert store.retain(retention, T0 + 2 * DAY, budget_s=60).deleted


def test_what_is_left_is_of_the_seconds(series: SeriesStore) -> None:
    row = _cut(series, 90, 180)
    assert (row.valid_s, row.excluded_s) == (150.0, {"rain": 90.0})
    assert row.lafmax_db == max(one.lafmax_db or 0.0 for one in series.noise_windows(T0 + 3 * MINUTE, LAST))


def test_what_is_left_is_of_whole_minutes_once_the_seconds_are_gone(series: SeriesStore) -> None:
    exact = _cut(series, 120, 180)
    _forget(series, Retention(seconds_days=1))
    row = _cut(series, 120, 180)
    assert row.valid_s == exact.valid_s == 180.0
    assert row.laeq_db == pytest.approx(exact.laeq_db, abs=0.06)  # a bin's middle stands for its levels
    assert _cut(series, 90, 179).valid_s == 120.0  # the second and the third minute are touched
    assert _cut(series, 0, 3600).laeq_db is None


def test_an_hour_that_cannot_be_cut_has_no_level(series: SeriesStore) -> None:
    _forget(series, Retention(seconds_days=1, minutes_days=1))
    row = _cut(series, 120, 180)
    assert (row.laeq_db, row.valid_s) == (None, 0.0)
