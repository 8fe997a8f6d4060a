"""The city as a map: tiles, ground plan, standings over a period, and the map in a browser."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from datetime import date
from itertools import pairwise
from pathlib import Path

import pytest
from playwright.sync_api import Browser, expect

from analysis.city_verdicts import SiteStanding, site_standings
from analysis.days import noise_days
from analysis.limits import site_clock
from analysis.verdict_table import SourceVerdicts
from api.app import create_app
from api.context import ApiConfig, ApiContext
from api.ground_plan import BadGroundPlan, PlacedSite, ground_plan, read_ground_plan
from api.map_tiles import BadTiles, tile_layer
from store.registry.models import Site
from tests.api import seeding
from tests.api.browsing import Sounding, visiting
from tests.api.conftest import Person, Served

PERIOD = {"first": "2026-02-01", "last": "2026-02-28"}


# -- what it is drawn on ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("url", "origin", "attribution"),
    [
        ("https://t{s}.tianditu.gov.cn/vec_w/wmts?X={x}&Y={y}&Z={z}&tk=k", "https://*.tianditu.gov.cn", "天地图"),
        ("https://tile.openstreetmap.org/{z}/{x}/{y}.png", "https://tile.openstreetmap.org", "OpenStreetMap"),
        ("http://127.0.0.1:8090/{z}/{x}/{y}.png", "http://127.0.0.1:8090", ""),
    ],
)  # fmt: skip
def test_tiles_are_allowed_from_their_own_origin_alone(
    context: ApiContext, url: str, origin: str, attribution: str
) -> None:
    layer = tile_layer(url)
    assert layer.origin == origin and attribution in layer.attribution
    officer = Person(create_app(replace(context, config=ApiConfig(tiles=(layer,)))), "bureau")
    answer = officer.get("/city/map")
    assert answer.json()["tiles"][0]["url"] == url and answer.json()["ground"] is None
    policy = dict(
        part.split(" ", 1) for part in answer.headers["content-security-policy"].split("; ") if " " in part
    )
    assert policy["img-src"] == f"'self' data: {origin}"
    assert origin not in policy["script-src"] + policy["connect-src"]


@pytest.mark.parametrize(
    "url",
    [
        "https://tiles.example/{z}/{x}.png",
        "ftp://tiles.example/{z}/{x}/{y}",
        "https://tiles.example; script-src */{z}/{x}/{y}",
        "https://{s}/{z}/{x}/{y}",
        "//tiles.example/{z}/{x}/{y}",
    ],
)
def test_an_address_that_cannot_be_tiles_is_refused(url: str) -> None:
    with pytest.raises(BadTiles):
        tile_layer(url)


def test_the_plan_outlines_each_district_around_its_quarters() -> None:
    places = [
        PlacedSite("A", 116.30, 39.90),
        PlacedSite("A", 116.40, 39.95),
        PlacedSite("B", 116.60, 39.80),
    ]
    features = ground_plan(places)["features"]
    outlines = {
        one["properties"]["name"]: one["geometry"]["coordinates"][0]
        for one in features
        if one["properties"]["kind"] == "district"
    }
    assert set(outlines) == {"A", "B"}
    for place in places:
        assert inside((place.longitude, place.latitude), outlines[place.district])
    assert not inside((116.60, 39.80), outlines["A"])
    assert {one["geometry"]["type"] for one in features if one["properties"]["kind"] == "grid"} == {
        "LineString"
    }
    assert ground_plan([])["features"] == []


def inside(point: tuple[float, float], ring: list[list[float]]) -> bool:
    """Whether a point lies left of every edge of a convex ring that runs anticlockwise and is closed."""
    assert ring[0] == ring[-1]
    return all(
        (b[0] - a[0]) * (point[1] - a[1]) - (b[1] - a[1]) * (point[0] - a[0]) > 0 for a, b in pairwise(ring)
    )


def test_a_bureaus_own_plan_is_read_or_refused_with_the_cause(context: ApiContext, tmp_path: Path) -> None:
    plan = {"type": "FeatureCollection", "features": []}
    own = tmp_path / "city.geojson"
    own.write_text(json.dumps(plan))
    officer = Person(create_app(replace(context, config=ApiConfig(ground=read_ground_plan(own)))), "bureau")
    assert officer.get("/city/map").json() == {"tiles": [], "ground": plan}
    for text, cause in (("{", "not JSON"), ("[1]", "not GeoJSON"), ('{"type": "Topology"}', "not GeoJSON")):
        own.write_text(text)
        with pytest.raises(BadGroundPlan, match=cause):
            read_ground_plan(own)
    with pytest.raises(BadGroundPlan, match="No such file"):
        read_ground_plan(tmp_path / "none")


def test_the_plan_shows_nobody_more_than_they_may_see(person: Callable[..., Person]) -> None:
    def districts(name: str) -> set[str]:
        features = person(name).get("/city/map").json()["ground"]["features"]
        return {one["properties"]["name"] for one in features if one["properties"]["kind"] == "district"}

    assert districts("bureau") == {"海淀区", "朝阳区", "西城区"}
    assert districts("manager") == {"海淀区"}


# -- how quarters stood ----------------------------------------------------------------------------------------


def test_the_share_is_of_what_was_judged() -> None:
    table = [
        SourceVerdicts("a", "x", ["pass", "fail", "incomplete"], ["pass", "pass", "pass"]),
        SourceVerdicts("a", "y", ["pass", "pass", "pass"], ["pass", "pass", "pass"]),
        SourceVerdicts("b", "x", ["incomplete"], ["incomplete"]),
        SourceVerdicts("c", "x", ["fail"], ["pass"]),
        SourceVerdicts("d", "x", ["pass"], ["pass"]),
    ]
    found = site_standings(table)
    assert found["a"] == SiteStanding("a", days=5, days_within=4, nights=6, nights_within=6)
    assert {name: one.standing for name, one in found.items()} == {
        "a": "mostly_within", "b": "none_judged", "c": "often_above", "d": "all_within",
    }  # fmt: skip


def test_standings_equal_the_days_one_by_one(context: ApiContext, person: Callable[..., Person]) -> None:
    answer = person("bureau").get("/city/standings", **PERIOD).json()
    items = {one["site"]: one for one in answer["items"]}
    assert set(items) == set(seeding.SITES)
    with context.registry.reader() as session:
        site = session.get(Site, seeding.OWN_SITE)
        assert site is not None
        judged = [
            half.verdict
            for device, *_ in seeding.DEVICES[seeding.OWN_SITE]
            for day in noise_days(
                context.series, site_clock(site), site, device, date(2026, 2, 1), date(2026, 2, 28),
                now=context.clock.now(),
            )
            for half in (day.day, day.night)
        ]  # fmt: skip
    own = items[seeding.OWN_SITE]
    assert own["days_within"] + own["nights_within"] == judged.count("pass")
    assert own["days"] + own["nights"] == len(judged) - judged.count("incomplete") > 40
    assert own["share_within"] == pytest.approx(judged.count("pass") / (own["days"] + own["nights"]))


def test_a_manager_learns_of_their_own_quarter_alone(person: Callable[..., Person]) -> None:
    items = person("manager").get("/city/standings", **PERIOD).json()["items"]
    assert [one["site"] for one in items] == [seeding.OWN_SITE]


# -- the map in a browser --------------------------------------------------------------------------------------


@pytest.mark.browser
@pytest.mark.parametrize(("language", "width"), [("zh", 1440), ("en", 360)])
def test_an_officer_finds_the_loud_quarter_on_the_map(
    browser: Browser, served: Served, language: str, width: int
) -> None:
    with visiting(browser, served, width=width) as visitor, Sounding(served):
        page = visitor.page
        visitor.log_in()
        visitor.speak(language)
        page.click("[data-testid=view-map]")
        expect(page.locator(".map-number")).to_have_count(3)
        expect(page.locator(".map-number", has_text="41")).to_have_count(3)  # live levels
        page.select_option("[data-testid=pick-period]", "month")
        judged = {"zh": "昼夜时段", "en": "days and nights"}[language]
        words = {"zh": "尚无评价 2", "en": "Nothing judged 2"}[language]
        expect(page.locator(".map-legend")).to_contain_text(words)
        page.click("[data-testid=view-table]")
        standing = {"zh": "全部达标", "en": "Always within limits"}[language]
        row = page.locator(f"[data-testid=site-row][data-site={seeding.OWN_SITE}]")
        expect(row.locator("[data-testid=site-state]")).to_have_text(standing)
        expect(row.locator(".of-period")).to_contain_text(judged)
        page.click("[data-testid=view-map]")
        page.select_option("[data-testid=pick-district]", "海淀区")
        expect(page.locator(".map-number")).to_have_count(1)
        page.locator(".map").scroll_into_view_if_needed()
        number = page.locator(".map-number").bounding_box()
        assert number
        page.mouse.click(number["x"] + number["width"] / 2, number["y"] + number["height"] / 2)
        expect(page.locator(".map-popup")).to_contain_text(judged)
        expect(page.locator(".map-popup")).to_contain_text("41.0 dB")
        visitor.shoot(f"map-{language}-{width}")
        assert page.evaluate("document.documentElement.scrollWidth") <= width
        assert visitor.faults() == []
        page.click(".map-popup-name")
        page.wait_for_selector(f"[data-view=site][data-of={seeding.OWN_SITE}]")
