from collections.abc import Iterable
from datetime import UTC, datetime, timedelta

import pytest

from analysis.alerts.machine import Observation
from analysis.rules import water_continuous
from analysis.rules.trace import Trace
from analysis.rules.water_continuous import WaterContinuousParams
from store.series.interface import WaterPoint

T0 = datetime(2026, 3, 1, tzinfo=UTC)
PARAMS = WaterContinuousParams()


def judge(points: list[WaterPoint], params: WaterContinuousParams) -> Observation:
    return water_continuous.judge(Trace.of(points), params)


def _points(
    gains_l: Iterable[float], *, every_min: float = 60.0, offset_min: float = 0.0, step_ml: int = 1000
) -> list[WaterPoint]:
    """Registers from the given gains; a coarse meter shows only whole steps."""
    total = 0.0
    points = [WaterPoint(T0 + timedelta(minutes=offset_min), 0, step_ml, None, None, None, 0)]
    for n, gain in enumerate(gains_l, start=1):
        total += gain * 1000.0
        t = T0 + timedelta(minutes=offset_min + n * every_min)
        points.append(WaterPoint(t, int(total // step_ml) * step_ml, step_ml, None, None, None, 0))
    return points


def test_a_day_without_rest_is_a_breach_with_the_lowest_flow() -> None:
    seen = judge(_points([10.0, 5.0] + [20.0] * 22), PARAMS)
    assert seen.verdict == "breach"
    assert seen.value == pytest.approx(5.0)
    assert seen.detail["smallest_detectable_lph"] == 1.0


@pytest.mark.parametrize("offset_min", [0.0, 17.0])
def test_one_hour_at_rest_is_enough_wherever_the_readings_lie(offset_min: float) -> None:
    gains = [10.0] * 12 + [0.0] + [10.0] * 11
    assert judge(_points(gains, offset_min=offset_min), PARAMS).verdict == "clear"


def test_quarter_hours_at_rest_must_be_in_a_row() -> None:
    apart = [0.0, 5.0] * 48
    together = [5.0] * 50 + [0.0] * 4 + [5.0] * 42
    assert judge(_points(apart, every_min=15), PARAMS).verdict == "breach"
    assert judge(_points(together, every_min=15), PARAMS).verdict == "clear"


def test_a_coarse_meter_proves_no_small_leak() -> None:
    """5 L/h through a meter with steps of 10 L stands still every other hour."""
    seen = judge(_points([5.0] * 24, step_ml=10_000), PARAMS)
    assert seen.verdict == "clear"
    seen = judge(_points([12.0] * 24, step_ml=10_000), PARAMS)
    assert (seen.verdict, seen.detail["smallest_detectable_lph"]) == ("breach", 10.0)


def test_a_gap_with_use_in_it_is_unknown() -> None:
    points = _points([10.0] * 24)
    assert judge(points[:8] + points[12:], PARAMS).verdict == "no_data"
    assert judge(points[:8] + points[9:], PARAMS).verdict == "breach"


def test_a_gap_without_use_is_rest() -> None:
    gains = [10.0] * 7 + [0.0] * 6 + [10.0] * 11
    points = _points(gains)
    assert judge(points[:8] + points[13:], PARAMS).verdict == "clear"


def test_less_than_a_day_says_nothing_yet() -> None:
    assert judge(_points([10.0] * 20), PARAMS).verdict == "no_data"
    assert judge(_points([]), PARAMS).verdict == "no_data"


def test_a_register_that_went_backwards_is_unknown_there() -> None:
    points = _points([10.0] * 24)
    back = [WaterPoint(p.t, p.volume_ml - 200_000, p.step_ml, None, None, None, 0) for p in points[12:]]
    assert judge(points[:12] + back, PARAMS).verdict == "breach"  # 23 of 24 hours are known
