"""Simulated meters: registers that households fill, leaks of a known size, and the detector that finds one."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from analysis.leaks.household import HouseholdDetector
from analysis.leaks.rows import HourRow
from app.simulate.household import used_l
from app.simulate.meters import MeterFault, Registers
from app.simulate.readings import WaterReadings
from app.simulate.scenario import DAY_S, Scenario, utc
from contract.codec import encode_array
from ingest.validate import judge
from store.registry.known import Known

START = 1_772_366_400
MONTH = 28 * DAY_S


def scenario(seed: int = 1, meters: int = 500, sites: int = 3) -> Scenario:
    return Scenario(seed, 0, meters, sites, START)


def with_fault(fault: MeterFault) -> Registers:
    registers = Registers(scenario())
    registers._flow[fault.meter], registers._lost[fault.meter] = fault.flow_lph, 0.0
    registers._begin[fault.meter], registers._end[fault.meter] = fault.begin_s, fault.end_s
    return registers


@given(st.integers(0, 2**31 - 1), st.integers(0, 499), st.integers(START, START + MONTH))
@settings(max_examples=30)
def test_what_a_household_draws_never_falls_and_is_the_same_alone_and_among_others(
    seed: int, meter: int, t: int
) -> None:
    one = scenario(seed)
    span = t + np.arange(0, 7_200, 60)
    used = used_l(one, np.full(len(span), meter), span)
    assert (np.diff(used) >= 0).all() and np.diff(used).max() < 300
    assert used_l(one, np.array([meter]), span[5:6])[0] == used[5]


def test_a_day_of_a_household_is_plausible_and_rests_at_night() -> None:
    one = scenario()
    meters = np.arange(500)
    days = [used_l(one, meters, np.full(500, START + n * DAY_S)) for n in range(8)]
    a_day = (days[7] - days[0]) / 7
    assert a_day.min() > 100 and a_day.max() < 900 and 250 < a_day.mean() < 450
    night = START + 6 * 3600 + 3600 * np.arange(4)  # 02:00 to 05:00 there
    rests = [np.diff(used_l(one, np.full(4, m), night)) == 0 for m in range(200)]
    assert np.mean(rests) > 0.85


@given(st.integers(0, 2**31 - 1), st.integers(0, 2), st.integers(START, START + MONTH))
@settings(max_examples=30)
def test_each_meter_is_read_once_in_an_interval_by_numbers_that_can_be_undone(
    seed: int, site: int, t: int
) -> None:
    readings = WaterReadings(scenario(seed))
    one = readings.scenario
    due = readings.due(site, t, t + one.meter_interval_s)
    assert len(due) == one.meters_at(site)
    assert {seq % one.meters_at(site) for seq in due} == set(range(one.meters_at(site)))
    times = [readings.time(site, seq) for seq in due]
    assert times == sorted(times) and t <= times[0] and times[-1] < t + one.meter_interval_s
    middle = t + 400
    assert [*readings.due(site, t, middle), *readings.due(site, middle, t + 900)] == list(due)


def test_ingest_takes_every_reading_of_every_meter() -> None:
    readings = WaterReadings(scenario())
    one = readings.scenario
    known = Known(
        frozenset({("sim-0002", "water")}),
        {("sim-0002", one.meter_name(one.meter_of(1, p))): "water" for p in range(one.meters_at(1))},
    )
    due = list(readings.due(1, START + MONTH, START + MONTH + 900))
    payload = encode_array(readings.encode(1, due))
    judged = judge("qw/v1/sim-0002/water/water", payload, len(payload), utc(START + MONTH + 900), known)
    assert not judged.rejected and len(judged.entries) == len(due) == one.meters_at(1)
    assert readings.encode(1, due[3:4]) == readings.encode(1, due)[3:4]


def test_a_leak_adds_what_it_says_and_a_stuck_or_reversed_meter_tells_it() -> None:
    one = Scenario(3, 0, 20_000, 40, START)
    registers = Registers(one)
    faults = registers.faults.values()
    assert {fault.kind for fault in faults} == {"drip", "toilet", "burst", "stuck", "reversed"}
    for kind in ("drip", "burst", "stuck", "reversed"):
        fault = next(f for f in faults if f.kind == kind)
        t = np.linspace(fault.begin_s, fault.end_s, 200).astype(np.int64)
        meter = np.full(len(t), fault.meter)
        gained = np.diff(registers.litres(meter, t)[[0, -1]])[0]
        drawn = np.diff(used_l(one, meter, t)[[0, -1]])[0]
        expected = {
            "stuck": 0.0,
            "reversed": -drawn,
        }.get(kind, drawn + fault.flow_lph * (fault.end_s - fault.begin_s) / 3600)
        assert abs(gained - expected) <= 1.0, kind


def test_the_leak_detector_finds_a_simulated_leak_and_nothing_before_it() -> None:
    fault = MeterFault(7, "toilet", START + 30 * DAY_S, START + 40 * DAY_S, 25.0)
    registers = with_fault(fault)
    hours = START + 3600 * np.arange(24 * 36 + 1)
    volumes = np.diff(registers.litres(np.full(len(hours), 7), hours))
    detector = HouseholdDetector()
    alarms = [
        alarm
        for t, volume in zip(hours.tolist(), volumes.tolist(), strict=False)
        for alarm in detector.update(HourRow(t=utc(t), volume_l=float(volume)))
    ]
    assert alarms and alarms[0].kind == "continuous_flow"
    assert 0 <= (alarms[0].t.timestamp() - fault.begin_s) / 3600 < 72
    (leak,) = detector.active()
    assert abs(leak.flow_lph - fault.flow_lph) < 8
