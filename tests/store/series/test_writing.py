"""Conformance: what every backend does with a batch."""

from __future__ import annotations

import math
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from contract.messages import NoiseSecond, WaterReading
from store.series.interface import Entry, SeriesStore
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


def _everything(store: SeriesStore) -> dict[str, object]:
    wide = (T0 - DAY, T0 + DAY)
    return {
        "noise": store.noise_seconds(SITE, DEVICE, *wide),
        "spectrum": store.spectrum(SITE, DEVICE, *wide),
        "water": store.water_readings(SITE, METER, *wide),
        "event": store.events(*wide),
        "counts": [store.count(kind) for kind in ("noise", "spectrum", "water", "event")],
        "latest": (store.noise_latest(), store.water_latest(), store.newest()),
    }


def _one_of_each() -> list[Entry]:
    return [
        second(T0, 51.3, lceq_db=60.1, lcpeak_db=90.2, flags=("gap",), measured_ms=700),
        minute(T0, {510: 200, 520: 280}, first_band=13, bands_db=(40.1, 41.2, -3.5)),
        water(T0, 123_456, flow_m3h=0.25, reverse_steps=7, serial="A-1", flags=("leak", "low_battery")),
        event(T0, "calibration", detail={"level_db": 94.0, "ok": True, "by": "李工", "bands": [1.0, None]}),
    ]


def test_what_is_written_is_read(store: SeriesStore) -> None:
    put(store, _one_of_each())
    table = store.noise_seconds(SITE, DEVICE, T0, T0 + SECOND)
    assert (list(table.t), list(table.laeq_db), list(table.lceq_db)) == ([T0], [51.3], [60.1])
    assert (list(table.lcpeak_db), list(table.measured_ms), list(table.flags)) == ([90.2], [700], [8])
    (spectrum,) = store.spectrum(SITE, DEVICE, T0, T0 + MINUTE)
    assert (spectrum.t, spectrum.first_band, list(spectrum.bands_db)) == (T0, 13, [40.1, 41.2, -3.5])
    (point,) = store.water_readings(SITE, METER, T0, T0 + SECOND)
    assert (point.t, point.volume_ml, point.step_ml, point.flow_m3h) == (T0, 123_456_000, 1000, 0.25)
    assert (point.reverse_ml, point.serial, point.flags) == (7000, "A-1", 1 | 32)
    (row,) = store.events(T0, T0 + SECOND)
    assert (row.site, row.device, row.t, row.kind, row.meter) == (SITE, DEVICE, T0, "calibration", None)
    assert row.detail == {"level_db": 94.0, "ok": True, "by": "李工", "bands": [1.0, None]}
    assert store.noise_latest() == [(SITE, DEVICE, T0, 51.3, 51.3, 8)]
    assert store.water_latest() == [(SITE, METER, point)]
    assert store.newest() == T0


def test_an_empty_store_answers_with_nothing(store: SeriesStore) -> None:
    wide = (T0, T0 + DAY)
    assert list(store.noise_seconds(SITE, DEVICE, *wide).t) == []
    assert store.noise_series(SITE, DEVICE, *wide, step_s=60) == []
    assert store.noise_windows(*wide) == store.noise_hours(SITE, DEVICE, *wide) == []
    assert store.water_hours(SITE, METER, *wide) == store.water_readings(SITE, METER, *wide) == []
    assert store.spectrum(SITE, DEVICE, *wide) == store.events(*wide) == []
    assert store.noise_rollups(*wide) == store.water_rollups(*wide) == []
    assert store.dirty_hours(T0 + DAY) == store.noise_latest() == store.water_latest() == []
    assert store.newest() is None
    assert store.count("noise", site=SITE, source=DEVICE) == store.count("water") == 0
    assert store.write([]).accepted == 0


def test_writing_again_changes_nothing(open_store: OpenStore) -> None:
    store = open_store()
    batch = _one_of_each()
    put(store, batch)
    before = _everything(store)
    put(store, batch)
    put(store, batch + batch)
    assert _everything(store) == before
    store.close()
    again = open_store()
    put(again, batch)
    assert _everything(again) == before


def test_the_first_copy_stays_when_the_second_differs(open_store: OpenStore) -> None:
    store = open_store()
    put(store, [second(T0, 50.0), second(T0, 70.0), water(T0, 100), water(T0, 900)])
    put(store, [second(T0 + SECOND, 51.0), second(T0, 80.0), water(T0, 901), minute(T0, {500: 1})])
    put(store, [minute(T0, {700: 1})])
    store.close()
    store = open_store()
    put(store, [second(T0, 90.0), water(T0, 902)])
    assert list(store.noise_seconds(SITE, DEVICE, T0, T0 + MINUTE).laeq_db) == [50.0, 51.0]
    assert [one.volume_ml for one in store.water_readings(SITE, METER, T0, T0 + MINUTE)] == [100_000]
    assert store.count("spectrum") == 1


def test_series_do_not_mix(store: SeriesStore) -> None:
    put(store, [
        second(T0, 50.0), second(T0, 60.0, device="roof"), second(T0, 70.0, site="lake"),
        water(T0, 1), water(T0, 2, meter="flat-2"), water(T0, 3, site="lake"),
    ])  # fmt: skip
    assert store.count("noise") == store.count("water") == 3
    assert store.count("noise", site=SITE) == 2
    assert store.count("noise", site=SITE, source="roof") == store.count("noise", source="roof") == 1
    assert store.count("water", site="lake") == 1
    assert list(store.noise_seconds("lake", DEVICE, T0, T0 + SECOND).laeq_db) == [70.0]
    assert {(site, name) for site, name, *_ in store.noise_latest(site=SITE)} == {
        (SITE, DEVICE),
        (SITE, "roof"),
    }
    assert [name for _, name, _ in store.water_latest(site="lake")] == [METER]


def test_a_device_and_a_meter_of_one_name_are_two_series(store: SeriesStore) -> None:
    put(store, [second(T0, 50.0, device="hall"), water(T0, 5, meter="hall", device="hall")])
    assert [name for _, name, *_ in store.noise_latest()] == ["hall"]
    assert store.count("noise", source="hall") == store.count("water", source="hall") == 1
    assert len(store.water_readings(SITE, "hall", T0, T0 + SECOND)) == 1


def test_events_of_one_instant_are_all_kept(store: SeriesStore) -> None:
    together = [event(T0, "meter_silent", meter=f"flat-{n}") for n in range(3)] + [event(T0, "restart")]
    put(store, together)
    put(store, together)
    assert store.count("event") == 4
    assert {row.meter for row in store.events(T0, T0 + SECOND, kind="meter_silent")} == {
        "flat-0",
        "flat-1",
        "flat-2",
    }


def test_events_come_newest_first_and_filtered(store: SeriesStore) -> None:
    told = [("gap", "gate"), ("gap", "roof"), ("restart", "gate")]
    told = [("gap", "gate"), ("gap", "roof"), ("restart", "gate")]
    put(store, [event(T0 + n * MINUTE, kind, device=device) for n, (kind, device) in enumerate(told)])
    assert [row.kind for row in store.events(T0, T0 + HOUR)] == ["restart", "gap", "gap"]
    assert [row.t for row in store.events(T0, T0 + HOUR, device="gate", kind="gap")] == [T0]
    assert [row.device for row in store.events(T0, T0 + HOUR, limit=2)] == ["gate", "roof"]
    assert store.events(T0, T0 + HOUR, site="lake") == []


def test_ranges_are_half_open_to_the_microsecond(store: SeriesStore) -> None:
    micro = timedelta(microseconds=1)
    put(store, [*seconds(T0, [50, 51, 52]), water(T0, 1), water(T0 + micro, 2), event(T0)])
    assert list(store.noise_seconds(SITE, DEVICE, T0, T0 + 2 * SECOND).laeq_db) == [50, 51]
    assert list(store.noise_seconds(SITE, DEVICE, T0 + micro, T0 + 2 * SECOND + micro).laeq_db) == [51, 52]
    assert [p.volume_ml for p in store.water_readings(SITE, METER, T0, T0 + micro)] == [1000]
    assert [p.volume_ml for p in store.water_readings(SITE, METER, T0 + micro, T0 + SECOND)] == [2000]
    assert store.events(T0 - SECOND, T0) == []
    assert list(store.noise_seconds(SITE, DEVICE, T0, T0).t) == []


def test_any_zone_may_ask(store: SeriesStore) -> None:
    from zoneinfo import ZoneInfo

    put(store, seconds(T0, [50, 51]))
    local = T0.astimezone(ZoneInfo("Asia/Shanghai"))
    table = store.noise_seconds(SITE, DEVICE, local, local + SECOND)
    assert list(table.t) == [T0]
    assert table.t[0].utcoffset() == timedelta(0)


def test_a_range_that_ends_before_it_starts_is_refused(store: SeriesStore) -> None:
    asks = (
        lambda a, b: store.noise_seconds(SITE, DEVICE, a, b),
        lambda a, b: store.noise_series(SITE, DEVICE, a, b, step_s=60),
        store.noise_windows,
        lambda a, b: store.noise_hours(SITE, DEVICE, a, b),
        lambda a, b: store.spectrum(SITE, DEVICE, a, b),
        lambda a, b: store.water_readings(SITE, METER, a, b),
        lambda a, b: store.water_hours(SITE, METER, a, b),
        store.events,
        store.noise_rollups,
        store.water_rollups,
    )
    for ask in asks:
        with pytest.raises(ValueError, match="ends"):
            ask(T0 + SECOND, T0)
        with pytest.raises(ValueError, match="zone"):
            ask(T0.replace(tzinfo=None), T0.replace(tzinfo=None))


def test_the_limit_gives_the_first_seconds(store: SeriesStore) -> None:
    put(store, seconds(T0, range(40, 50)))
    assert list(store.noise_seconds(SITE, DEVICE, T0, T0 + MINUTE, limit=3).laeq_db) == [40, 41, 42]


def test_a_bad_reading_takes_no_neighbour_along(store: SeriesStore) -> None:
    bad: list[Entry] = [
        second(T0 + 1 * SECOND, math.nan),
        second(T0 + 2 * SECOND, lcpeak_db=math.inf),
        second(T0 + 3 * SECOND, 201.0),
        second(T0 + 4 * SECOND, measured_ms=0),
        second(T0 + 5 * SECOND, flags=("no_such_flag",)),
        second(T0 + 6 * SECOND, "loud"),  # type: ignore[arg-type]
        second(datetime(1969, 12, 31, tzinfo=UTC)),
        second(T0 + 7 * SECOND, site="Not A Slug"),
        second(T0 + 8 * SECOND, device="a\nb"),
        Entry(SITE, DEVICE, NoiseSecond(seq=-1, t=T0, laeq_db=1, lafmax_db=1, lafmin_db=1, laf_db=1), T0),
        minute(T0, {500: 1, 90_000: 3}),
        minute(T0, {500: 1}, first_band=1, bands_db=(math.nan,)),
        water(T0, 1, flow_m3h=math.nan),
        water(T0, 2**60),
        water(T0, 1, serial="\ud800"),
        event(T0, "Not a kind"),
        Entry(SITE, DEVICE, WaterReading(seq=1, t=T0, meter="?", volume_steps=1, step_ml=1), T0),
    ]
    good = [second(T0), minute(T0), water(T0, 1), event(T0), second(T0 + MINUTE, device="roof")]
    batch = [one for pair in zip(bad, good * 4, strict=False) for one in pair]
    report = store.write(batch)
    assert [index for index, _ in report.rejected] == [i for i in range(len(batch)) if i % 2 == 0]
    assert all(reason for _, reason in report.rejected)
    assert report.accepted == len(batch) - len(bad)
    assert list(report.retry) == []
    assert [store.count(kind) for kind in ("noise", "spectrum", "water", "event")] == [2, 1, 1, 1]


def test_awkward_texts_come_back_as_they_were(store: SeriesStore) -> None:
    texts = ['q"u\\o"te', "a=b, c d", "new\nline", "静园 №5", "", "trailing\\", "tab\there", "😀" * 10]
    put(store, [water(T0 + n * SECOND, n, serial=text) for n, text in enumerate(texts)])
    put(
        store,
        [event(T0 + n * SECOND, detail={"text": text, text or "empty": 1}) for n, text in enumerate(texts)],
    )
    assert [p.serial for p in store.water_readings(SITE, METER, T0, T0 + MINUTE)] == texts
    assert [row.detail["text"] for row in reversed(store.events(T0, T0 + MINUTE))] == texts


def test_registers_are_exact_beyond_what_a_float_holds(store: SeriesStore) -> None:
    large = 2**53 - 1
    put(store, [water(T0, large, step_ml=1), water(T0 + HOUR, large - 1, step_ml=10_000_000)])
    volumes = [p.volume_ml for p in store.water_readings(SITE, METER, T0, T0 + DAY)]
    assert volumes == [large, (large - 1) * 10_000_000]


def test_late_data_is_found_where_it_belongs(open_store: OpenStore) -> None:
    store = open_store()
    put(store, seconds(T0 + HOUR, [60, 61]))
    put(store, seconds(T0, [50, 51]))
    put(store, [second(T0 + HOUR, 99.0), second(T0 + 2 * SECOND, 52.0), second(T0 + DAY, 70.0)])
    store.close()
    table = open_store().noise_seconds(SITE, DEVICE, T0, T0 + 2 * HOUR)
    assert list(table.laeq_db) == [50, 51, 52, 60, 61]
    assert list(table.t) == sorted(table.t)


def test_the_latest_is_by_time_not_by_arrival(store: SeriesStore) -> None:
    put(store, [second(T0 + HOUR, 60.0), second(T0, 50.0), water(T0 + HOUR, 9), water(T0, 5)])
    put(store, [second(T0 + MINUTE, 55.0), water(T0 + MINUTE, 6)])
    assert store.noise_latest() == [(SITE, DEVICE, T0 + HOUR, 60.0, 60.0, 0)]
    assert store.water_latest()[0][2].volume_ml == 9000


_SITES = iter(range(1_000_000))
_moves = st.lists(
    st.lists(
        st.tuples(st.integers(0, 40), st.sampled_from(["gate", "roof"]), st.integers(30, 90)), max_size=20
    ),
    max_size=6,
)


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(batches=_moves)
def test_any_order_of_copies_leaves_the_first_of_each(
    store: SeriesStore, batches: list[list[tuple[int, str, int]]]
) -> None:
    # Examples share a store, each in a site of its own.
    site = f"s{next(_SITES)}"
    first: dict[tuple[str, datetime], float] = {}
    for batch in batches:
        entries = [
            second(T0 + n * SECOND, float(level), site=site, device=device) for n, device, level in batch
        ]
        put(store, entries)
        for n, device, level in batch:
            first.setdefault((device, T0 + n * SECOND), float(level))
    stored = {}
    for device in ("gate", "roof"):
        table = store.noise_seconds(site, device, T0, T0 + HOUR)
        stored |= {(device, t): level for t, level in zip(table.t, table.laeq_db, strict=True)}
    assert stored == first
