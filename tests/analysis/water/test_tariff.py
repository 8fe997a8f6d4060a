from datetime import date
from decimal import Decimal

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from analysis.standard_rows import SurchargeRow, TariffRow, Tier
from analysis.standards import standards
from analysis.water.plan import over_plan
from analysis.water.tariff import bill, bounds, marginal_price, standing, warnings

BEIJING = standards().get("tariff.beijing", TariffRow)
VOLUMES = st.decimals(0, 2000, places=3)


@pytest.mark.parametrize(
    ("volume", "total"), [(180, "900.00"), (260, "1460.00"), (300, "1820.00"), (0, "0.00"), (181, "907.00")]
)
def test_beijing(volume: float, total: str) -> None:
    assert bill(BEIJING, volume).total == Decimal(total)


def test_the_parts_of_the_price_are_told() -> None:
    one = bill(BEIJING, 300)
    assert [share.volume_m3 for share in one.tiers] == [180, 80, 40]
    assert one.tiers[2].parts == {
        "water": Decimal("242.80"),
        "resource_tax": Decimal("62.80"),
        "sewage": Decimal("54.40"),
    }


@pytest.mark.parametrize(
    ("volume", "tier", "left", "next_price"),
    [
        (0, 1, 180, 5),
        (179.9, 1, Decimal("0.1"), 5),
        (180, 1, 0, 7),
        (180.1, 2, Decimal("79.9"), 7),
        (260, 2, 0, 9),
        (261, 3, None, 9),
    ],
)
def test_where_a_household_stands(volume: float, tier: int, left: Decimal | None, next_price: int) -> None:
    found = standing(BEIJING, volume)
    assert (found.tier, found.left_m3, marginal_price(BEIJING, volume)) == (tier, left, next_price)


@given(VOLUMES, VOLUMES)
def test_more_water_never_costs_less_and_never_more_than_the_dearest_tier(a: Decimal, b: Decimal) -> None:
    low, high = sorted((a, b))
    difference = bill(BEIJING, high).total - bill(BEIJING, low).total
    assert 0 <= difference <= (high - low) * 9 + Decimal("0.01")


def test_a_large_household_has_larger_tiers() -> None:
    large = msgspec.structs.replace(BEIJING, persons_included=5, extra_m3_per_person=30.0)
    assert bounds(large, 7) == [240, 320, None]
    assert bounds(large, 4) == bounds(large, None) == [180, 260, None]
    assert standing(large, 200, persons=7).tier == 1


def test_no_negative_volume_is_billed() -> None:
    with pytest.raises(ValueError, match="cannot be billed"):
        bill(BEIJING, -1)


def test_a_tariff_whose_tiers_do_not_rise_is_refused() -> None:
    raw = msgspec.to_builtins(BEIJING)
    raw["tiers"] = [
        {"parts": {"water": 1.0}, "up_to_m3": 200.0},
        {"parts": {"water": 2.0}, "up_to_m3": 100.0},
        {"parts": {"water": 3.0}},
    ]
    with pytest.raises(msgspec.ValidationError, match="must rise"):
        msgspec.convert(raw, TariffRow)
    raw["tiers"] = [{"parts": {"water": 1.0}, "up_to_m3": 200.0}]
    with pytest.raises(msgspec.ValidationError, match="the last has none"):
        msgspec.convert(raw, TariffRow)


def test_the_check_of_2676_warns_of_the_water_price_alone() -> None:
    assert warnings(BEIJING) == ["tier 3 costs 2.93 times tier 1; at least 3 times is asked for"]
    two = msgspec.structs.replace(BEIJING, tiers=(BEIJING.tiers[0], BEIJING.tiers[2]))
    assert warnings(two)[0].startswith("2 tiers")
    fair = msgspec.structs.replace(
        BEIJING,
        tiers=tuple(
            Tier(parts={"water": 2.0 * f}, up_to_m3=u) for f, u in ((1, 100.0), (1.5, 200.0), (3, None))
        ),
    )
    assert warnings(fair) == []


def test_over_plan_use_is_surcharged_step_by_step() -> None:
    """Plan 1,000 m³, 1,600 used: 300 m³ at 20 %, 200 m³ at 50 %, 100 m³ at 100 % of a water price of 2.07."""
    row = standards().get("surcharge.example", SurchargeRow)
    assert row.project_default and row.holds_on(date(2026, 1, 1))
    one = over_plan(1600, 1000, row, 2.07)
    assert [step.volume_m3 for step in one.steps] == [300, 200, 100]
    assert one.surcharge == Decimal("538.20") == Decimal("2.07") * (60 + 100 + 100)
    assert over_plan(1300, 1000, row, 2.07).surcharge == Decimal("124.20")
    assert over_plan(1000, 1000, row, 2.07).surcharge == over_plan(10, 1000, row, 2.07).surcharge == 0
    with pytest.raises(ValueError, match="above 0"):
        over_plan(1, 0, row, 2.07)
