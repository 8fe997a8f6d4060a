"""Water today against yesterday, hours and days."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest

from api.water_today import DayBounds, day_bounds, volume_l, water_today
from contract.flags import WaterFlag
from contract.sitetime import SiteClock
from store.series.interface import SeriesStore, WaterPoint
from tests.api import seeding
from tests.api.conftest import Person

SITE = seeding.OWN_SITE
MIDNIGHT = datetime(2026, 3, 1, 16, 0, tzinfo=UTC)
"""00:00 on 2 March in Beijing."""


def point(t: datetime, volume_ml: int, flags: int = 0) -> WaterPoint:
    return WaterPoint(t, volume_ml, 1000, None, None, None, flags)


def hourly(registers: list[int], start: datetime) -> list[WaterPoint]:
    return [point(start + timedelta(hours=n), volume) for n, volume in enumerate(registers)]


def test_day_bounds_are_the_sites() -> None:
    bounds = day_bounds(SiteClock(), MIDNIGHT + timedelta(hours=9, minutes=30))
    assert bounds.today == MIDNIGHT
    assert bounds.yesterday == MIDNIGHT - timedelta(days=1)
    assert bounds.same_time == MIDNIGHT - timedelta(hours=14, minutes=30)


def test_a_day_of_23_hours_never_compares_beyond_its_end() -> None:
    berlin = SiteClock("Europe/Berlin")
    late = datetime(2026, 3, 30, 21, 45, tzinfo=UTC)  # the day after the clocks went forward
    bounds = day_bounds(berlin, late)
    assert (bounds.today - bounds.yesterday) == timedelta(hours=23)
    assert bounds.same_time == bounds.today


def test_today_is_compared_up_to_the_newest_reading() -> None:
    points = hourly([0, *range(1000, 40_000, 1000)], MIDNIGHT - timedelta(hours=30))
    now = points[-1].t + timedelta(minutes=50)
    bounds = DayBounds(MIDNIGHT - timedelta(days=1), MIDNIGHT, now, MIDNIGHT)
    today = water_today(points, bounds)
    assert today.today_l == 9.0
    assert today.yesterday_same_time_l == 9.0
    assert today.yesterday_l == 24.0
    assert today.until == points[-1].t


def test_midnight_is_interpolated() -> None:
    points = [
        point(MIDNIGHT - timedelta(minutes=30), 10_000),
        point(MIDNIGHT + timedelta(minutes=90), 18_000),
    ]
    assert volume_l(points, MIDNIGHT, MIDNIGHT + timedelta(minutes=90)) == pytest.approx(6.0)
    assert volume_l(points, MIDNIGHT - timedelta(hours=1), MIDNIGHT) is None


def test_a_replaced_meter_starts_anew_and_a_step_back_counts_nothing() -> None:
    start = MIDNIGHT
    replaced = [
        point(start, 90_000), point(start + timedelta(hours=1), 91_000),
        point(start + timedelta(hours=2), 5_000, WaterFlag.METER_REPLACED), point(start + timedelta(hours=3), 7_000),
    ]  # fmt: skip
    assert volume_l(replaced, start, start + timedelta(hours=3)) == 3.0
    back = hourly([10_000, 12_000, 11_000, 13_000], start)
    assert volume_l(back, start, start + timedelta(hours=3)) == 4.0


def test_nothing_is_made_up_over_a_long_gap_or_without_readings() -> None:
    bounds = day_bounds(SiteClock(), MIDNIGHT + timedelta(hours=9))
    assert water_today([], bounds).today_l is None
    gap = [point(MIDNIGHT - timedelta(days=3), 1_000), point(MIDNIGHT + timedelta(hours=8), 9_000)]
    assert water_today(gap, bounds).today_l is None
    old = [point(MIDNIGHT - timedelta(days=3), 1_000)]
    told = water_today(old, bounds)
    assert (told.today_l, told.until, told.register_ml) == (None, None, 1_000)


def test_the_api_equals_the_registers(person: Callable[..., Person], series: SeriesStore) -> None:
    answer = person("viewer").get("/water/today", site=SITE).json()
    assert answer["date"] == "2026-03-02" and answer["today_start"] == "2026-03-01T16:00:00Z"
    assert len(answer["meters"]) == seeding.METERS
    for meter in answer["meters"]:
        points = series.water_readings(SITE, meter["meter"], MIDNIGHT - timedelta(days=2), seeding.NOW)
        at = {one.t: one.volume_ml for one in points}
        newest = points[-1]
        assert meter["until"] == "2026-03-02T14:00:00Z" and meter["register_ml"] == newest.volume_ml
        assert meter["today_l"] == (newest.volume_ml - at[MIDNIGHT]) / 1000
        assert (
            meter["yesterday_same_time_l"]
            == (at[newest.t - timedelta(days=1)] - at[MIDNIGHT - timedelta(days=1)]) / 1000
        )
        assert meter["yesterday_l"] == (at[MIDNIGHT] - at[MIDNIGHT - timedelta(days=1)]) / 1000
    master = answer["meters"][0]
    assert master["role"] == "master" and answer["total"]["total_from"] == "master"
    assert answer["total"]["today_l"] == master["today_l"]


def test_hours_of_a_meter_and_of_the_quarter(person: Callable[..., Person]) -> None:
    who = person("viewer")
    master = who.get("/water/hours", site=SITE, meter="zong-biao").json()
    quarter = who.get("/water/hours", site=SITE).json()
    assert quarter["total_from"] == "master" and quarter["meter"] is None
    known = {one["t"]: one["volume_l"] for one in master["hours"] if one["volume_l"] is not None}
    assert len(known) >= 45
    assert known.items() <= {one["t"]: one["volume_l"] for one in quarter["hours"]}.items()
    today = who.get("/water/today", site=SITE).json()["total"]["today_l"]
    assert sum(volume for t, volume in known.items() if t >= "2026-03-01T16:00:00Z") == pytest.approx(today)


def test_days_are_those_of_the_stored_hours(person: Callable[..., Person]) -> None:
    answer = person("viewer").get("/water/days", site=SITE, first="2026-02-28", last="2026-03-02")
    assert answer.status_code == 200
    assert answer.json()["site"] == SITE
    assert (
        person("viewer").get("/water/days", site=SITE, first="2026-03-02", last="2026-02-01").status_code
        == 422
    )
