from datetime import date, timedelta

import pytest

from analysis.site_settings import WaterSettings
from analysis.standard_rows import TariffRow
from analysis.standards import standards
from analysis.water.forecast import LEAST_DAYS, forecast, outlook, passes_plan
from analysis.water.peers import LEAST_GROUP, compare
from analysis.water.quota import per_head, quota_for

TODAY = date(2026, 3, 1)
BEIJING = standards().get("tariff.beijing", TariffRow)


@pytest.mark.parametrize(
    ("province", "low", "high"),
    [
        ("湖北", 120.0, 180.0),
        ("Hubei", 120.0, 180.0),
        ("beijing", 85.0, 140.0),
        ("西藏", 75.0, 125.0),
        ("海南", 150.0, 220.0),
    ],
)
def test_the_quota_of_a_province(province: str, low: float, high: float) -> None:
    row = quota_for(WaterSettings(province=province), TODAY)
    assert row is not None and (row.lowest_lpd, row.highest_lpd, row.standard) == (
        low,
        high,
        "GB/T 50331-2002",
    )


def test_the_citys_own_quota_comes_first() -> None:
    row = quota_for(WaterSettings(province="湖北", quota_lpd=150.0, quota_standard="DB4205/T 60-2019"), TODAY)
    assert row is not None and (row.lowest_lpd, row.highest_lpd) == (None, 150.0)
    assert (row.standard, row.verified) == ("DB4205/T 60-2019", "K")
    assert quota_for(WaterSettings(province="Atlantis"), TODAY) is None
    assert quota_for(WaterSettings(), TODAY) is None


@pytest.mark.parametrize(
    ("litres", "verdict"), [(119.9, "below"), (120.0, "within"), (180.0, "within"), (180.1, "above")]
)
def test_use_per_person(litres: float, verdict: str) -> None:
    quota = quota_for(WaterSettings(province="湖北"), TODAY)
    found = per_head(litres * 30 * 90, 30.0, 90, quota)
    assert found.litres_per_person_day == pytest.approx(litres) and found.verdict == verdict


def test_without_people_or_quota_nothing_is_judged() -> None:
    quota = quota_for(WaterSettings(province="湖北"), TODAY)
    assert per_head(1000.0, 30.0, None, quota).verdict == "unknown"
    assert per_head(1000.0, 30.0, 3, None).litres_per_person_day == pytest.approx(11.11, abs=0.01)


def test_a_steady_household_is_forecast_exactly() -> None:
    days = [0.5] * 200
    found = outlook(days, date(2026, 1, 1), date(2026, 12, 31), BEIJING)
    assert found is not None
    assert found.forecast.used_m3 == pytest.approx(100.0)
    assert found.forecast.low_m3 == found.forecast.high_m3 == pytest.approx(182.5)
    assert (found.tier_now, found.tier_likely, found.passes_next_tier) == (1, 2, 1.0)


def test_a_changing_household_has_a_range_that_holds_the_truth() -> None:
    days = [0.3 if (n % 7) < 5 else 1.0 for n in range(200)]
    result = forecast(days, date(2026, 1, 1), date(2026, 12, 31))
    assert result is not None
    truth = sum(0.3 if (n % 7) < 5 else 1.0 for n in range(365))
    assert result[0].low_m3 - 1.0 <= truth <= result[0].high_m3 + 1.0
    assert forecast(days, date(2026, 1, 1), date(2026, 12, 31)) == result
    assert passes_plan(result[1], 50.0) == 1.0 and passes_plan(result[1], 500.0) == 0.0


def test_unknown_days_count_with_the_mean_and_too_few_give_nothing() -> None:
    first, last = date(2026, 1, 1), date(2026, 1, 31)
    result = forecast([1.0, None] * 14, first, last)
    assert result is not None and result[0].likely_m3 == pytest.approx(31.0)
    assert forecast([1.0] * (LEAST_DAYS - 1), first, last) is None
    assert forecast([1.0] * 31, first, last) is not None
    assert forecast([1.0] * 32, first, last) is None


def test_a_comparison_hides_the_others() -> None:
    use = {f"flat-{n}": 100.0 + 10.0 * n for n in range(20)}
    found = compare("flat-19", use)
    assert found is not None
    assert (found.own_l, found.quarter, found.group_size) == (290.0, 4, 20)
    for told in (found.lower_quartile_l, found.median_l, found.upper_quartile_l):
        assert told % 10 == 0
    assert compare("flat-0", use).quarter == 1  # type: ignore[union-attr]


def test_a_small_group_tells_nothing() -> None:
    use = {f"flat-{n}": 100.0 for n in range(LEAST_GROUP - 1)}
    assert compare("flat-0", use) is None
    assert compare("stranger", {**use, "a": 1.0, "b": 2.0}) is None


def test_a_forecast_of_a_period_that_is_over_is_what_was_used() -> None:
    result = forecast([1.0] * 31, TODAY, TODAY + timedelta(days=30))
    assert result is not None and result[0].likely_m3 == result[0].used_m3 == 31.0


def test_a_meter_that_fell_silent_goes_on_as_it_was() -> None:
    known = [1.0] * LEAST_DAYS
    found = forecast([*known, *[None] * 200], date(2026, 1, 1), date(2026, 12, 31))
    assert found is not None
    assert (found[0].used_m3, found[0].likely_m3) == pytest.approx((214.0, 365.0))
