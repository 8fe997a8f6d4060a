"""How a quarter is judged, by the API: one date in full, times left out, borders and quiet periods, origins."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date

import pytest

from analysis.days import noise_days
from analysis.limits import site_clock
from analysis.standards import Row, standards
from api.context import ApiContext
from store.registry.models import Exclusion, Site
from tests.api import seeding
from tests.api.conftest import Person

SITE = seeding.OWN_SITE
DEVICE = "dong-men"
HERE = {"site": SITE, "device": DEVICE}
FULL_DAY = "2026-02-20"


# -- one date --------------------------------------------------------------------------------------------------


def test_a_date_in_full_is_what_analysis_says(person: Callable[..., Person], context: ApiContext) -> None:
    got = person("viewer").get("/noise/day", **HERE, date=FULL_DAY, also=["who.", "eu."]).json()
    with context.registry.reader() as session:
        site = session.get_one(Site, SITE)
    day = date.fromisoformat(FULL_DAY)
    (known,) = noise_days(context.series, site_clock(site), site, DEVICE, day, day)
    assert got["indicative"] is True
    assert (got["day"]["laeq_db"], got["night"]["laeq_db"]) == (known.ld_db, known.ln_db)
    assert (got["ldn_db"], got["lden_db"], got["lnight_db"]) == (
        known.ldn_db,
        known.lden_db,
        known.lnight_db,
    )
    levels = [got["day"][key] for key in ("l5_db", "l10_db", "l50_db", "l90_db", "l95_db", "lafmin_db")]
    assert levels == sorted(levels, reverse=True) and got["day"]["sd_db"] > 0.0
    assert (got["day_start"], got["night_start"], got["night_end"]) == (
        "2026-02-19T22:00:00Z", "2026-02-20T14:00:00Z", "2026-02-20T22:00:00Z",
    )  # fmt: skip
    found = {one["limit"]["id"]: one for one in got["findings"]}
    assert {"gb3096.class1.day", "gb3096.class1.night", "gb3096.class1.night_max", "who.2009.night", "eu.lden"} <= set(
        found
    )  # fmt: skip
    by_zone = found["gb3096.class1.day"]
    assert by_zone["verdict"] == known.day.verdict
    assert by_zone["shown_db"] == known.day.limit.rounded(by_zone["measured_db"])
    assert found["who.2009.night"]["limit"]["verified"] in ("V", "K")


def test_an_hour_that_does_not_count_says_why(person: Callable[..., Person]) -> None:
    who = person("viewer")
    answer = who.get("/noise/day", **HERE, date="2026-03-02").json()
    assert (answer["day"]["reason"], answer["night"]["reason"]) == ("no_data", "not_over")
    assert {one["reason"] for one in answer["night"]["uncounted"]} == {"no_data"}
    assert answer["day"]["sound_events"] + answer["night"]["sound_events"] == 5
    hours = who.get("/noise/hours", **HERE, start="2026-03-01T20:00:00Z", end="2026-03-02T00:00:00Z").json()
    assert "rain" in {one["not_counted"] for one in hours["hours"]}
    assert {one["not_counted"] for one in hours["hours"]} <= {"", "rain"}


def test_a_preset_that_no_day_is_judged_by_is_refused(person: Callable[..., Person]) -> None:
    answer = person("viewer").get("/noise/day", **HERE, date=FULL_DAY, also=["gbt50331."])
    assert (answer.status_code, answer.json()["code"]) == (422, "invalid_input")


# -- times left out --------------------------------------------------------------------------------------------


def test_a_time_is_left_out_by_hand_and_taken_back(
    person: Callable[..., Person], context: ApiContext
) -> None:
    who = person("bureau")

    def counted() -> int:
        return who.get("/noise/days", **HERE, first=FULL_DAY, last=FULL_DAY).json()["days"][0]["day"][
            "hours_counted"
        ]

    def days_of_the_city() -> int:
        items = who.get("/city/standings", first=FULL_DAY, last=FULL_DAY).json()["items"]
        return sum(one["days"] for one in items)

    rain = {
        "starts_at": "2026-02-20T00:00:00Z",
        "ends_at": "2026-02-20T05:00:00Z",
        "reason": "rain",
        "note": "中雨",
    }
    assert counted() == 16
    before = days_of_the_city()
    made = who.send("POST", f"/noise/exclusions?site={SITE}", rain)
    assert made.status_code == 201 and made.json()["created_by"] == "bureau"
    assert counted() == 11  # at once, although days are kept for a moment
    assert days_of_the_city() == before - len(seeding.DEVICES[SITE])
    day = who.get("/noise/day", **HERE, date=FULL_DAY).json()["day"]
    assert (day["reason"], {one["reason"] for one in day["uncounted"]}) == ("too_few_valid_hours", {"rain"})
    assert who.send("DELETE", f"/noise/exclusions/{made.json()['id']}").status_code == 204
    assert (counted(), days_of_the_city()) == (16, before)
    (kept,) = who.get("/noise/exclusions", site=SITE, start="2026-02-01T00:00:00Z").json()["by_hand"]
    assert kept["note"] == "中雨" and kept["revoked_at"] is not None
    with context.registry.reader() as session:
        assert session.get_one(Exclusion, kept["id"]).created_by == "bureau"
    actions = [one["action"] for one in who.get("/audit", limit=2).json()["items"]]
    assert actions == ["exclusion.revoke", "exclusion.add"]


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"ends_at": "2026-02-20T00:00:00Z"}, "ends after it starts"),
        ({"ends_at": "2026-05-20T00:00:00Z"}, "31 days"),
        ({"source": "nobody"}, "no device"),
        ({"reason": "other"}, "say why"),
        ({"reason": "noise"}, "reason"),
    ],
)
def test_a_time_that_cannot_be_left_out(person: Callable[..., Person], change: dict, told: str) -> None:
    rain = {"starts_at": "2026-02-20T00:00:00Z", "ends_at": "2026-02-20T05:00:00Z", "reason": "rain"}
    answer = person("bureau").send("POST", f"/noise/exclusions?site={SITE}", {**rain, **change})
    assert answer.status_code == 422 and told in answer.text


def test_a_manager_does_not_leave_out_what_is_loud(person: Callable[..., Person]) -> None:
    rain = {"starts_at": "2026-02-20T00:00:00Z", "ends_at": "2026-02-20T05:00:00Z", "reason": "rain"}
    for name in ("manager", "viewer", "water_office"):
        assert person(name).send("POST", f"/noise/exclusions?site={SITE}", rain).status_code == 403


# -- settings --------------------------------------------------------------------------------------------------


def test_the_bureau_moves_borders_and_sets_quiet_periods(person: Callable[..., Person]) -> None:
    who = person("bureau")
    dossier, period = f"/sites/{SITE}/dossiers/ningjing", {"first": "2026-02-01", "last": "2026-02-20"}
    measured = who.get(dossier, **period).json()["indicators"]
    before = who.get(f"/sites/{SITE}/judging").json()
    assert (before["day_starts_h"], before["night_starts_h"], before["escalation"]) == (
        6,
        22,
        {"after_s": 1800},
    )
    quiet = {
        "name_zh": "午休",
        "name_en": "Midday rest",
        "starts": "12:00",
        "ends": "14:00",
        "limit_db": 50.0,
    }
    change = {"night_starts_h": 23, "noise": {"quiet_periods": [quiet]}, "escalation": {"after_s": 600}}
    after = who.send("PATCH", f"/sites/{SITE}/judging", change).json()
    assert (after["night_starts_h"], after["noise"]["quiet_periods"][0]["days"]) == (23, "all")
    assert who.get(f"/sites/{SITE}").json()["limit"]["period"] == "day"  # 22:05 is day now
    assert who.get(dossier, **period).json()["indicators"] != measured
    day = who.get("/noise/day", **HERE, date=FULL_DAY).json()
    assert (day["day"]["hours"], day["night"]["hours"]) == (17, 7)
    audit = who.get("/audit", limit=1).json()["items"][0]
    assert audit["action"] == "site.judging" and audit["detail"]["before"]["night_starts_h"] == 22
    assert who.send("PATCH", f"/sites/{SITE}/judging", {"country": "CN"}).json()["noise"] == after["noise"]


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"day_starts_h": 22, "night_starts_h": 6}, "before night"),
        ({"noise": {"quiet_periods": [{"starts": "12:00"}]}}, "name_zh"),
        ({"noise": {"loudness": 3}}, "loudness"),
        ({"escalation": {"after_s": 5}}, "after_s"),
    ],
)
def test_settings_that_make_no_sense_change_nothing(
    person: Callable[..., Person], change: dict, told: str
) -> None:
    who = person("admin")
    before = who.get(f"/sites/{SITE}/judging").json()
    answer = who.send("PATCH", f"/sites/{SITE}/judging", change)
    assert answer.status_code == 422 and told in answer.json()["detail"]
    assert who.get(f"/sites/{SITE}/judging").json() == before


def test_each_authority_changes_its_own_part(person: Callable[..., Person]) -> None:
    water, noise = {"water": {"province": "湖北"}}, {"noise": {"hour_share": 0.5}}
    assert person("water_office").send("PATCH", f"/sites/{SITE}/judging", water).status_code == 200
    assert person("water_office").send("PATCH", f"/sites/{SITE}/judging", noise).status_code == 403
    assert person("bureau").send("PATCH", f"/sites/{SITE}/judging", water).status_code == 403
    kept = person("bureau").send("PATCH", f"/sites/{SITE}/judging", noise).json()
    assert (kept["noise"]["hour_share"], kept["water"]["province"]) == (0.5, "湖北")


# -- origins ---------------------------------------------------------------------------------------------------


def test_every_preset_is_told_with_its_origin(person: Callable[..., Person]) -> None:
    items = person("viewer").get("/standards").json()["items"]
    assert [one["id"] for one in items] == [row.id for row in standards().rows(Row)]
    for one in items:
        assert one["standard"] and one["clause"] and one["source"] and one["valid_from"], one
        assert one["verified"] in ("V", "C", "K") and one["comparator"] and one["rounding"] >= 0
    by_id = {one["id"]: one for one in items}
    assert by_id["construction.2011.day"]["in_force"] is False
    assert "GB 12523-2025" in by_id["construction.2011.day"]["note"]["en"]
    assert by_id["construction.2026.day"]["project_default"] is True
    assert (
        by_id["tariff.beijing"]["kind"] == "tariff" and len(by_id["tariff.beijing"]["numbers"]["tiers"]) == 3
    )
    old = person("viewer").get("/standards", prefix="construction.2011", on="2025-12-31").json()["items"]
    assert [one["in_force"] for one in old] == [True] * 3
