"""Source checks by the API: measured from what is stored, and kept as a record for a case file."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.api import seeding
from tests.api.conftest import Person

SITE = seeding.OWN_SITE
ASKED = {
    "device": "dong-men", "suspect": "东侧商铺空调外机", "standard": "gb22337", "zone_class": "1",
    "note": "投诉编号 17",
    "on": [{"start": "2026-03-02T10:00:00Z", "end": "2026-03-02T10:05:00Z"}],
    "off": [{"start": "2026-03-02T07:00:00Z", "end": "2026-03-02T07:05:00Z"}],
}  # fmt: skip


def test_a_check_is_made_kept_and_found_again(person: Callable[..., Person]) -> None:
    who = person("manager")
    made = who.send("POST", f"/noise/checks?site={SITE}", ASKED)
    assert made.status_code == 201
    record = made.json()
    assert (record["made_by"], record["indicative"], record["asked"]["suspect"]) == (
        "manager", True, ASKED["suspect"],
    )  # fmt: skip
    result = record["result"]
    assert result["difference_db"] == pytest.approx(result["on_db"] - result["off_db"])
    assert result["limit"]["standard"] == "GB 22337-2008" and result["limit"]["clause"]
    assert result["verdict"] in ("pass", "fail", "not_usable")
    assert result["calibration"]["detail"] == {"note": "seeded"}  # the last one before the measurement
    assert person("bureau").get(f"/noise/checks/{record['id']}").json() == record
    assert [one["id"] for one in who.get("/noise/checks", site=SITE).json()["items"]] == [record["id"]]
    assert person("bureau").get("/audit", limit=1).json()["items"][0]["action"] == "check.add"


@pytest.mark.parametrize(
    ("change", "status", "told"),
    [
        ({"device": "nobody"}, 404, "nobody"),
        ({"off": [{"start": "2026-03-02T15:00:00Z", "end": "2026-03-02T15:05:00Z"}]}, 422, "partly in the day"),
        ({"night_noise": "frequent"}, 422, "at night"),
        ({"zone_class": "9"}, 422, "zone_class"),
        ({"on": []}, 422, "on"),
        ({"on": [{"start": "2026-03-02T10:00:00Z", "end": "2026-03-02T09:00:00Z"}]}, 422, "end after it starts"),
    ],
)  # fmt: skip
def test_a_check_that_cannot_be_made(
    person: Callable[..., Person], change: dict, status: int, told: str
) -> None:
    answer = person("bureau").send("POST", f"/noise/checks?site={SITE}", {**ASKED, **change})
    assert answer.status_code == status and told in answer.text
    assert person("bureau").get("/noise/checks", site=SITE).json()["items"] == []


def test_checks_of_other_quarters_are_not_there(person: Callable[..., Person]) -> None:
    elsewhere = {**ASKED, "device": "bei-men"}
    number = person("bureau").send("POST", f"/noise/checks?site={seeding.OTHER_SITE}", elsewhere).json()["id"]
    assert person("manager").get(f"/noise/checks/{number}").status_code == 404
    assert (
        person("manager").send("POST", f"/noise/checks?site={seeding.OTHER_SITE}", elsewhere).status_code
        == 404
    )
    assert person("viewer").send("POST", f"/noise/checks?site={SITE}", ASKED).status_code == 403
