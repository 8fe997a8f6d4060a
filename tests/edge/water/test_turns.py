"""When meters are due, how silent ones are tried, and what is told of them."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from contract.messages import EdgeEvent, WaterReading
from edge.water.schedule import BACK_OFF_MOST, attempts, back_off, next_due
from edge.water.settings_meters import PulseMeter
from edge.water.watch import Watch

T0 = datetime(2026, 5, 1, tzinfo=UTC)


@given(
    after=st.floats(0, 4e9), interval=st.integers(1, 604_800), share=st.floats(0, 1), every=st.integers(1, 8),
)  # fmt: skip
def test_the_next_turn_is_ahead_aligned_and_within_its_jitter(after, interval, share, every):
    jitter = share * interval
    due = next_due(after, interval, jitter, "m", every=every)
    assert after < due <= after + interval * every + jitter
    offset = due % (interval * every)
    assert offset <= jitter + 1e-5 or offset >= interval * every - 1e-5
    assert next_due(after, interval, jitter, "m", every=every) == due


def test_meters_do_not_jitter_alike():
    dues = {next_due(1e9, 900, 60, f"meter-{number}") for number in range(50)}
    assert len(dues) == 50


def test_without_jitter_turns_are_at_full_intervals():
    assert next_due(3601, 3600, 0, "m") == 7200
    assert next_due(3600, 3600, 0, "m") == 7200


@pytest.mark.parametrize(
    ("missed", "interval", "every"),
    [
        (0, 60, 1),
        (2, 60, 1),
        (3, 60, 1),
        (4, 60, 2),
        (5, 60, 4),
        (6, 60, 8),
        (10_000, 60, 8),
        (99, 900, 4),
        (99, 3600, 1),
        (99, 86_400, 1),
    ],
)
def test_a_silent_meter_is_tried_less_often_and_at_least_once_an_hour(missed, interval, every):
    assert back_off(missed, 3, interval) == every <= BACK_OFF_MOST


def test_a_silent_meter_is_asked_once_a_turn():
    assert [attempts(missed, 3, 2) for missed in (0, 2, 3, 50)] == [3, 3, 1, 1]


class Bench:
    def __init__(self, folder, silent_after=3):
        self.out = []
        self.folder = folder
        self.meters = [
            PulseMeter(name=name, pin=pin, pulse_ml=1000, silent_after=silent_after)
            for pin, name in enumerate("ab")
        ]
        self.restart()

    def restart(self):
        self.watch = Watch("test", self.meters, self.out.append, self.folder, lambda: True)

    def events(self):
        return [(one.kind, one.meter) for one in self.out if isinstance(one, EdgeEvent)]

    def reading(self, minutes, steps=0, serial=None, meter="a", **more):
        at = T0 + timedelta(minutes=minutes)
        one = WaterReading(seq=0, t=at, meter=meter, volume_steps=steps, step_ml=1000, serial=serial, **more)
        self.watch.accept(one, None)

    def miss(self, minutes, meter="a"):
        self.watch.miss(meter, T0 + timedelta(minutes=minutes), "no answer")


def test_a_meter_falls_silent_once_and_comes_back_once(tmp_path):
    bench = Bench(tmp_path)
    bench.reading(0)
    for minute in range(1, 8):
        bench.miss(minute)
    assert bench.events() == [("meter_silent", "a")]
    silent = next(one for one in bench.out if isinstance(one, EdgeEvent))
    assert silent.detail == {"missed": 3, "reason": "no answer", "last_t": T0.isoformat()}
    bench.reading(8, 5)
    bench.reading(9, 6)
    assert bench.events() == [("meter_silent", "a"), ("meter_back", "a")]
    back = [one for one in bench.out if isinstance(one, EdgeEvent)][1]
    assert back.detail == {"missed": 7, "silent_s": 480}
    assert [one.volume_steps for one in bench.out if isinstance(one, WaterReading)] == [0, 5, 6]


def test_a_few_misses_are_no_silence(tmp_path):
    bench = Bench(tmp_path)
    for minute in range(0, 30, 3):
        bench.miss(minute)
        bench.miss(minute + 1)
        bench.reading(minute + 2)
    assert bench.events() == []


def test_silence_outlives_a_restart_and_is_told_once(tmp_path):
    bench = Bench(tmp_path)
    for minute in range(4):
        bench.miss(minute)
    bench.watch.save()
    bench.restart()
    for minute in range(4, 9):
        bench.miss(minute)
    assert bench.events() == [("meter_silent", "a")]
    bench.reading(9)
    assert bench.events()[-1] == ("meter_back", "a")


def test_a_replaced_meter_is_told_with_both_registers(tmp_path):
    bench = Bench(tmp_path)
    bench.reading(0, 5000, serial="1")
    bench.watch.save()
    bench.restart()
    bench.reading(1, 2, serial="2")
    (event,) = [one for one in bench.out if isinstance(one, EdgeEvent)]
    assert event.kind == "meter_replaced"
    assert event.detail == {
        "old_serial": "1", "new_serial": "2", "old_volume_ml": 5_000_000, "new_volume_ml": 2000,
    }  # fmt: skip
    assert bench.out[-1].flags == ("meter_replaced",)


def test_tampering_is_told_when_it_begins(tmp_path):
    bench = Bench(tmp_path)
    bench.reading(0)
    bench.reading(1, flags=("tamper",))
    bench.reading(2, flags=("tamper",))
    assert bench.events() == [("tamper", "a")]


def test_meters_that_left_the_settings_leave_the_state(tmp_path):
    bench = Bench(tmp_path)
    bench.reading(0)
    bench.watch.save()
    bench.meters = bench.meters[1:]
    bench.restart()
    assert bench.watch.last_t("b") is None


def test_a_broken_state_file_starts_anew(tmp_path):
    (tmp_path / "water-meters-test.json").write_text("{")
    bench = Bench(tmp_path)
    bench.reading(0)
    assert bench.watch.last_t("a") == T0
