"""The matrix form of a filter against the plain recursion."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import signal

from edge.sound.block_filter import BLOCK, BlockFilter, StateSpace
from edge.sound.smoothing import Smoothing
from edge.sound.weighting import decimator_sections, sections

CASES = {
    "A": sections("A", 48_000),
    "C": sections("C", 16_000),
    "decimator": decimator_sections(),
    "first order": np.array([[0.5, 0.25, 0.0, 1.0, -0.3, 0.0]]),
    "resonance": signal.butter(4, [0.1, 0.12], "band", output="sos"),
}


@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize(
    "count", [1, 2, BLOCK - 1, BLOCK, BLOCK + 1, 8 * BLOCK, 8 * BLOCK + 1, 64 * BLOCK + 5, 20_001]
)
def test_equals_the_recursion(name, count):
    noise = np.random.default_rng(count).standard_normal(count)
    expected = signal.sosfilt(CASES[name].copy(), noise)
    assert BlockFilter(CASES[name]).process(noise) == pytest.approx(expected, abs=1e-9)


@settings(max_examples=40, deadline=None)
@given(cuts=st.lists(st.integers(0, 3000), max_size=30), name=st.sampled_from(sorted(CASES)))
def test_any_cutting_gives_the_same(cuts, name):
    noise = np.random.default_rng(1).standard_normal(3000)
    whole = BlockFilter(CASES[name]).process(noise).copy()
    stream = BlockFilter(CASES[name])
    parts = [stream.process(part).copy() for part in np.split(noise, sorted(cuts))]
    assert np.concatenate(parts) == pytest.approx(whole, abs=1e-9)


@pytest.mark.parametrize("cut", [0, 2, 30, 32, 500, 999 * 2])
def test_keep_makes_every_second_output_only(cut):
    noise = np.random.default_rng(2).standard_normal(4000)
    stream = BlockFilter(decimator_sections(), keep=2)
    parts = [stream.process(part).copy() for part in (noise[:cut], noise[cut:])]
    expected = signal.sosfilt(decimator_sections().copy(), noise)[::2]
    assert np.concatenate(parts) == pytest.approx(expected, abs=1e-10)


def test_keep_refuses_an_odd_count():
    with pytest.raises(ValueError, match="multiple"):
        BlockFilter(decimator_sections(), keep=2).process(np.zeros(3))
    with pytest.raises(ValueError, match="divide"):
        BlockFilter(decimator_sections(), keep=5)


@pytest.mark.parametrize("name", CASES)
def test_preset_is_the_state_after_a_long_constant(name):
    stream = BlockFilter(CASES[name])
    led_to = stream.preset(0.7)
    output = stream.process(np.full(1000, 0.7))
    assert output == pytest.approx(np.full(1000, led_to), abs=1e-8)


def test_state_space_has_the_impulse_response_of_the_sections():
    system = StateSpace.of_sections(CASES["resonance"])
    impulse = np.zeros(BLOCK)
    impulse[0] = 1.0
    assert system.toeplitz(BLOCK)[0] == pytest.approx(signal.sosfilt(CASES["resonance"], impulse), abs=1e-12)


@settings(max_examples=60, deadline=None)
@given(
    seed=st.integers(0, 2**32 - 1), count=st.integers(1, 4000), growth=st.floats(-0.02, 0.02),
    slow=st.booleans(), cuts=st.lists(st.integers(0, 4000), max_size=4),
)  # fmt: skip
def test_smoothing_finds_every_extreme_and_value(seed, count, growth, slow, cuts):
    random = np.random.default_rng(seed)
    squares = random.standard_normal(count) ** 2 * np.exp(growth * np.arange(count))
    time_constant = 1.0 if slow else 0.125
    decay = np.exp(-1 / (time_constant * 8000))
    expected = signal.lfilter([1 - decay], [1, -decay], squares)
    smoothing, done = Smoothing(time_constant, 8000), 0
    for part in np.split(squares, sorted(min(cut, count) for cut in cuts)):
        if not len(part):
            continue
        reference = expected[done : done + len(part)]
        smoothed = smoothing.process(part)
        assert smoothed.extremes() == pytest.approx((reference.max(), reference.min()), rel=1e-12)
        assert smoothed.at_block_ends == pytest.approx(reference[BLOCK - 1 :: BLOCK], rel=1e-12)
        assert smoothed.values() == pytest.approx(reference, rel=1e-12)
        assert smoothed.last == pytest.approx(reference[-1], rel=1e-12)
        done += len(part)
