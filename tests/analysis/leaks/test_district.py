"""A district's inflow: what is a lasting rise at all hours, and what is season, weekday, weather or an irrigation."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta

import numpy as np
import pytest

from analysis.leaks.alarm import Alarm
from analysis.leaks.district import DistrictConfig, DistrictDetector
from analysis.leaks.rows import HourRow
from analysis.leaks.texts import explain

START = datetime(2026, 1, 5, tzinfo=UTC)  # a Monday
HOUR = timedelta(hours=1)
SHAPE = 20_000 + 15_000 * np.array(
    [0, 0, 0, 0, 0, 0.2, 0.8, 1, 0.9, 0.8, 0.7, 0.8, 1, 0.9, 0.7, 0.6, 0.7, 0.8, 1, 1, 0.8, 0.5, 0.3, 0.1]
)
More = Callable[[int, int], float]
"""Day and hour to additional flow, L/h."""


def _rows(days: int, more: More, seed: int = 7) -> Iterator[HourRow]:
    rng = np.random.default_rng(seed)
    for day in range(days):
        people = rng.normal(1.0, 0.02)
        for hour in range(24):
            base = 20_000 + (SHAPE[hour] - 20_000) * people + rng.normal(0.0, 250.0)
            yield HourRow(t=START + (24 * day + hour) * HOUR, volume_l=float(base + more(day, hour)))


def _alarms(days: int, more: More, detector: DistrictDetector | None = None) -> list[Alarm]:
    detector = detector or DistrictDetector()
    return [alarm for row in _rows(days, more) for alarm in detector.update(row)]


def test_a_leak_is_found_within_days_with_its_size_and_beginning() -> None:
    detector = DistrictDetector()
    (alarm,) = _alarms(60, lambda day, hour: 2000.0 if day >= 40 else 0.0, detector)
    began = START + timedelta(days=40)
    assert timedelta(0) < alarm.t - began <= timedelta(days=3)
    assert abs(alarm.since - began) <= timedelta(days=1)
    assert alarm.flow_lph == pytest.approx(2000.0, rel=0.25)
    (now,) = detector.active()
    assert now.t == alarm.t and now.flow_lph == pytest.approx(2000.0, rel=0.15)
    assert "L/h" in explain(alarm) and "平均流量" in explain(alarm, "zh")
    assert [point.t for point in alarm.evidence] == sorted(point.t for point in alarm.evidence)


def test_it_is_over_when_the_leak_is_mended() -> None:
    detector = DistrictDetector()
    assert len(_alarms(80, lambda day, hour: 2000.0 if 40 <= day < 60 else 0.0, detector)) == 1
    assert detector.active() == []


def test_the_same_leak_again_is_found_again() -> None:
    assert len(_alarms(110, lambda day, hour: 2000.0 if 40 <= day < 55 or day >= 90 else 0.0)) == 2


@pytest.mark.parametrize(
    "more",
    [
        lambda day, hour: 0.0,
        lambda day, hour: 60.0 * day,
        lambda day, hour: -4000.0 if day % 7 >= 5 else 0.0,
        lambda day, hour: 9000.0 if day >= 40 and 7 <= hour < 20 else 0.0,
        lambda day, hour: 12_000.0 if day >= 40 and hour in (2, 3, 4) else 0.0,
        lambda day, hour: 6000.0 if day == 40 else 0.0,
    ],
    ids=["nothing", "season", "weekend", "use by day", "irrigation at night", "one day"],
)
def test_what_is_no_leak_is_not_told(more: More) -> None:
    assert _alarms(70, more) == []


def test_missing_hours_and_days_are_no_alarm_and_no_error() -> None:
    detector = DistrictDetector()
    for number, row in enumerate(_rows(60, lambda day, hour: 0.0)):
        if number % 11 and not 500 < number < 700:
            assert detector.update(row) == []
    assert detector.ignored == 0


def test_a_row_that_comes_late_is_counted_and_left_out() -> None:
    detector = DistrictDetector()
    row = HourRow(t=START, volume_l=1.0)
    assert detector.update(row) == [] and detector.update(row) == []
    assert detector.ignored == 1
    with pytest.raises(ValueError, match="duration_h"):
        detector.update(HourRow(t=START + HOUR, volume_l=1.0, duration_h=0.0))


def test_days_are_the_districts_own_and_rows_may_lie_across_hours() -> None:
    """The same flow, told from 20 minutes past to 20 minutes past, in UTC for a district elsewhere."""
    zone = DistrictConfig(zone="Asia/Shanghai")
    shift = timedelta(hours=8) - timedelta(minutes=20)
    local, shifted = DistrictDetector(), DistrictDetector(zone)
    found: list[list[Alarm]] = [[], []]
    for row in _rows(60, lambda day, hour: 2500.0 if day >= 40 else 0.0):
        found[0] += local.update(row)
        found[1] += shifted.update(HourRow(t=row.t - shift, volume_l=row.volume_l))
    (one,), (other,) = found
    assert other.since.utcoffset() == timedelta(hours=8)
    assert other.since.date() == one.since.date()
    assert abs((other.t + timedelta(hours=8)).replace(tzinfo=UTC) - one.t) <= timedelta(hours=9)
