"""A live source with gaps, losses and a clock that is set: what is told, and what never happens."""

from __future__ import annotations

import math
import threading
from collections.abc import Iterator
from functools import partial

import numpy as np
import pytest

from contract.codec import decode_reading, encode
from contract.messages import EdgeEvent, NoiseMinute, NoiseSecond, Reading
from edge.sound.live import LiveListener
from edge.sound.meter import SoundLevelMeter
from edge.sound.recorder import Recorder
from edge.sound.sources.base import Gap, Sound

RATE, START = 16_000, 1_800_000_000.25
BLOCK = RATE // 10


class Scripted:
    """A microphone with a 1 kHz tone. A script of ("play", s), ("lose", s), ("overrun", s), ("set", s) is played."""

    rate_hz, clip = RATE, 1.0

    def __init__(self, *script: tuple[str, float], amplitude: float = 0.1) -> None:
        self.script = script
        self.now = START
        self.n = 0
        self.amplitude = amplitude

    def stream(self, stop: threading.Event) -> Iterator[Sound | Gap]:
        for action, amount in self.script:
            if action == "play":
                for _ in range(round(amount * 10)):
                    self.n += BLOCK
                    self.now += BLOCK / RATE
                    time = np.arange(self.n - BLOCK, self.n) / RATE
                    yield Sound(self.amplitude * np.sin(2 * np.pi * 1000 * time), self.now)
            elif action == "set":
                self.now += amount
            else:
                lost = action == "lose"
                yield Gap("unplugged" if lost else "overrun", lost=lost)
                if lost:
                    yield Gap("still unplugged", lost=True)
                self.now += amount
                self.n += round(amount * RATE)


def listened(source: Scripted) -> tuple[list[NoiseSecond], list[EdgeEvent], list[NoiseMinute]]:
    got: list[Reading] = []
    recorder = Recorder(got.append, rate_hz=RATE, full_scale_db=120.0, spectrum=False)
    make = partial(SoundLevelMeter, RATE, full_scale_db=120.0, settle_s=0.5)
    LiveListener(RATE, make, recorder, lambda: source.now).run(source, threading.Event())
    for one in got:
        kind = {NoiseSecond: "noise", EdgeEvent: "event", NoiseMinute: "spectrum"}[type(one)]
        decode_reading(kind, encode(one))  # type: ignore[arg-type]
    seconds = [one for one in got if isinstance(one, NoiseSecond)]
    labels = [second.t.timestamp() for second in seconds]
    assert len(labels) == len(set(labels)), "a second twice"
    events = [one for one in got if isinstance(one, EdgeEvent)]
    return seconds, events, [one for one in got if isinstance(one, NoiseMinute)]


def test_ten_undisturbed_minutes_have_every_second():
    seconds, events, minutes = listened(Scripted(("play", 600)))
    assert len(seconds) == 601 and events == [] and len(minutes) == 11
    assert seconds[0].flags == ("settling", "gap") and seconds[0].measured_ms == 750
    assert all(second.flags == () and second.measured_ms == 1000 for second in seconds[2:-1])


def test_an_unplugged_microphone_is_told_once_and_comes_back():
    seconds, events, _ = listened(Scripted(("play", 10), ("lose", 42.5), ("play", 10)))
    assert [event.kind for event in events] == ["source_lost", "source_back"]
    assert events[1].detail["after_s"] == pytest.approx(42.5, abs=0.2)
    labels = {second.t.timestamp() for second in seconds}
    assert labels.isdisjoint(range(math.ceil(START + 10), math.floor(START + 52.5)))
    measured = sum(second.measured_ms for second in seconds)
    assert measured == pytest.approx(20_000, abs=60)
    back = next(second for second in seconds if second.t.timestamp() >= math.floor(START + 52.5))
    assert "settling" in back.flags and "gap" in back.flags


def test_a_loss_within_one_second_does_not_double_it():
    seconds, _, _ = listened(Scripted(("play", 10.3), ("lose", 0.2), ("play", 5)))
    (gap,) = [second for second in seconds[1:-1] if "gap" in second.flags]
    assert gap.measured_ms == pytest.approx(800, abs=45)


@pytest.mark.parametrize("lost_s", [0.1, 0.5, 3.0])
def test_an_overrun_is_a_gap_of_its_length(lost_s):
    seconds, events, _ = listened(Scripted(("play", 10), ("overrun", lost_s), ("play", 10)))
    (event,) = events
    assert event.kind == "gap" and event.detail["lost_ms"] == pytest.approx(1000 * lost_s, abs=30)
    missing = sum(1000 - s.measured_ms for s in seconds[1:-1])
    missing += 1000 * (seconds[-1].t.timestamp() - seconds[0].t.timestamp() + 1 - len(seconds))
    assert missing == pytest.approx(1000 * lost_s, abs=30)
    for second in seconds[1:]:
        if second.measured_ms > 200:
            assert second.laeq_db == pytest.approx(96.99, abs=0.1)


def test_many_overruns_are_told_together():
    script = [step for _ in range(100) for step in (("play", 1.0), ("overrun", 0.1))]
    _, events, _ = listened(Scripted(*script))
    assert (
        len(events) <= 4 and sum(event.detail["count"] for event in events) == 99
    )  # nothing comes after the last


@pytest.mark.parametrize("step_s", [0.4, -0.4, 2.5, -2.5])
def test_a_step_of_the_clock_is_an_event_and_no_second_is_missing(step_s):
    seconds, events, _ = listened(Scripted(("play", 120), ("set", step_s), ("play", 600)))
    (event,) = events
    assert event.kind == "clock_step" and event.detail["step_s"] == pytest.approx(step_s, abs=0.03)
    labels = [second.t.timestamp() for second in seconds]
    assert labels == [labels[0] + k for k in range(len(labels))]
    assert labels[-1] == pytest.approx(math.floor(START + 720 + step_s), abs=1.01)


def test_a_large_step_forwards_begins_anew_at_the_right_time():
    seconds, events, _ = listened(Scripted(("play", 120), ("set", 500.0), ("play", 120)))
    assert [event.kind for event in events] == ["clock_step"] and not events[0].detail["followed"]
    labels = [second.t.timestamp() for second in seconds]
    assert labels == sorted(labels) and labels[-1] == pytest.approx(START + 740, abs=2)


def test_a_large_step_backwards_gives_right_times_and_repeats_none():
    seconds, events, _ = listened(Scripted(("play", 120), ("set", -200.0), ("play", 400)))
    assert [event.kind for event in events] == ["clock_step"]
    labels = [second.t.timestamp() for second in seconds]
    first = math.floor(START)
    before = labels[: labels.index(max(labels[:160])) + 1]
    after = labels[len(before) :]
    assert after[0] == pytest.approx(START + 120 - 200 + 21, abs=12)
    assert not set(after) & set(before)
    assert set(range(first - 50, first + 310)) <= set(labels)


def test_a_calibrator_is_noticed_told_and_flagged():
    quiet = Scripted(("play", 10), amplitude=10 ** ((60 - 116.99) / 20) * 10**0.15)
    seconds, events, _ = listened(quiet)
    assert events == [] and all("calibrating" not in second.flags for second in seconds)
    source = Scripted(("play", 10), amplitude=10 ** ((94.3 - 120) / 20) * math.sqrt(2))
    got: list[Reading] = []
    recorder = Recorder(got.append, rate_hz=RATE, full_scale_db=120.0, spectrum=False, watch_calibrator=True)
    LiveListener(RATE, partial(SoundLevelMeter, RATE), recorder, lambda: source.now).run(
        source, threading.Event()
    )
    flagged = [one for one in got if isinstance(one, NoiseSecond) and "calibrating" in one.flags]
    assert len(flagged) >= 9


def test_the_reading_of_a_calibrator_is_told_when_it_comes_off():
    got: list[Reading] = []
    recorder = Recorder(got.append, rate_hz=RATE, full_scale_db=120.0, spectrum=False, watch_calibrator=True)
    meter = SoundLevelMeter(RATE)
    time = np.arange(10 * RATE) / RATE
    on = 10 ** ((94.3 - 120) / 20) * math.sqrt(2) * np.sin(2 * np.pi * 1000 * time)
    noise = 1e-3 * np.random.default_rng(0).standard_normal(5 * RATE)
    recorder.seconds(meter.push(np.concatenate([noise, on, noise])))
    (event,) = [one for one in got if isinstance(one, EdgeEvent)]
    assert event.kind == "calibration" and event.detail["action"] == "check"
    assert event.detail["deviation_db"] == pytest.approx(0.3, abs=0.02)
    flagged = [
        one.t.timestamp() for one in got if isinstance(one, NoiseSecond) and "calibrating" in one.flags
    ]
    assert flagged == list(range(5, 16))  # and the second in which it was taken off
