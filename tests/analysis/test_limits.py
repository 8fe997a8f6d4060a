from datetime import UTC, date, datetime

import pytest

from analysis.limits import night_max_limit, period_limit, present_limit
from analysis.site_settings import BadSettings, parse_settings
from store.registry.models import Site

SITE = Site(name="garden", zone_class="1", timezone="Asia/Shanghai", day_starts_h=6, night_starts_h=22)


@pytest.mark.parametrize(
    ("utc", "period", "value"),
    [
        (datetime(2026, 2, 28, 21, 59, 59, tzinfo=UTC), "night", 45.0),  # 05:59:59 in Shanghai
        (datetime(2026, 2, 28, 22, 0, 0, tzinfo=UTC), "day", 55.0),  # 06:00:00
        (datetime(2026, 3, 1, 13, 59, 59, tzinfo=UTC), "day", 55.0),  # 21:59:59
        (datetime(2026, 3, 1, 14, 0, 0, tzinfo=UTC), "night", 45.0),  # 22:00:00
        (datetime(2025, 12, 31, 16, 30, 0, tzinfo=UTC), "night", 45.0),  # 00:30 on New Year's Day
    ],
)
def test_day_and_night_change_on_the_second(utc: datetime, period: str, value: float) -> None:
    limit = present_limit(SITE, utc)
    assert (limit.period, limit.value_db) == (period, value)
    assert limit.since <= utc < limit.until
    assert (limit.standard, limit.verified) == ("GB 3096-2008", "V")


def test_a_night_begins_on_the_evening_before() -> None:
    limit = present_limit(SITE, datetime(2025, 12, 31, 16, 30, tzinfo=UTC))
    assert limit.since == datetime(2025, 12, 31, 14, tzinfo=UTC)
    assert limit.until == datetime(2025, 12, 31, 22, tzinfo=UTC)


def _shanghai(text: str) -> datetime:
    return datetime.fromisoformat(text + "+08:00").astimezone(UTC)


MIDDAY = {
    "name_zh": "午休", "name_en": "Midday rest", "starts": "12:00", "ends": "14:00", "limit_db": 50.0,
    "days": "restdays",
}  # fmt: skip
EXAM = {
    "name_zh": "高考", "name_en": "Examination", "starts": "00:00", "ends": "24:00", "limit_db": 45.0,
    "first_date": "2026-06-07", "last_date": "2026-06-09",
}  # fmt: skip


def _with(**noise: object) -> Site:
    return Site(
        name="garden", zone_class="1", timezone="Asia/Shanghai", day_starts_h=6, night_starts_h=22,
        settings={"noise": noise},
    )  # fmt: skip


@pytest.mark.parametrize(
    ("local", "value", "quiet"),
    [
        ("2026-03-01T11:59:59", 55.0, ""),  # a Sunday
        ("2026-03-01T12:00:00", 50.0, "Midday rest"),
        ("2026-03-01T13:59:59", 50.0, "Midday rest"),
        ("2026-03-01T14:00:00", 55.0, ""),
        ("2026-03-02T12:30:00", 55.0, ""),  # a Monday
        ("2026-02-28T12:30:00", 55.0, ""),  # a Saturday on which China works, for the Spring Festival
        ("2026-02-17T12:30:00", 50.0, "Midday rest"),  # a Tuesday: Spring Festival
        ("2026-06-07T12:30:00", 45.0, "Examination"),  # the lower of two
        ("2026-06-09T21:59:59", 45.0, "Examination"),
        ("2026-06-10T12:30:00", 55.0, ""),
        ("2026-06-07T23:00:00", 45.0, ""),  # no lower than the night's own
    ],
)
def test_quiet_periods_lower_the_limit_of_alerts(local: str, value: float, quiet: str) -> None:
    limit = present_limit(_with(quiet_periods=[MIDDAY, EXAM]), _shanghai(local))
    assert (limit.value_db, limit.quiet_en) == (value, quiet)


@pytest.mark.parametrize(
    ("local", "value"),
    [("2026-03-01T12:30:00", 55.0), ("2026-02-17T12:30:00", 50.0), ("2026-10-01T12:30:00", 50.0)],
)  # a Sunday, the Spring Festival, the National Day
def test_a_quiet_period_of_public_holidays_alone(local: str, value: float) -> None:
    site = _with(quiet_periods=[{**MIDDAY, "days": "holidays"}])
    assert present_limit(site, _shanghai(local)).value_db == value


def test_every_border_begins_a_new_stretch() -> None:
    site = _with(quiet_periods=[MIDDAY])
    before, within, after = (
        present_limit(site, _shanghai(f"2026-03-01T{clock}")) for clock in ("09:00", "13:00", "15:00")
    )
    assert (before.since, before.until) == (_shanghai("2026-03-01T06:00"), _shanghai("2026-03-01T12:00"))
    assert (within.since, within.until) == (_shanghai("2026-03-01T12:00"), _shanghai("2026-03-01T14:00"))
    assert (after.since, after.until) == (_shanghai("2026-03-01T14:00"), _shanghai("2026-03-01T22:00"))
    assert within.standard == "project default"


def test_the_bureau_sets_its_own_limits() -> None:
    own = {"day_db": 50, "night_db": 40, "standard": "Decision 7 of the bureau", "comparator": "<"}
    site = _with(own_limits=own)
    day = period_limit(site, "day", date(2026, 3, 1))
    assert (day.value, day.standard, day.judge(50.0)) == (50.0, "Decision 7 of the bureau", "fail")
    assert period_limit(site, "night", date(2026, 3, 1)).value == 40.0
    assert night_max_limit(site).value == 55.0
    assert night_max_limit(SITE).value == 60.0


@pytest.mark.parametrize(
    ("noise", "told"),
    [
        ({"quiet_periods": [{**MIDDAY, "ends": "11:00"}]}, "later than starts"),
        ({"quiet_periods": [{**MIDDAY, "starts": "noon"}]}, "starts"),
        ({"quiet_periods": [{**EXAM, "last_date": "2026-01-01"}]}, "last_date"),
        ({"own_limits": {"day_db": 50, "night_db": 40}}, "standard"),
        ({"hour_share": 1.5}, "hour_share"),
        ({"colour": 1}, "colour"),
    ],
)
def test_settings_that_make_no_sense_are_refused_with_the_field(noise: dict[str, object], told: str) -> None:
    with pytest.raises(BadSettings, match=told):
        parse_settings({"noise": noise})
