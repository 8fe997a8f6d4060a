"""Quota, plan, tier, bill, peers and losses by the API, against the functions that compute them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from fastapi import FastAPI
from sqlalchemy import select

from api.app import create_app
from api.context import ApiContext
from store.registry.models import Device, Meter, Site
from store.series.duckdb_store import DuckDbStore
from store.series.interface import WaterHour
from tests.api import seeding
from tests.api.conftest import Person

SITE = seeding.OWN_SITE
YEAR = datetime(2025, 12, 31, 16, tzinfo=UTC)
"""New year in Shanghai."""
DAYS = 61
HOUSEHOLDS = [seeding.meter_name(n) for n in range(2, seeding.METERS)]


@pytest.fixture(scope="module")
def two_months(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DuckDbStore]:
    """Household n uses 100 + 20 n litres a day, and the master meter a tenth more than all."""
    store = DuckDbStore(tmp_path_factory.mktemp("water") / "water.duckdb", memory_mb=256, threads=1)
    daily_l = {name: 100.0 + 20 * n for n, name in enumerate(HOUSEHOLDS)}
    daily_l[seeding.meter_name(1)] = 0.0
    daily_l["zong-biao"] = sum(daily_l.values()) * 1.1
    store.write_rollups(
        [],
        [
            WaterHour(SITE, name, YEAR + n * timedelta(hours=1), litres / 24.0, 1)
            for name, litres in daily_l.items()
            for n in range(24 * DAYS)
        ],
    )
    yield store
    store.close()


@pytest.fixture
def watered(context: ApiContext, two_months: DuckDbStore) -> ApiContext:
    """A quarter with a plan and people, and those two months."""
    with context.registry.session() as session:
        site = session.get_one(Site, SITE)
        site.settings = {
            "water": {"province": "北京", "plan_m3": {"2026": 500.0}, "persons": 20, "households": 10}
        }
        for meter in session.scalars(select(Meter).where(Meter.site == SITE)):
            meter.peer_kind, meter.persons = "flat", 2
    return replace(context, series=two_months)


@pytest.fixture
def wet(watered: ApiContext) -> Callable[..., Person]:
    app: FastAPI = create_app(watered)
    return lambda name="viewer": Person(app, name)


def test_a_quarter_against_quota_and_plan(wet: Callable[..., Person]) -> None:
    got = wet().get("/water/account", site=SITE).json()
    master_l = 2090.0  # (100 + 120 + … + 280) · 1.1
    assert got["measured_by"] == "master" and got["indicative"] is True
    assert (
        got["night_flow"]["newest_lph"] == pytest.approx(master_l / 24) and got["night_flow"]["nights"] >= 29
    )
    assert got["per_head"]["litres_per_person_day"] == pytest.approx(master_l / 20, rel=0.01)
    assert (got["per_head"]["verdict"], got["per_head"]["highest_lpd"]) == ("within", 140.0)
    assert (
        got["per_head"]["quota"]["standard"] == "GB/T 50331-2002"
        and got["per_head"]["quota"]["verified"] == "V"
    )
    assert got["litres_per_household_day"] == pytest.approx(master_l / 10, rel=0.01)
    assert got["used_m3"] == pytest.approx(master_l * 61 / 1000, rel=0.02)
    assert got["forecast"]["likely_m3"] == pytest.approx(master_l * 365 / 1000, rel=0.02)
    assert (got["plan_m3"], got["passes_plan"]) == (500.0, 1.0)
    assert got["over_plan"]["surcharge"] == 0.0 < got["expected"]["surcharge"]
    steps = got["expected"]["steps"]
    assert got["expected"]["surcharge"] == pytest.approx(sum(one["amount"] for one in steps), abs=0.02)
    assert [one["rate"] for one in steps] == [0.2, 0.5, 1.0]
    assert got["surcharge_row"]["project_default"] is True


def test_a_household_in_its_tier_and_beside_its_peers(wet: Callable[..., Person]) -> None:
    got = wet().get("/water/household", site=SITE, meter=HOUSEHOLDS[-1]).json()
    used = 280 * 61 / 1000
    assert got["used_m3"] == pytest.approx(used, rel=0.02)
    assert got["total"] == pytest.approx(5.0 * got["used_m3"], abs=0.01)
    assert (got["tier"], got["tier_likely"], got["currency"]) == (1, 1, "CNY")
    assert got["left_m3"] == pytest.approx(180.0 - got["used_m3"], abs=0.01)
    assert got["forecast"]["likely_m3"] == pytest.approx(280 * 365 / 1000, rel=0.02)
    assert got["tiers"][0]["parts"]["water"] == pytest.approx(2.07 * got["used_m3"], abs=0.01)
    assert got["tariff"]["verified"] == "V" and "2.93" in got["tariff_warnings"][0]
    assert (got["peers"]["group_size"], got["peers"]["quarter"]) == (10, 4)
    told = [got["peers"][key] for key in ("lower_quartile_l", "median_l", "upper_quartile_l")]
    assert all(value % 10 == 0 for value in told) and told == sorted(told)


def test_a_small_group_of_peers_is_not_shown(wet: Callable[..., Person], watered: ApiContext) -> None:
    with watered.registry.session() as session:
        session.get_one(Meter, (SITE, HOUSEHOLDS[0])).peer_kind = "villa"
    for meter in (HOUSEHOLDS[0], HOUSEHOLDS[1]):  # neither one alone nor nine are a crowd
        assert wet().get("/water/household", site=SITE, meter=meter).json()["peers"] is None


def test_a_quarters_loss(wet: Callable[..., Person], watered: ApiContext) -> None:
    got = wet().get("/water/balance", site=SITE, first="2026-02-01", last="2026-02-28").json()
    assert got["master_l"] == pytest.approx(2090 * 28, rel=0.01)
    assert got["lost_share"] == pytest.approx(1 - 1 / 1.1, abs=0.005)
    assert (got["known_share"], got["unknown_meters"], got["grade"]) == (1.0, [], "info")
    assert [one["project_default"] for one in got["thresholds"]] == [True] * 3
    with watered.registry.session() as session:
        session.add(
            Meter(
                site=SITE,
                name="new-flat",
                device="gateway",
                label_zh="新",
                label_en="New",
                created_at=seeding.NOW,
            )
        )
    unsure = wet().get("/water/balance", site=SITE, first="2026-02-01", last="2026-02-28").json()
    assert (unsure["unknown_meters"], unsure["grade"]) == (["new-flat"], None)
    before = wet().get("/water/balance", site=SITE, first="2025-01-01", last="2025-01-31").json()
    assert (before["reason"], before["master_l"], before["grade"]) == ("master_unknown", None, None)
    with watered.registry.session() as session:
        session.get_one(Meter, (SITE, "zong-biao")).role = "public"
    assert wet().get("/water/balance", site=SITE).json()["reason"] == "no_master_meter"


def test_approved_meters_are_not_indicative(wet: Callable[..., Person], watered: ApiContext) -> None:
    with watered.registry.session() as session:
        session.get_one(Device, (SITE, "gateway")).type_approved = True
    who = wet()
    for path in ("account", "today", "days"):
        assert who.get(f"/water/{path}", site=SITE).json()["indicative"] is False, path
    assert who.get("/water/household", site=SITE, meter=HOUSEHOLDS[0]).json()["indicative"] is False


def test_what_cannot_be_answered_says_so(wet: Callable[..., Person], person: Callable[..., Person]) -> None:
    assert wet().get("/water/household", site=SITE, meter="zong-biao").status_code == 422
    assert wet().get("/water/household", site=SITE, meter="nobody").status_code == 404
    empty = person("viewer").get("/water/account", site=SITE).json()  # three days of readings, and no rollups
    assert (empty["forecast"], empty["passes_plan"], empty["per_head"]["verdict"]) == (None, None, "unknown")


def test_the_leakage_rate_of_a_supplier(wet: Callable[..., Person]) -> None:
    year = {
        "supplied_m3": 1e8, "registered_m3": 8.2e7, "household_share": 0.5, "pipe_km": 800.0,
        "outlet_pressure_mpa": 0.4, "frost_depth_m": 0.0,
    }  # fmt: skip
    got = wet().send("POST", "/water/leakage-rate", year).json()
    assert got["gross"] == pytest.approx(0.18) and got["evaluated"] == pytest.approx(0.1244, abs=1e-4)
    assert got["grade"] == "none" and {one["verified"] for one in got["rows"]} == {"V", "K"}
    assert wet().send("POST", "/water/leakage-rate", {**year, "supplied_m3": 0}).status_code == 422
