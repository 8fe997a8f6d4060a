"""A simulated day of noise: computed again it is the same, it is plausible, and ingest takes it."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from app.simulate.disturbances import SORTS, local_day, plan
from app.simulate.interruptions import BLOCK_S, ClockFault, clock_faults, outages
from app.simulate.levels import beside_road, levels
from app.simulate.readings import NoiseReadings
from app.simulate.scenario import DAY_S, LOCAL_OFFSET_S, Scenario, sites_for, utc
from contract.codec import encode_array
from ingest.validate import judge
from store.registry.known import Known

START = 1_772_366_400  # 2026-03-01T12:00Z, a Sunday
SEEDS = st.integers(0, 2**31 - 1)
SECONDS = st.integers(START, START + 40 * DAY_S)


def scenario(seed: int = 1, devices: int = 100, meters: int = 0) -> Scenario:
    return Scenario(seed, devices, meters, sites_for(devices, meters), START)


@given(SEEDS, SECONDS, st.lists(st.integers(0, 99), min_size=1, max_size=20, unique=True))
@settings(max_examples=30)
def test_a_second_is_the_same_alone_and_among_others(seed: int, t: int, devices: list[int]) -> None:
    readings = NoiseReadings(scenario(seed))
    readings.faults = {}
    among = readings.encode_many(np.array(sorted(devices)), np.full(len(devices), t), [t] * len(devices))
    later = [readings.encode(device, [t - 1, t, t + 1])[1] for device in sorted(devices)]
    assert among == later
    other = NoiseReadings(scenario(seed ^ 1))
    other.faults = {}
    assert other.encode(0, [t, t + 1, t + 2]) != readings.encode(0, [t, t + 1, t + 2])


@given(SEEDS, SECONDS)
@settings(max_examples=30)
def test_ingest_takes_every_second_and_its_levels_fit_together(seed: int, t: int) -> None:
    readings = NoiseReadings(scenario(seed))
    device = next(iter(readings.faults), 0)
    true = [s for s in range(t, t + 60) if readings.label(device, s) is not None]
    seqs = [seq for s in true if (seq := readings.label(device, s)) is not None]
    payload = encode_array(readings.encode(device, seqs)) if seqs else b"[]"
    known = Known(frozenset({("sim-0001", "noise-0001")}))
    judged = judge("qw/v1/sim-0001/noise-0001/noise", payload, len(payload), utc(t + 60), known)
    assert not seqs or (not judged.rejected and len(judged.entries) == len(seqs))
    for entry in judged.entries:
        one = entry.reading
        assert one.lafmin_db <= one.laf_db <= one.lafmax_db  # type: ignore[union-attr]
        assert one.lafmin_db < one.laeq_db < one.lafmax_db < one.lcpeak_db  # type: ignore[union-attr]


def test_a_quiet_yard_sleeps_and_a_road_is_loud_on_weekdays() -> None:
    one = scenario(devices=400)
    devices = np.arange(400)
    road = beside_road(one, devices)
    monday = START + DAY_S // 2 - LOCAL_OFFSET_S + 12 * 3600 - (START + DAY_S // 2) % DAY_S

    def mean_db(hour: float, kind: np.ndarray) -> float:
        t = np.full(int(kind.sum()), int(monday - 12 * 3600 + hour * 3600))
        return float(np.median(levels(one, devices[kind], t).laeq_db))

    assert 30 < mean_db(3, ~road) < 41 < mean_db(17, ~road) < 56
    assert 46 < mean_db(3, road) < 56 < mean_db(17, road) < 72
    assert 0.2 < road.mean() < 0.4


def test_neighbouring_seconds_are_alike_and_distant_ones_are_not() -> None:
    one = scenario()
    hour = levels(one, np.full(3600, 7), START + np.arange(3600)).laeq_db
    near, far = np.corrcoef(hour[:-1], hour[1:])[0, 1], np.corrcoef(hour[:-600], hour[600:])[0, 1]
    assert near > 0.7 > 0.5 > abs(far)


def test_a_disturbance_is_heard_where_and_when_the_plan_says_and_not_beside_it() -> None:
    one = scenario(devices=2_000)
    nights = plan(one, local_day(START))
    at = int(np.flatnonzero(nights.sort == [sort.kind for sort in SORTS].index("night_noise"))[0])
    device, begin, end = int(nights.device[at]), int(nights.begin_s[at]), int(nights.end_s[at])
    span = np.arange(begin - 300, end + 300)
    heard = levels(one, np.full(len(span), device), span).laeq_db
    within = heard[300:-300]
    before = heard[:300]
    assert within.max() >= nights.level_db[at] - 0.1
    assert np.median(within) > np.median(before) + 5 or beside_road(one, np.array([device]))[0]
    assert 0.5 < (within >= nights.level_db[at] - 0.1).mean() < 0.9


@given(st.integers(-120, 120), st.integers(200, 2_000), st.integers(0, 4_000))
def test_a_wrong_clock_never_writes_the_same_second_twice_and_can_be_undone(
    offset: int, length: int, at: int
) -> None:
    fault = ClockFault(0, "clock_offset", 1_000, 1_000 + length, offset)
    seen = [label for true in range(3_500) if (label := fault.label(true)) is not None]
    assert len(set(seen)) == len(seen) and seen == sorted(seen)
    label = fault.label(at)
    assert label is None or fault.true(label) == at
    if at not in seen and at < 3_300:
        assert fault.true(at) is None


def test_faults_of_clocks_and_networks_occur_as_often_as_they_are_said_to() -> None:
    one = scenario(devices=10_000)
    faults = clock_faults(one)
    assert 150 < len(faults) < 250
    assert {fault.kind for fault in faults.values()} == {"clock_unsynced", "clock_offset", "clock_step"}
    assert clock_faults(replace(one, right_clocks=True)) == {}
    found = list(outages(one, START, START + BLOCK_S))
    assert 150 < len(found) < 300
    part = list(outages(one, START + 3_000, START + 3_600))
    assert part == [o for o in found if o.begin_s < START + 3_600 and o.end_s > START + 3_000]
