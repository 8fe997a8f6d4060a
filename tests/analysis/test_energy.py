import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from analysis import energy
from analysis.energy import energy_mean, lden, ldn, level_exceeded

LEVELS = st.floats(0.0, 140.0)


def test_fifteen_quiet_hours_and_a_loud_one() -> None:
    assert energy_mean([55.0] * 15 + [65.0]) == pytest.approx(56.94, abs=0.005)


def test_seven_quiet_night_hours_and_a_loud_one() -> None:
    assert energy_mean([45.0] * 7 + [55.0]) == pytest.approx(48.27, abs=0.005)


def test_a_mean_of_nothing_is_none() -> None:
    assert energy_mean([]) is None
    assert energy_mean([50.0], [0.0]) is None


def test_rating_levels() -> None:
    assert lden(60, 60, 60) == pytest.approx(66.395, abs=0.0005)
    assert lden(55, 50, 45) == pytest.approx(55.0, abs=0.0005)
    assert ldn(55, 45) == pytest.approx(55.0, abs=0.0005)
    assert ldn(55, 55, day_h=15, night_h=9) == pytest.approx(61.410, abs=0.0005)


def test_two_equal_sources_are_three_decibels_more() -> None:
    assert energy.energy_sum([60.0, 60.0]) == pytest.approx(63.0103, abs=1e-4)


def test_exposure_level() -> None:
    assert energy.exposure_level(60.0, 10.0) == pytest.approx(70.0)


def test_no_energy_has_no_level() -> None:
    with pytest.raises(ValueError, match="no level"):
        energy.level(0.0)


def test_ten_percent_of_the_time_is_a_high_level() -> None:
    # 90 samples in [50.0, 50.1), 10 in [70.0, 70.1)
    bins, counts = [500, 700], [90, 10]
    assert level_exceeded(bins, counts, 5) == pytest.approx(70.05)
    assert level_exceeded(bins, counts, 10) == pytest.approx(70.0)
    assert level_exceeded(bins, counts, 95) == pytest.approx(50.0 + 0.1 * 5 / 90)
    assert level_exceeded([], [], 50) is None


@given(st.lists(st.tuples(LEVELS, st.floats(0.1, 3600.0)), min_size=1, max_size=50))
def test_a_mean_lies_between_its_parts_and_above_their_arithmetic_mean(
    parts: list[tuple[float, float]],
) -> None:
    levels, weights = zip(*parts, strict=True)
    mean = energy_mean(levels, weights)
    assert mean is not None
    plain = math.fsum(a * w for a, w in parts) / math.fsum(weights)
    assert min(levels) - 1e-9 <= mean <= max(levels) + 1e-9
    assert mean >= plain - 1e-9


@given(
    st.dictionaries(st.integers(-500, 1500), st.integers(1, 1000), min_size=1, max_size=40),
    st.floats(0.0, 100.0),
    st.floats(0.0, 100.0),
)
def test_more_time_is_a_lower_level(histogram: dict[int, int], one: float, other: float) -> None:
    bins = sorted(histogram)
    counts = [histogram[b] for b in bins]
    low, high = sorted((one, other))
    at_low, at_high = level_exceeded(bins, counts, low), level_exceeded(bins, counts, high)
    assert at_low is not None and at_high is not None
    assert at_low >= at_high - 1e-9
    assert bins[0] / 10 - 1e-9 <= at_high and at_low <= bins[-1] / 10 + 0.1 + 1e-9
