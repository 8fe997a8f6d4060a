from datetime import UTC, date, datetime, timedelta

import pytest

from analysis.days import NoiseDay, noise_days, water_days
from analysis.energy import energy_mean
from analysis.limits import site_clock
from analysis.rollups import roll_up
from store.registry.models import Site
from store.series.duckdb_store import DuckDbStore
from tests.analysis import readings

SITE = Site(name="garden", zone_class="1", timezone="Asia/Shanghai", day_starts_h=6, night_starts_h=22)
CLOCK = site_clock(SITE)
DAY = date(2026, 3, 1)
DAWN, DUSK = CLOCK.day_bounds(DAY)
MORNING = CLOCK.night_bounds(DAY)[1]
HOUR = timedelta(hours=1)


def _days(series: DuckDbStore, first: date = DAY, last: date = DAY, **more: object) -> list[NoiseDay]:
    roll_up(series, datetime(2027, 1, 1, tzinfo=UTC), budget_s=60.0)
    return noise_days(series, CLOCK, SITE, "gate", first, last, **more)  # type: ignore[arg-type]


def test_fifteen_quiet_hours_and_a_loud_one_fail_class_1(series: DuckDbStore) -> None:
    readings.noise(series, DAWN, 15 * 3600, 55.0)
    readings.noise(series, DAWN + 15 * HOUR, 3600, 65.0)
    readings.noise(series, DUSK, 7 * 3600, 45.0)
    readings.noise(series, DUSK + 7 * HOUR, 3600, 55.0)
    (one,) = _days(series)
    assert one.ld_db == pytest.approx(56.94, abs=0.005)
    assert one.ln_db == pytest.approx(48.27, abs=0.005)
    assert (one.day.verdict, one.night.verdict) == ("fail", "fail")
    assert (one.day.hours_counted, one.day.hours, one.day.valid_share) == (16, 16, 1.0)
    assert (one.night.hours, one.night.limit.value) == (8, 45.0)


def test_exactly_at_the_limit_passes(series: DuckDbStore) -> None:
    readings.noise(series, DAWN, 16 * 3600, 55.0)
    readings.noise(series, DUSK, 8 * 3600, 45.0)
    (one,) = _days(series)
    assert (one.day.verdict, one.night.verdict) == ("pass", "pass")
    assert one.ldn_db == pytest.approx(55.0, abs=0.001)


def test_the_borders_are_on_the_second(series: DuckDbStore) -> None:
    """Only the seconds 06:00:00 to 21:59:59 are the day's: the loud ones beside it belong to the nights."""
    readings.noise(series, DAWN - timedelta(hours=8), 8 * 3600, 70.0)
    readings.noise(series, DAWN, 16 * 3600, 50.0)
    readings.noise(series, DUSK, 8 * 3600, 60.0)
    before, one = _days(series, DAY - timedelta(days=1))
    assert one.ld_db == pytest.approx(50.0, abs=1e-4)
    assert one.ln_db == pytest.approx(60.0, abs=1e-4)
    assert before.ln_db == pytest.approx(70.0, abs=1e-4)
    assert before.day.reason == "no_data"


def test_a_night_across_the_new_year_belongs_to_the_old_one(series: DuckDbStore) -> None:
    new_year = datetime(2025, 12, 31, 16, tzinfo=UTC)  # midnight in Shanghai
    readings.noise(series, new_year - 2 * HOUR, 2 * 3600, 40.0)
    readings.noise(series, new_year, 6 * 3600, 50.0)
    (one,) = _days(series, date(2025, 12, 31), date(2025, 12, 31))
    assert one.ln_db == pytest.approx(energy_mean([40.0, 50.0], [2, 6]), abs=1e-4)
    assert one.night.verdict == "fail"


def test_a_day_equals_its_seconds(series: DuckDbStore) -> None:
    def level(n: int) -> float:
        return 40.0 + (n * 7919 % 3000) / 100.0

    readings.noise(series, DAWN, 16 * 3600, level)
    (one,) = _days(series)
    assert one.ld_db == pytest.approx(energy_mean([level(n) for n in range(16 * 3600)]), abs=0.001)


def test_too_few_valid_hours_are_incomplete_and_each_says_why(series: DuckDbStore) -> None:
    readings.noise(series, DAWN, 11 * 3600, 50.0)
    readings.noise(series, DAWN + 11 * HOUR, 3600, 80.0, flags=("rain",))
    readings.noise(series, DAWN + 12 * HOUR, 1800, 80.0)
    (one,) = _days(series)
    assert (one.day.verdict, one.day.reason) == ("incomplete", "too_few_valid_hours")
    assert one.ld_db == pytest.approx(50.0, abs=1e-4)
    reasons = {hour.t: hour.reason for hour in one.day.stats.uncounted}
    assert reasons[DAWN + 11 * HOUR] == "rain"
    assert reasons[DAWN + 12 * HOUR] == "gap"
    assert reasons[DAWN + 13 * HOUR] == "no_data"
    assert (one.day.hours_counted, one.night.reason) == (11, "no_data")


def test_twelve_of_sixteen_hours_are_enough(series: DuckDbStore) -> None:
    readings.noise(series, DAWN, 12 * 3600, 50.0)
    (one,) = _days(series)
    assert (one.day.verdict, one.day.hours_counted) == ("pass", 12)


def test_a_period_under_way_is_not_judged(series: DuckDbStore) -> None:
    readings.noise(series, DAWN, 16 * 3600, 50.0)
    (one,) = _days(series, now=DUSK - timedelta(seconds=1))
    assert (one.day.verdict, one.day.reason) == ("incomplete", "not_over")
    (one,) = _days(series, now=DUSK)
    assert (one.day.verdict, one.night.reason) == ("pass", "not_over")


def test_late_data_changes_the_verdict(series: DuckDbStore) -> None:
    readings.noise(series, DAWN, 15 * 3600, 54.0)
    assert _days(series)[0].day.verdict == "pass"
    readings.noise(series, DAWN + 15 * HOUR, 3600, 75.0)
    (one,) = _days(series)
    assert one.day.verdict == "fail"
    readings.noise(
        series, DAWN + 3 * HOUR + timedelta(minutes=10), 60, 54.0
    )  # already there: changes nothing
    assert _days(series) == [one]


def test_european_levels_need_their_own_hours(series: DuckDbStore) -> None:
    seven = DAWN + HOUR
    readings.noise(series, seven, 12 * 3600, 55.0)
    readings.noise(series, seven + 12 * HOUR, 4 * 3600, 50.0)
    readings.noise(series, seven + 16 * HOUR, 8 * 3600, 45.0)
    (one,) = _days(series)
    assert one.lden_db == pytest.approx(55.0, abs=0.001)
    assert one.lnight_db == pytest.approx(45.0, abs=0.001)


def test_percentiles_of_a_day_are_of_the_merged_histograms(series: DuckDbStore) -> None:
    readings.noise(series, DAWN, 16 * 3600, 50.0)
    readings.minutes(series, DAWN, 15 * 60 + 12, 50.0)
    readings.minutes(series, DAWN + timedelta(minutes=15 * 60 + 12), 48, 70.0)
    (one,) = _days(series)
    stats = one.day.stats
    assert stats.l5_db == pytest.approx(70.0, abs=0.11)  # 48 of 960 minutes
    assert stats.l10_db == pytest.approx(50.1, abs=0.11)
    assert stats.l90_db == pytest.approx(50.0, abs=0.11)
    assert stats.sd_db == pytest.approx(20.0 * (0.05 * 0.95) ** 0.5, abs=0.01)


def test_water_of_a_calendar_day(series: DuckDbStore) -> None:
    midnight = CLOCK.midnight(DAY)
    readings.water(series, midnight, [10.0] * 36)
    roll_up(series, datetime(2027, 1, 1, tzinfo=UTC), budget_s=60.0)
    first, second = water_days(series, CLOCK, "garden", DAY, DAY + timedelta(days=1))
    assert (first.meter, first.volume_l, first.known_share) == ("flat-1", pytest.approx(240.0), 1.0)
    assert (second.volume_l, second.known_share) == (pytest.approx(120.0), 0.5)
    assert water_days(series, CLOCK, "garden", DAY, DAY, meter="none") == []
