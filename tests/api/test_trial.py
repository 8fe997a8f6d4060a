"""Rules by the API: one more rule, and "how many alerts would there have been?"."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from api.context import ApiContext
from api.routes import rules
from store.registry.models import Alert, Rule
from tests.api import seeding
from tests.api.conftest import Person

SITE = seeding.OWN_SITE


def test_a_rule_is_tried_on_the_past_before_it_is_switched_on(
    person: Callable[..., Person], context: ApiContext
) -> None:
    who = person("bureau")

    def trial(**params: object) -> dict:
        asked = {"site": SITE, "kind": "noise_window", "params": params, "days": 2}
        answer = who.send("POST", "/rules/trial", asked)
        assert answer.status_code == 200, answer.text
        return answer.json()

    with context.registry.reader() as session:
        before = session.query(Alert).count(), session.query(Rule).count()
    strict, loose = trial(margin_db=0.0), trial(margin_db=30.0)
    assert strict["alerts"] == sum(strict["per_source"].values()) == len(strict["newest"]) > 0
    assert set(strict["per_source"]) == {"dong-men", "zhong-ting"}
    assert loose["alerts"] == 0 and loose["newest"] == []
    assert 0.4 < strict["known_share"] < 0.6  # 26 hours of two days are stored
    first = strict["newest"][0]
    assert first["worst"] > first["limit"] and first["source"] in strict["per_source"]
    with context.registry.reader() as session:
        assert (session.query(Alert).count(), session.query(Rule).count()) == before


@pytest.mark.parametrize(
    ("change", "status", "told"),
    [
        ({"kind": "device_offline"}, 422, "cannot be tried"),
        ({"kind": "moon"}, 422, "moon"),
        ({"params": {"margin_db": -3}}, 422, "margin_db"),
        ({"days": 0}, 422, "days"),
        ({"days": 400}, 422, "days"),
        ({"site": "nowhere"}, 404, "nowhere"),
    ],
)
def test_a_trial_that_makes_no_sense(
    person: Callable[..., Person], change: dict, status: int, told: str
) -> None:
    answer = person("bureau").send(
        "POST", "/rules/trial", {"site": SITE, "kind": "noise_window", "days": 1, **change}
    )
    assert answer.status_code == status and told in answer.text


def test_one_trial_at_a_time(person: Callable[..., Person]) -> None:
    asked = {"site": SITE, "kind": "noise_window", "days": 1}
    with rules._TRIALS:
        answer = person("bureau").send("POST", "/rules/trial", asked)
        assert (answer.status_code, answer.json()["code"]) == (409, "not_possible")
    assert person("bureau").send("POST", "/rules/trial", asked).status_code == 200


def test_one_more_rule_with_its_first_version(person: Callable[..., Person]) -> None:
    who = person("bureau")
    loud = {
        "site": SITE,
        "kind": "noise_window",
        "params": {"margin_db": 10.0, "severity": "critical"},
        "note": "夜市",
    }
    made = who.send("POST", "/rules", loud)
    assert made.status_code == 201 and made.json()["changed"] == ["margin_db", "severity"]
    assert made.json()["can_be_tried"] is True
    (version,) = who.get(f"/rules/{made.json()['id']}/history").json()["items"]
    assert (version["who"], version["note"], version["version"]) == ("bureau", "夜市", 1)
    assert who.send("POST", "/rules", {**loud, "params": {"margin_db": "loud"}}).status_code == 422
    assert who.send("POST", "/rules", {**loud, "site": "nowhere"}).status_code == 404
    assert person("manager").send("POST", "/rules", loud).status_code == 403
