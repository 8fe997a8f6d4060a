"""Conformance: dirty hours, hour rows and their revisions."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from store.series.interface import DirtyHour, NoiseHour, SeriesStore, WaterHour
from tests.store.series.conftest import OpenStore
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


def _noise_mark(hour: int, device: str = DEVICE) -> DirtyHour:
    return DirtyHour("noise", SITE, device, T0 + hour * HOUR)


def _water_marks(store: SeriesStore) -> set[int]:
    return {round((m.t - T0) / HOUR) for m in store.dirty_hours(T0 + 90 * DAY) if m.kind == "water"}


def _roll_up(store: SeriesStore, marks: list[DirtyHour]) -> None:
    noise: list[NoiseHour] = []
    rows: list[WaterHour] = []
    for mark in marks:
        if mark.kind == "noise":
            noise += store.noise_hours(mark.site, mark.source, mark.t, mark.t + HOUR)
        else:
            found = store.water_hours(mark.site, mark.source, mark.t, mark.t + HOUR)
            rows += found or [WaterHour(mark.site, mark.source, mark.t, None, 0)]
    store.write_rollups(noise, rows)


def test_an_hour_is_due_once_it_is_over(open_store: OpenStore) -> None:
    store = open_store()
    put(store, [second(T0), minute(T0 + HOUR), second(T0, device="roof"), event(T0)])
    assert store.dirty_hours(T0 + HOUR - SECOND) == []
    assert store.dirty_hours(T0 + HOUR) == [_noise_mark(0), _noise_mark(0, "roof")]
    store.close()
    assert open_store().dirty_hours(T0 + DAY) == [_noise_mark(0), _noise_mark(0, "roof"), _noise_mark(1)]


def test_the_oldest_come_first_and_no_more_than_asked(store: SeriesStore) -> None:
    put(store, [second(T0 + n * HOUR) for n in (5, 3, 4, 1)])
    assert store.dirty_hours(T0 + DAY, limit=2) == [_noise_mark(1), _noise_mark(3)]


def test_a_rollup_clears_its_mark_and_late_data_sets_it_again(open_store: OpenStore) -> None:
    store = open_store()
    put(store, seconds(T0, [50] * 100))
    _roll_up(store, store.dirty_hours(T0 + DAY))
    assert store.dirty_hours(T0 + DAY) == []
    (row,) = store.noise_rollups(T0, T0 + DAY)
    assert (row.seconds, row.revision) == (100, 0)
    put(store, seconds(T0 + MINUTE, [70] * 100))
    assert store.dirty_hours(T0 + DAY) == [_noise_mark(0)]
    _roll_up(store, store.dirty_hours(T0 + DAY))
    store.close()
    again = open_store()
    (row,) = again.noise_rollups(T0, T0 + DAY)
    assert (row.seconds, row.revision) == (160, 1)
    assert again.dirty_hours(T0 + DAY) == []


def test_a_meters_first_batch_marks_the_hours_between_its_readings(store: SeriesStore) -> None:
    readings = [water(T0, 10), water(T0 + 3 * HOUR, 40), water(T0 + 5 * HOUR, 60)]
    put(store, [*readings, water(T0 + 8 * HOUR, 10, meter="flat-2")])
    assert _water_marks(store) == {0, 1, 2, 3, 4, 5, 8}
    _roll_up(store, store.dirty_hours(T0 + DAY))
    volumes = {
        round((row.t - T0) / HOUR): row.volume_l for row in store.water_rollups(T0, T0 + DAY, source=METER)
    }
    assert volumes == pytest.approx({0: 10.0, 1: 10.0, 2: 10.0, 3: 10.0, 4: 10.0, 5: None})


def test_copies_make_nothing_dirty(store: SeriesStore) -> None:
    entries = [second(T0), minute(T0), water(T0, 1), water(T0 + HOUR, 2)]
    put(store, entries)
    _roll_up(store, store.dirty_hours(T0 + DAY))
    put(store, entries)
    assert store.dirty_hours(T0 + DAY) == []


def test_data_between_computing_and_storing_keeps_the_mark(store: SeriesStore) -> None:
    put(store, [second(T0)])
    (mark,) = store.dirty_hours(T0 + DAY)
    rows = store.noise_hours(SITE, DEVICE, mark.t, mark.t + HOUR)
    put(store, [second(T0 + SECOND)])
    store.write_rollups(rows, [])
    assert store.dirty_hours(T0 + DAY) == [mark]
    assert store.noise_rollups(T0, T0 + DAY)[0].seconds == 1
    _roll_up(store, store.dirty_hours(T0 + DAY))
    assert store.dirty_hours(T0 + DAY) == []
    assert [(row.seconds, row.revision) for row in store.noise_rollups(T0, T0 + DAY)] == [(2, 1)]


def test_the_same_interruption_for_water(store: SeriesStore) -> None:
    put(store, [water(T0, 0), water(T0 + HOUR, 10)])
    marks = store.dirty_hours(T0 + HOUR)
    rows = store.water_hours(SITE, METER, T0, T0 + HOUR)
    put(store, [water(T0 + 30 * MINUTE, 9)])
    store.write_rollups([], rows)
    assert store.dirty_hours(T0 + HOUR) == marks == [DirtyHour("water", SITE, METER, T0)]


def test_a_rollup_comes_back_as_it_was_written(store: SeriesStore) -> None:
    noise = NoiseHour(
        SITE, DEVICE, T0, 55.25, 61.5, 58.25, 50.0, 44.5, 43.75, 80.5, 40.25, 4.5, 3599.5, 0.99986, 3600.0, 3600,
        "histogram", [-5, 440, 805], [1, 28_799, 2_000_000], {"gap": 0.5, "rain": 12.0},
    )  # fmt: skip
    bare = NoiseHour(SITE, "roof", T0, None, None, None, None, None, None, None, None, None, 0.0, 0.0, 5.0, 5)
    rows = [WaterHour(SITE, METER, T0, 12.345, 4, 33), WaterHour(SITE, METER, T0 + HOUR, None, 1)]
    store.write_rollups([noise, bare], rows)
    assert store.noise_rollups(T0, T0 + HOUR) == [noise, bare]
    assert store.water_rollups(T0, T0 + DAY) == rows


def test_rollups_by_range_site_and_source(store: SeriesStore) -> None:
    one = NoiseHour(
        SITE, DEVICE, T0, 50.0, None, None, None, None, None, 60.0, 40.0, None, 60.0, 0.1, 60.0, 60
    )
    rows = [
        replace(one, t=T0 + n * HOUR, source=source, site=site)
        for n in (2, 0, 1)
        for site, source in ((SITE, "gate"), (SITE, "roof"), ("lake", "gate"))
    ]
    store.write_rollups(rows, [])
    found = store.noise_rollups(T0, T0 + 2 * HOUR)
    assert len(found) == 6
    assert [row.t for row in found] == sorted(row.t for row in found)
    assert [row.t for row in store.noise_rollups(T0, T0 + DAY, site="lake", source="gate")] == [
        T0 + n * HOUR for n in range(3)
    ]
    assert {row.source for row in store.noise_rollups(T0, T0 + DAY, site=SITE)} == {"gate", "roof"}
    assert store.noise_rollups(T0, T0 + DAY, site="nowhere") == store.noise_rollups(T0, T0) == []


def test_a_poorer_row_does_not_replace_a_richer_one(store: SeriesStore) -> None:
    """After retention has deleted seconds, an hour computed from what late data brought knows less."""
    put(store, seconds(T0, [50] * 600))
    (rich,) = store.noise_hours(SITE, DEVICE, T0, T0 + HOUR)
    store.dirty_hours(T0 + DAY)
    store.write_rollups([rich], [WaterHour(SITE, METER, T0, 9.0, 4)])
    store.write_rollups([replace(rich, measured_s=5.0, laeq_db=20.0)], [WaterHour(SITE, METER, T0, None, 1)])
    # As much time measured, but from minutes alone; as many readings, but no volume.
    store.write_rollups([replace(rich, seconds=0, laeq_db=20.0)], [WaterHour(SITE, METER, T0, None, 4)])
    (row,) = store.noise_rollups(T0, T0 + HOUR)
    assert row.laeq_db == pytest.approx(50.0, abs=1e-3)
    assert row.revision == 0
    assert store.water_rollups(T0, T0 + HOUR)[0].volume_l == 9.0


def test_water_marks_every_hour_that_it_changes(store: SeriesStore) -> None:
    put(store, [water(T0 + 30 * MINUTE, 0)])
    assert _water_marks(store) == {0}
    put(store, [water(T0 + 5 * HOUR + 30 * MINUTE, 60)])
    assert _water_marks(store) == {0, 1, 2, 3, 4, 5}
    _roll_up(store, store.dirty_hours(T0 + 90 * DAY))
    assert _water_marks(store) == set()
    put(store, [water(T0 + 3 * HOUR, 50)])
    assert _water_marks(store) == {0, 1, 2, 3, 4, 5}
    _roll_up(store, store.dirty_hours(T0 + 90 * DAY))
    put(store, [water(T0 - 40 * DAY, 0)])
    assert _water_marks(store) == set(range(-40 * 24, 1))


def test_what_is_rolled_up_equals_what_is_computed(store: SeriesStore) -> None:
    put(store, [second(T0 + n * 37 * SECOND, 40.0 + n % 30) for n in range(400)])
    put(store, [water(T0 + n * 17 * MINUTE, n * n) for n in range(30)])
    marks = store.dirty_hours(T0 + 90 * DAY)
    _roll_up(store, marks)
    computed = store.noise_hours(SITE, DEVICE, T0, T0 + DAY)
    rolled = store.noise_rollups(T0, T0 + DAY)
    assert [(r.t, r.seconds, r.valid_s) for r in rolled] == [(c.t, c.seconds, c.valid_s) for c in computed]
    for row, fresh in zip(rolled, computed, strict=True):
        for key in ("laeq_db", "l5_db", "l10_db", "l50_db", "l90_db", "l95_db", "lafmax_db", "sd_db"):
            assert abs(getattr(row, key) - getattr(fresh, key)) < 1e-3
        assert row.laf_counts == fresh.laf_counts
    fresh_water = store.water_hours(SITE, METER, T0, T0 + DAY)
    assert [(w.t, w.readings) for w in store.water_rollups(T0, T0 + DAY)] == [
        (w.t, w.readings) for w in fresh_water
    ]


def test_periods_are_put_together_from_hours_that_count(store: SeriesStore) -> None:
    first, again, poor, silent = (T0 + n * HOUR for n in range(4))
    rows = [
        NoiseHour(SITE, DEVICE, first, 50.0, *[None] * 5, 70.0, 40.0, 1.0, 3600.0, 1.0, 3600.0, 3600),
        NoiseHour(SITE, DEVICE, again, 60.0, *[None] * 5, 72.0, 40.0, 1.0, 2700.0, 0.75, 3600.0, 3600),
        NoiseHour(SITE, DEVICE, poor, 90.0, *[None] * 5, 95.0, 40.0, 1.0, 360.0, 0.1, 3600.0, 3600),
        NoiseHour(SITE, DEVICE, silent, None, *[None] * 5, None, None, None, 0.0, 0.0, 0.0, 0),
        NoiseHour("lake", "a", first, 40.0, *[None] * 5, 50.0, 30.0, 1.0, 3600.0, 1.0, 3600.0, 3600),
        NoiseHour(SITE, "a-roof", silent, 45.0, *[None] * 5, 50.0, 30.0, 1.0, 60.0, 0.02, 60.0, 60),
    ]
    store.write_rollups(rows[1:], [])
    store.write_rollups(rows[:1], [])
    periods = [(first, poor + HOUR), (silent, silent + HOUR), (first, first)]
    table = store.noise_periods(periods, hour_share=0.75)
    assert list(zip(table.site, table.source, table.period, table.counted, strict=True)) == [
        (SITE, "a-roof", 1, 0), (SITE, DEVICE, 0, 2), ("lake", "a", 0, 1),
    ]  # fmt: skip
    mean = 10 * np.log10((1e5 * 3600 + 1e6 * 2700) / 6300)
    assert table.laeq_db == pytest.approx([np.nan, mean, 40.0], abs=1e-3, nan_ok=True)
    assert table.lafmax_db == pytest.approx([50.0, 95.0, 50.0], abs=1e-3)
    assert list(store.noise_periods(periods, hour_share=0.75, site="lake").site) == ["lake"]
    assert list(store.noise_periods([], hour_share=0.75).site) == []
