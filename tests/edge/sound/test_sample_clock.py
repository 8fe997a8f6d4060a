"""The sample clock against a system clock that is late by chance, drifts and is set."""

import random
from collections.abc import Sequence
from dataclasses import dataclass

import pytest

from edge.sound.sample_clock import ClockStep, SampleClock

RATE, START, BLOCK = 48_000, 1_800_000_000.3, 4800


@dataclass
class Run:
    clock: SampleClock
    steps: list[ClockStep]
    ends: list[tuple[int, float, float]]
    """Each second's end: label, true time, system's time then."""
    lengths: list[int]


def run(
    *, minutes: float, ppm: float = 0.0, jitter_s: float = 0.01, hiccups: float = 0.01,
    steps: Sequence[tuple[float, float]] = (), seed: int = 1,
) -> Run:  # fmt: skip
    """Let a card that is fast by ``ppm`` deliver blocks; the system's time is set by (when, by how much)."""
    chance, clock = random.Random(seed), SampleClock(RATE, START + 0.005)
    true_rate = RATE * (1 + ppm * 1e-6)
    t, offset = int(START), round((START % 1) * RATE)
    clock.begin_second(-offset)
    length = clock.second_length(t)
    due, n, pending, shift = length - offset, 0, list(steps), 0.0
    done = Run(clock, [], [], [])
    while n < true_rate * 60 * minutes:
        n += BLOCK
        now = START + n / true_rate
        if pending and now - START >= pending[0][0]:
            shift += pending.pop(0)[1]
        late = abs(chance.gauss(0, jitter_s)) * (30 if chance.random() < hiccups else 1)
        step = clock.observe(BLOCK, now + shift + late)
        done.steps += [step] if step else []
        while n >= due:
            t += 1
            done.ends.append((t, START + due / true_rate, START + due / true_rate + shift))
            done.lengths.append(length)
            length = clock.second_length(t)
            due += length
    return done


@pytest.mark.parametrize("ppm", [0, 35, -80, 300])
def test_drift_is_measured_and_seconds_stay_with_the_system(ppm):
    done = run(minutes=60, ppm=ppm)
    assert done.clock.drift_ppm == pytest.approx(ppm, abs=1.0)
    assert done.steps == []
    for label, _, system in done.ends[120:]:
        assert system == pytest.approx(label, abs=0.02)
    assert all(abs(n - RATE) <= 0.021 * RATE for n in done.lengths)


@pytest.mark.parametrize("step_s", [0.15, -0.15, 0.7, -0.7, 3.0, -3.0, 9.0, -9.0])
def test_a_step_is_told_once_and_no_second_is_missing_or_doubled(step_s):
    done = run(minutes=30, ppm=20, steps=[(600, step_s)])
    assert len(done.steps) == 1
    assert done.steps[0].step_s == pytest.approx(step_s, abs=0.02) and done.steps[0].followed
    labels = [label for label, _, _ in done.ends]
    assert labels == list(range(labels[0], labels[0] + len(labels)))
    label, _, system = done.ends[-1]
    assert system == pytest.approx(label, abs=0.02)
    assert done.clock.drift_ppm == pytest.approx(20, abs=2)


def test_a_large_step_asks_for_a_new_beginning():
    (step,) = run(minutes=12, steps=[(300, 86_400.0)]).steps
    assert step.step_s == pytest.approx(86_400, abs=0.05) and not step.followed


def test_small_corrections_are_no_steps():
    assert run(minutes=30, steps=[(600, 0.06), (900, -0.06)]).steps == []


def test_a_machine_that_stalls_now_and_then_is_no_step():
    done = run(minutes=30, jitter_s=0.05, hiccups=0.2)
    assert done.steps == [] and done.clock.disciplined


def test_samples_faster_than_real_time_are_let_alone():
    clock = SampleClock(RATE, START)
    clock.begin_second(0)
    for k in range(1, 3000):
        assert clock.observe(RATE, START + k / 20) is None
    assert not clock.disciplined and clock.drift_ppm == 0.0
    assert [clock.second_length(int(START) + k) for k in range(5)] == [RATE] * 5
