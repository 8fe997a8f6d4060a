"""What counts of a quarter's water, and the loss, by hand."""

from __future__ import annotations

from datetime import date, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from analysis.days import WaterDay
from analysis.water.known import counted_use, counted_volume_l, every_date, loss, summed
from store.registry.models import Meter

FIRST, LAST = date(2026, 3, 1), date(2026, 3, 10)


def days(meter: str, *known: tuple[float | None, float]) -> list[WaterDay]:
    return [WaterDay(FIRST + timedelta(days=n), meter, *one) for n, one in enumerate(known)]


def meters(**roles: str) -> list[Meter]:
    return [Meter(site="q", name=name, role=role) for name, role in roles.items()]


def test_a_date_counts_from_three_quarters_on_with_what_is_missing_at_its_mean() -> None:
    (whole, enough, little, none) = days("m", (240.0, 1.0), (180.0, 0.75), (170.0, 0.74), (None, 0.0))
    assert [counted_volume_l(one) for one in (whole, enough, little, none)] == [240.0, 240.0, None, None]
    found = counted_use([whole, enough, little, none])
    assert (found.volume_l, found.dates) == (480.0, 2)


def test_one_silent_flat_of_many_does_not_cost_the_date() -> None:
    flats = [every_date(days(f"f{n}", (10.0, 1.0)) if n else [], f"f{n}", FIRST, FIRST) for n in range(5)]
    (day,) = summed(flats)
    assert (day.volume_l, day.known_share) == (40.0, 0.8)
    assert counted_volume_l(day) == pytest.approx(50.0)


def test_a_loss_is_over_the_dates_of_the_master_meter() -> None:
    known = [
        *days("in", (100.0, 1.0), (None, 0.0), (75.0, 0.75), (1.0, 0.1)),
        *days("a", (40.0, 1.0), (999.0, 1.0), (40.0, 1.0), (999.0, 1.0)),
        *days("b", (50.0, 1.0), (999.0, 1.0), (25.0, 0.5), (999.0, 1.0)),
    ]
    found = loss(known, meters(**{"in": "master", "a": "household", "b": "public"}), FIRST, LAST)
    assert found.dates == 2 and found.unknown == () and found.balance is not None
    assert (found.balance.master_l, found.balance.sub_l) == (200.0, 40.0 + 40.0 + 75.0 / 0.75)
    assert found.balance.lost_share == pytest.approx(0.1)


@pytest.mark.parametrize(
    ("roles", "known", "reason"),
    [
        ({"a": "household"}, [("a", 10.0, 1.0)], "no_master_meter"),
        ({"in": "master", "a": "household"}, [("a", 10.0, 1.0), ("in", 70.0, 0.7)], "master_unknown"),
        ({"in": "master", "a": "household"}, [("in", 0.0, 1.0), ("a", 0.0, 1.0)], "master_unknown"),
        ({"in": "master", "a": "household"}, [("in", 10.0, 1.0), ("a", 1.0, 0.1)], "others_unknown"),
        ({"in": "master"}, [("in", 10.0, 1.0)], "others_unknown"),
    ],
)
def test_there_is_no_loss_without_both_sides(roles, known, reason) -> None:
    rows = [WaterDay(FIRST, name, volume, share) for name, volume, share in known]
    found = loss(rows, meters(**roles), FIRST, LAST)
    assert found.balance is None and found.reason == reason


def test_an_unknown_sub_meter_makes_the_loss_an_upper_bound_without_a_grade() -> None:
    known = [*days("in", (100.0, 1.0)), *days("a", (60.0, 1.0)), *days("b", (30.0, 0.5))]
    found = loss(known, meters(**{"in": "master", "a": "household", "b": "household"}), FIRST, LAST)
    assert found.unknown == ("b",) and found.balance is not None
    assert (found.balance.lost_share, found.balance.known_share, found.balance.grade) == (0.4, 0.5, None)


@given(st.lists(st.floats(0.75, 1.0), min_size=1, max_size=10), st.floats(1.0, 1e4))
def test_even_use_is_found_whatever_hours_are_missing(shares: list[float], per_day: float) -> None:
    found = counted_use(days("m", *((per_day * share, share) for share in shares)))
    assert found.volume_l / found.dates == pytest.approx(per_day)
