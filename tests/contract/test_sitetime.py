from datetime import UTC, date, datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from contract.sitetime import SiteClock, floor_hour

# Zones that change at 01:00, 02:00, midnight (Beirut, Santiago), by half an hour (Lord Howe), and never.
ZONES = ["Asia/Shanghai", "Europe/Berlin", "America/New_York", "Asia/Beirut", "America/Santiago",
         "Australia/Lord_Howe", "Atlantic/Azores", "Asia/Kolkata", "UTC"]  # fmt: skip
clocks = st.builds(
    SiteClock,
    zone=st.sampled_from(ZONES),
    day_starts_h=st.integers(0, 10),
    night_starts_h=st.integers(11, 23),
)
instants = st.integers(1_420_070_400, 1_893_456_000).map(lambda second: datetime.fromtimestamp(second, UTC))


@settings(max_examples=500)
@given(clocks, instants)
def test_every_instant_lies_within_the_bounds_of_its_own_day_or_night(clock, t):
    day = clock.period_date(t)
    start, end = clock.day_bounds(day) if clock.period(t) == "day" else clock.night_bounds(day)
    assert start <= t < end


@given(clocks, st.dates(date(2015, 1, 1), date(2030, 1, 1)))
def test_days_and_nights_follow_one_another_without_gap_or_overlap(clock, day):
    day_start, day_end = clock.day_bounds(day)
    night_start, night_end = clock.night_bounds(day)
    assert day_start < day_end == night_start < night_end == clock.day_bounds(day + timedelta(days=1))[0]


@pytest.mark.parametrize(
    ("local", "period", "belongs_to"),
    [
        ("2026-03-01T05:59:59+08:00", "night", date(2026, 2, 28)),
        ("2026-03-01T06:00:00+08:00", "day", date(2026, 3, 1)),
        ("2026-03-01T21:59:59+08:00", "day", date(2026, 3, 1)),
        ("2026-03-01T22:00:00+08:00", "night", date(2026, 3, 1)),
        ("2026-03-02T00:00:00+08:00", "night", date(2026, 3, 1)),
    ],
)
def test_the_borders_of_gb_3096(local, period, belongs_to):
    t = datetime.fromisoformat(local).astimezone(UTC)
    assert SiteClock().period(t) == period
    assert SiteClock().period_date(t) == belongs_to


def test_the_night_in_which_the_clocks_change_has_seven_or_nine_hours():
    berlin = SiteClock("Europe/Berlin")
    for night, hours in ((date(2026, 3, 28), 7), (date(2026, 10, 24), 9), (date(2026, 3, 1), 8)):
        start, end = berlin.night_bounds(night)
        assert end - start == timedelta(hours=hours)


def test_a_midnight_that_does_not_exist_is_the_first_instant_after_the_gap():
    santiago = SiteClock("America/Santiago")
    assert santiago.midnight(date(2026, 9, 6)) == datetime(2026, 9, 6, 4, tzinfo=UTC)
    assert santiago.local(santiago.midnight(date(2026, 9, 6))).hour == 1


@pytest.mark.parametrize(("day", "night"), [(22, 6), (6, 6), (-1, 22), (6, 24)])
def test_borders_that_make_no_day_are_refused(day, night):
    with pytest.raises(ValueError, match="day must start before night"):
        SiteClock(day_starts_h=day, night_starts_h=night)


def test_floor_hour():
    assert floor_hour(datetime(2026, 3, 1, 12, 59, 59, 999, UTC)) == datetime(2026, 3, 1, 12, tzinfo=UTC)
