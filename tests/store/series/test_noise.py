"""Conformance: levels, percentiles and validity, against numpy on the same readings."""

from __future__ import annotations

from datetime import date, timedelta
from itertools import count

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from contract.flags import NOISE_EXCLUDED, NoiseFlag, names
from contract.sitetime import SiteClock
from store.series.interface import SeriesStore
from tests.store.series.made import (
    DAY,
    DEVICE,
    HOUR,
    MINUTE,
    SECOND,
    SITE,
    T0,
    energy_mean_db,
    exceeded_db,
    minute,
    put,
    samples_of,
    second,
    seconds,
)

PERCENTS = (5, 10, 50, 90, 95)
_SITES = (f"n{n}" for n in count())


def test_the_average_is_energetic(store: SeriesStore) -> None:
    put(store, [second(T0, 50.0), second(T0 + SECOND, 60.0)])
    (hour,) = store.noise_hours(SITE, DEVICE, T0, T0 + HOUR)
    assert hour.laeq_db == pytest.approx(10 * np.log10((1e5 + 1e6) / 2), abs=1e-4)  # 57.40, not 55
    assert (hour.lafmax_db, hour.lafmin_db, hour.seconds, hour.valid_s) == (60.0, 50.0, 2, 2.0)
    assert hour.valid_share == pytest.approx(2 / 3600)
    assert hour.revision == 0


def test_a_second_weighs_with_the_time_it_measured(store: SeriesStore) -> None:
    put(store, [second(T0, 80.0, measured_ms=100, flags=("gap",)), second(T0 + SECOND, 50.0)])
    (hour,) = store.noise_hours(SITE, DEVICE, T0, T0 + HOUR)
    assert hour.laeq_db == pytest.approx(10 * np.log10((1e8 * 0.1 + 1e5) / 1.1), abs=1e-4)
    assert (hour.valid_s, hour.measured_s) == (1.1, 1.1)
    assert dict(hour.excluded_s) == {"gap": 0.1}


@pytest.mark.parametrize("flag", list(NoiseFlag))
def test_each_flag_is_left_out_or_not_as_the_contract_says(store: SeriesStore, flag: NoiseFlag) -> None:
    (name,) = names(flag)
    put(store, [second(T0, 90.0, flags=(name,)), second(T0 + SECOND, 50.0)])
    (hour,) = store.noise_hours(SITE, DEVICE, T0, T0 + HOUR)
    (window,) = store.noise_windows(T0, T0 + 2 * SECOND)
    (step,) = store.noise_series(SITE, DEVICE, T0, T0 + HOUR, step_s=3600)
    left_out = bool(flag & NOISE_EXCLUDED)
    for level in (hour.laeq_db, window.laeq_db, step.laeq_db):
        assert level == pytest.approx(50.0 if left_out else 10 * np.log10((1e9 + 1e5) / 2), abs=1e-3)
    assert hour.lafmax_db == window.lafmax_db == step.lafmax_db == (50.0 if left_out else 90.0)
    assert (hour.valid_s, hour.measured_s, hour.seconds) == (1.0 if left_out else 2.0, 2.0, 2)
    assert window.valid_share == (0.5 if left_out else 1.0)
    assert dict(hour.excluded_s) == {name: 1.0}


def test_an_hour_without_valid_time_has_no_level_but_its_reasons(store: SeriesStore) -> None:
    put(store, seconds(T0, [60, 61, 62], flags=("wind", "rain")))
    (hour,) = store.noise_hours(SITE, DEVICE, T0, T0 + HOUR)
    assert (hour.laeq_db, hour.l50_db, hour.lafmax_db, hour.sd_db, hour.ln_from) == (
        None,
        None,
        None,
        None,
        "none",
    )
    assert (hour.valid_s, hour.measured_s, dict(hour.excluded_s)) == (0.0, 3.0, {"wind": 3.0, "rain": 3.0})
    assert list(hour.laf_bins) == list(hour.laf_counts) == []
    (step,) = store.noise_series(SITE, DEVICE, T0, T0 + HOUR, step_s=60)
    assert (step.laeq_db, step.lafmax_db, step.valid_share) == (None, None, 0.0)
    (window,) = store.noise_windows(T0, T0 + MINUTE)
    assert (window.laeq_db, window.valid_s, window.last_t) == (None, 0.0, T0 + 2 * SECOND)


def test_an_hour_of_seconds_equals_numpy(store: SeriesStore) -> None:
    rng = np.random.default_rng(20260310)
    levels = np.round(rng.normal(52.0, 6.0, 3600), 1)
    laf = np.round(levels + rng.normal(0, 2, 3600), 2)
    entries = [
        second(
            T0 + n * SECOND, float(levels[n]), laf_db=float(laf[n]), lafmax_db=float(laf[n] + 3),
            measured_ms=int(rng.integers(1, 1001)), flags=("rain",) if n % 7 == 0 else (),
        )
        for n in range(3600)
    ]  # fmt: skip
    put(store, entries)
    (hour,) = store.noise_hours(SITE, DEVICE, T0, T0 + HOUR)
    used = laf[[n for n in range(3600) if n % 7]]
    assert hour.ln_from == "seconds"
    assert hour.laeq_db == pytest.approx(energy_mean_db(entries), abs=1e-3)
    assert hour.sd_db == pytest.approx(np.std(used, ddof=1), abs=0.02)
    for percent in PERCENTS:
        assert getattr(hour, f"l{percent}_db") == pytest.approx(exceeded_db(used, percent), abs=0.1)
    assert sum(hour.laf_counts) == len(used)
    assert list(hour.laf_bins) == sorted(set(np.floor(np.round(used * 10, 3)).astype(int).tolist()))


def test_an_hour_of_histograms_equals_numpy(store: SeriesStore) -> None:
    rng = np.random.default_rng(6)
    minutes = []
    for n in range(60):
        bins, counts = np.unique(np.floor(rng.normal(500 + n, 40, 480)).astype(int), return_counts=True)
        minutes.append(minute(T0 + n * MINUTE, dict(zip(bins.tolist(), counts.tolist(), strict=True))))
    put(store, minutes + seconds(T0, np.full(3600, 40.0)))
    (hour,) = store.noise_hours(SITE, DEVICE, T0, T0 + HOUR)
    samples = samples_of(minutes)
    assert hour.ln_from == "histogram"
    assert hour.laeq_db == pytest.approx(40.0, abs=1e-4), "LAeq is of the seconds where there are seconds"
    assert sum(hour.laf_counts) == len(samples)
    assert hour.sd_db == pytest.approx(np.std(samples, ddof=1), abs=1e-3)
    for percent in PERCENTS:
        assert getattr(hour, f"l{percent}_db") == pytest.approx(exceeded_db(samples, percent), abs=0.1)


def test_percentiles_are_interpolated_within_a_bin(store: SeriesStore) -> None:
    put(store, [minute(T0, {500: 80, 600: 20}), *seconds(T0, [50.0] * 60)])
    (hour,) = store.noise_hours(SITE, DEVICE, T0, T0 + HOUR)
    assert hour.l5_db == pytest.approx(60.1 - 0.1 * 5 / 20, abs=1e-6)
    assert hour.l10_db == pytest.approx(60.05, abs=1e-6)
    assert hour.l50_db == pytest.approx(50.1 - 0.1 * 30 / 80, abs=1e-6)
    assert hour.l95_db == pytest.approx(50.1 - 0.1 * 75 / 80, abs=1e-6)
    assert (list(hour.laf_bins), list(hour.laf_counts)) == ([500, 600], [80, 20])


@pytest.mark.parametrize("level", [50.1, 0.3, -0.1, -12.7, 99.9, 100.0])
def test_a_level_on_the_border_of_a_bin_falls_into_it(store: SeriesStore, level: float) -> None:
    put(store, seconds(T0, [level]))
    (hour,) = store.noise_hours(SITE, DEVICE, T0, T0 + HOUR)
    assert list(hour.laf_bins) == [round(level * 10)]


def test_histograms_of_a_few_minutes_do_not_speak_for_the_hour(store: SeriesStore) -> None:
    loud = [minute(T0 + n * MINUTE, {900: 480}) for n in range(3)]
    put(store, loud + seconds(T0, np.full(3600, 45.0)))
    (hour,) = store.noise_hours(SITE, DEVICE, T0, T0 + HOUR)
    assert hour.ln_from == "seconds"
    assert hour.l50_db == pytest.approx(45.05, abs=0.06)


def test_where_the_seconds_were_dropped_the_minutes_answer(store: SeriesStore) -> None:
    """A full outbox drops seconds first; after 90 days the server does. The energy of LAF is that of LAeq."""
    put(store, [
        *(minute(T0 + n * MINUTE, {500: 240, 600: 240}) for n in range(58)),
        minute(T0 + 58 * MINUTE, {700: 480}, flags=("rain",)),
        *seconds(T0 + 59 * MINUTE, np.full(60, 50.05)),
    ])  # fmt: skip
    (hour,) = store.noise_hours(SITE, DEVICE, T0, T0 + HOUR)
    dropped = (10**5.005 + 10**6.005) / 2
    assert hour.laeq_db == pytest.approx(10 * np.log10((58 * dropped + 10**5.005) / 59), abs=1e-4)
    assert (hour.valid_s, hour.measured_s, hour.seconds) == (59 * 60.0, 3600.0, 60)
    assert dict(hour.excluded_s) == {"rain": 60.0}
    assert hour.lafmax_db == pytest.approx(60.05, abs=0.051)
    points = store.noise_series(SITE, DEVICE, T0, T0 + HOUR, step_s=60)
    assert len(points) == 60
    assert points[0].laeq_db == pytest.approx(10 * np.log10(dropped), abs=1e-4)
    assert (points[58].laeq_db, points[58].valid_share, points[59].laeq_db) == (
        None,
        0.0,
        pytest.approx(50.05, abs=1e-4),
    )
    assert len(store.noise_series(SITE, DEVICE, T0, T0 + HOUR, step_s=10)) == 6, "no step finer than its data"


def test_hours_are_those_that_begin_in_the_range_and_are_whole(store: SeriesStore) -> None:
    put(store, seconds(T0 - SECOND, np.full(2 * 3600 + 2, 50.0)))
    hours = store.noise_hours(SITE, DEVICE, T0, T0 + HOUR + SECOND)
    assert [(hour.t, hour.seconds) for hour in hours] == [(T0, 3600), (T0 + HOUR, 3600)]
    assert [hour.t for hour in store.noise_hours(SITE, DEVICE, T0 + SECOND, T0 + HOUR)] == []
    assert len(store.noise_hours(SITE, DEVICE, T0 - DAY, T0 + DAY)) == 4


def test_a_series_in_steps(store: SeriesStore) -> None:
    put(store, [*seconds(T0, [50] * 10 + [60] * 10), *seconds(T0 + 60 * SECOND, [70] * 5)])
    points = store.noise_series(SITE, DEVICE, T0, T0 + MINUTE + 5 * SECOND, step_s=10)
    assert [(p.t - T0).total_seconds() for p in points] == [0, 10, 60]
    assert [p.laeq_db for p in points] == [pytest.approx(level, abs=1e-4) for level in (50, 60, 70)]
    assert [p.valid_share for p in points] == [1.0, 1.0, 0.5]
    with pytest.raises(ValueError, match="step"):
        store.noise_series(SITE, DEVICE, T0, T0 + HOUR, step_s=0)


def test_windows_hold_every_source_also_the_silent(store: SeriesStore) -> None:
    put(
        store,
        [*seconds(T0, [50] * 60), *seconds(T0 - DAY, [60], device="roof"), second(T0, 70.0, site="lake")],
    )
    start, end = T0, T0 + 2 * MINUTE
    windows = {(w.site, w.source): w for w in store.noise_windows(start, end)}
    assert set(windows) == {(SITE, "gate"), (SITE, "roof"), ("lake", "gate")}
    gate, roof = windows[SITE, "gate"], windows[SITE, "roof"]
    assert (gate.laeq_db, gate.valid_s, gate.valid_share) == (pytest.approx(50.0, abs=1e-4), 60.0, 0.5)
    assert gate.last_t == T0 + 59 * SECOND
    assert (roof.laeq_db, roof.lafmax_db, roof.valid_s, roof.valid_share, roof.last_t) == (
        None,
        None,
        0.0,
        0.0,
        None,
    )
    assert {w.source for w in store.noise_windows(start, end, site="lake")} == {"gate"}


@pytest.mark.parametrize(
    ("zone", "day", "hours"),
    [
        ("Asia/Shanghai", date(2026, 3, 10), 24),
        ("Europe/Berlin", date(2026, 3, 29), 23),
        ("Europe/Berlin", date(2026, 10, 25), 25),
    ],
)
def test_a_local_day_has_its_hours_when_clocks_change(
    store: SeriesStore, zone: str, day: date, hours: int
) -> None:
    clock = SiteClock(zone)
    start, end = clock.midnight(day), clock.midnight(day + timedelta(days=1))
    put(store, [second(start + n * MINUTE, 50.0 + n % 10) for n in range(-60, 26 * 60)])
    rows = store.noise_hours(SITE, DEVICE, start, end)
    assert len(rows) == hours == (end - start) / HOUR
    assert {row.seconds for row in rows} == {60}
    assert rows[0].t == start
    night = clock.night_bounds(day)
    assert sum(row.seconds for row in rows if night[0] <= row.t < night[1]) == 2 * 60


@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.lists(
        st.tuples(
            st.floats(-50, 200, width=32), st.integers(1, 1000),
            st.sets(st.sampled_from([names(flag)[0] for flag in NoiseFlag]), max_size=3),
        ),
        min_size=1, max_size=60,
    )
)  # fmt: skip
def test_any_seconds_average_to_what_numpy_says(
    store: SeriesStore, drawn: list[tuple[float, int, set[str]]]
) -> None:
    site = next(_SITES)
    entries = [
        second(T0 + n * SECOND, level, site=site, measured_ms=ms, flags=tuple(sorted(flags)))
        for n, (level, ms, flags) in enumerate(drawn)
    ]
    put(store, entries)
    (hour,) = store.noise_hours(site, DEVICE, T0, T0 + HOUR)
    excluded = {name for flag in NoiseFlag if flag & NOISE_EXCLUDED for name in names(flag)}
    used = [(level, ms) for level, ms, flags in drawn if not flags & excluded]
    assert hour.valid_s == pytest.approx(sum(ms for _, ms in used) / 1000, abs=1e-6)
    assert hour.measured_s == pytest.approx(sum(ms for _, ms, _ in drawn) / 1000, abs=1e-6)
    assert sum(hour.laf_counts) == len(used)
    if used:
        assert hour.laeq_db == pytest.approx(energy_mean_db(entries), abs=1e-3)
        assert hour.lafmax_db == pytest.approx(max(level for level, _ in used), abs=1e-3)
        ordered = [getattr(hour, f"l{percent}_db") for percent in PERCENTS]
        assert ordered == sorted(ordered, reverse=True)
    else:
        assert hour.laeq_db is hour.lafmax_db is None
