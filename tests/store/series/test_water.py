"""Conformance: volumes of hours from registers, against numpy's interpolation."""

from __future__ import annotations

from datetime import timedelta
from itertools import count

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from store.series.interface import SeriesStore
from tests.store.series.made import DAY, HOUR, METER, MINUTE, SECOND, SITE, T0, put, water

_SITES = (f"w{n}" for n in count())


def _volumes(
    store: SeriesStore, hours: int, *, start_h: int = 0, site: str = SITE
) -> dict[int, float | None]:
    rows = store.water_hours(site, METER, T0 + start_h * HOUR, T0 + (start_h + hours) * HOUR)
    return {round((row.t - T0) / HOUR): row.volume_l for row in rows}


def test_readings_on_the_hour_give_their_difference(store: SeriesStore) -> None:
    put(store, [water(T0 + n * HOUR, steps) for n, steps in enumerate([100, 130, 130, 175])])
    rows = store.water_hours(SITE, METER, T0, T0 + 4 * HOUR)
    assert [(row.volume_l, row.readings) for row in rows] == [(30.0, 1), (0.0, 1), (45.0, 1), (None, 1)]
    assert [row.t for row in rows] == [T0 + n * HOUR for n in range(4)]


def test_readings_between_the_hours_are_interpolated(store: SeriesStore) -> None:
    put(store, [water(T0 - 30 * MINUTE, 100), water(T0 + 30 * MINUTE, 160), water(T0 + 90 * MINUTE, 180)])
    assert _volumes(store, 1) == {0: pytest.approx((160 + 10) - (100 + 30))}


def test_a_silent_meter_is_interpolated_over_the_silence(store: SeriesStore) -> None:
    put(store, [water(T0, 1000), water(T0 + 10 * HOUR, 2000)])
    assert _volumes(store, 12) == {**{n: pytest.approx(100.0) for n in range(10)}, 10: None}
    assert [row.readings for row in store.water_hours(SITE, METER, T0, T0 + 10 * HOUR)] == [1] + [0] * 9
    assert _volumes(store, 2, start_h=4) == {4: pytest.approx(100.0), 5: pytest.approx(100.0)}


def test_nothing_is_made_up_outside_the_readings(store: SeriesStore) -> None:
    put(store, [water(T0 + 20 * MINUTE, 5), water(T0 + 40 * MINUTE, 6)])
    assert _volumes(store, 3, start_h=-1) == {0: None}
    assert _volumes(store, 3, start_h=5) == {}


def test_a_replaced_meter_starts_a_new_register(store: SeriesStore) -> None:
    put(store, [
        water(T0, 9000), water(T0 + HOUR, 9010),
        water(T0 + HOUR + 30 * MINUTE, 3, flags=("meter_replaced",)),
        water(T0 + 2 * HOUR, 8), water(T0 + 3 * HOUR, 20),
    ])  # fmt: skip
    assert _volumes(store, 3) == {0: 10.0, 1: None, 2: 12.0}
    assert [row.flags for row in store.water_hours(SITE, METER, T0, T0 + 3 * HOUR)] == [0, 4096, 0]


def test_flags_do_not_alter_the_volume(store: SeriesStore) -> None:
    put(
        store,
        [
            water(T0, 100),
            water(T0 + HOUR, 90, flags=("went_backwards",)),
            water(T0 + 2 * HOUR, 95, flags=("leak",)),
        ],
    )
    assert _volumes(store, 2) == {0: -10.0, 1: 5.0}


def test_a_large_register_keeps_its_small_gains(store: SeriesStore) -> None:
    high = 2**52
    put(
        store,
        [
            water(T0, high, step_ml=1),
            water(T0 + HOUR, high + 1, step_ml=1),
            water(T0 + 2 * HOUR, high + 3, step_ml=1),
        ],
    )
    assert _volumes(store, 2) == {0: 0.001, 1: 0.002}


def test_a_change_of_step_keeps_the_volume(store: SeriesStore) -> None:
    put(store, [water(T0, 12, step_ml=1000), water(T0 + HOUR, 12_500, step_ml=1)])
    assert _volumes(store, 1) == {0: 0.5}


def test_late_readings_change_the_hours_between(store: SeriesStore) -> None:
    put(store, [water(T0, 0), water(T0 + 4 * HOUR, 400)])
    put(store, [water(T0 + 2 * HOUR, 380)])
    assert _volumes(store, 4) == {0: 190.0, 1: 190.0, 2: 10.0, 3: 10.0}


@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.dictionaries(st.integers(0, 30 * 3600), st.integers(0, 500), min_size=2, max_size=25), st.randoms())
def test_any_register_is_interpolated_as_numpy_does(
    store: SeriesStore, gains: dict[int, int], random: object
) -> None:
    site = next(_SITES)
    at = sorted(gains)
    register = np.cumsum([gains[t] for t in at])
    entries = [water(T0 + t * SECOND, int(v), site=site) for t, v in zip(at, register, strict=True)]
    random.shuffle(entries)  # type: ignore[attr-defined]
    for n in range(0, len(entries), 7):
        put(store, entries[n : n + 7])
    found = _volumes(store, 31, site=site)
    for hour in range(31):
        inside = sum(1 for t in at if hour * 3600 <= t < (hour + 1) * 3600)
        if at[0] <= hour * 3600 and (hour + 1) * 3600 <= at[-1]:
            expected = np.diff(np.interp([hour * 3600, (hour + 1) * 3600], at, register))[0]
            assert found[hour] == pytest.approx(expected, abs=1e-6)
        else:
            assert (hour in found, found.get(hour)) == (inside > 0, None)


def test_a_reading_to_the_microsecond(store: SeriesStore) -> None:
    t = T0 + timedelta(microseconds=123_457)
    put(store, [water(t, 5)])
    assert [p.t for p in store.water_readings(SITE, METER, T0 - DAY, T0 + DAY)] == [t]
