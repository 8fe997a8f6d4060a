from datetime import UTC, date, datetime, timedelta

import pytest

from analysis.limits import site_clock
from analysis.rollups import roll_up
from analysis.water.account import Span, household, peers, quarter, tariff_span
from store.registry.models import Meter, Site
from store.series.duckdb_store import DuckDbStore
from tests.analysis import readings

SITE = Site(
    name="garden", zone_class="1", timezone="Asia/Shanghai", day_starts_h=6, night_starts_h=22,
    settings={"water": {"province": "湖北", "plan_m3": {"2026": 100.0}}},
)  # fmt: skip
NEW_YEAR = site_clock(SITE).midnight(date(2026, 1, 1))


def _meter(name: str, role: str = "household", persons: int | None = None, kind: str = "") -> Meter:
    return Meter(site="garden", name=name, device="cellar", role=role, persons=persons, peer_kind=kind)


def _rolled(series: DuckDbStore) -> DuckDbStore:
    while roll_up(series, datetime(2027, 1, 1, tzinfo=UTC), budget_s=120.0):
        pass
    return series


@pytest.mark.parametrize(
    ("period", "day", "first", "last"),
    [
        ("year", date(2026, 5, 5), date(2026, 1, 1), date(2026, 12, 31)),
        ("month", date(2026, 2, 28), date(2026, 2, 1), date(2026, 2, 28)),
        ("month", date(2026, 12, 31), date(2026, 12, 1), date(2026, 12, 31)),
        ("two_months", date(2026, 12, 1), date(2026, 11, 1), date(2026, 12, 31)),
        ("two_months", date(2026, 3, 1), date(2026, 3, 1), date(2026, 4, 30)),
    ],
)
def test_tariff_periods(period: str, day: date, first: date, last: date) -> None:
    assert tariff_span(period, day) == Span(first, last)


def test_a_household_that_will_pass_the_first_tier(series: DuckDbStore) -> None:
    """25 L an hour is 0.6 m³ a day: 36 m³ after 60 days, 219 m³ in the year."""
    readings.water(series, NEW_YEAR, [25.0] * (24 * 60))
    account = household(_rolled(series), SITE, _meter("flat-1", persons=4), date(2026, 3, 1))
    assert account.used_m3 == pytest.approx(35.4 + 0.6, abs=0.001)
    assert str(account.bill.total) == "180.00"
    assert account.standing.tier == 1 and account.known_share == pytest.approx(1.0)
    assert account.per_head.litres_per_person_day == pytest.approx(150.0)
    assert account.per_head.verdict == "within"
    assert account.outlook is not None
    assert account.outlook.forecast.likely_m3 == pytest.approx(219.0, abs=0.5)
    assert (account.outlook.tier_likely, account.outlook.passes_next_tier) == (2, 1.0)


def test_a_household_without_a_reading_is_not_praised(series: DuckDbStore) -> None:
    account = household(series, SITE, _meter("flat-9", persons=2), date(2026, 3, 1))
    assert (account.used_m3, account.known_share, account.outlook) == (0.0, 0.0, None)
    assert account.per_head.verdict == "unknown"


def test_a_quarter_against_its_plan(series: DuckDbStore) -> None:
    readings.water(series, NEW_YEAR, [25.0] * (24 * 60), meter="main")
    readings.water(series, NEW_YEAR, [20.0] * (24 * 60))
    meters = [_meter("main", "master"), _meter("flat-1", persons=5)]
    account = quarter(_rolled(series), SITE, meters, date(2026, 3, 1))
    assert (account.measured_by, account.plan_m3, account.passes_plan) == ("master", 100.0, 1.0)
    assert account.used_m3 == pytest.approx(36.0, abs=0.001)
    assert account.per_head.litres_per_person_day == pytest.approx(120.0)
    assert account.litres_per_household_day == pytest.approx(600.0)
    assert account.over_plan is not None and account.over_plan.surcharge == 0
    # 219 m³ against 100: 30 at 20 %, 20 at 50 %, 69 at 100 % of 2.07
    assert account.expected is not None
    assert float(account.expected.surcharge) == pytest.approx(2.07 * (6 + 10 + 69), abs=0.6)


def test_without_a_master_the_households_are_added(series: DuckDbStore) -> None:
    for name in ("flat-1", "flat-2"):
        readings.water(series, NEW_YEAR, [10.0] * (24 * 40), meter=name)
    account = quarter(_rolled(series), SITE, [_meter("flat-1"), _meter("flat-2")], date(2026, 2, 9))
    assert account.measured_by == "households" and account.used_m3 == pytest.approx(19.2, abs=0.001)
    assert account.per_head.verdict == "unknown"


def test_peers_are_of_one_kind_and_enough(series: DuckDbStore) -> None:
    for n in range(12):
        readings.water(series, NEW_YEAR, [10.0 + n] * (24 * 30), meter=f"flat-{n}")
    meters = [_meter(f"flat-{n}", kind="small") for n in range(12)]
    today = (NEW_YEAR + timedelta(days=30, hours=9)).date()
    found = peers(_rolled(series), SITE, meters, meters[11], today)
    assert found is not None and (found.group_size, found.quarter) == (12, 4)
    assert peers(series, SITE, meters[:9], meters[0], today) is None
    assert peers(series, SITE, meters, _meter("flat-0", kind="large"), today) is None
