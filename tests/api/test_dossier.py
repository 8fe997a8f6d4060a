"""The dossier by the API: what is measured fills itself in, what is entered counts, what is frozen stays."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from datetime import date, timedelta
from pathlib import Path

import pytest
from fastapi import FastAPI

from analysis.dossier.snapshot import digest
from analysis.energy import energy_mean
from api.app import create_app
from api.context import ApiContext
from api.ratelimit import Rate
from api.routes import dossier_surveys
from store.registry.models import AuditEntry
from tests.api import seeding
from tests.api.conftest import Person, SetClock

SITE = f"/sites/{seeding.OWN_SITE}"
FIRST, LAST = "2026-02-01", "2026-02-20"
PDF = b"%PDF-1.7 a pact"
COMPLAINT = {"kind": "complaint", "topic": "noise", "received_on": "2026-02-03", "about": "夜间施工"}
People = Callable[..., Person]


@pytest.fixture
def context(context: ApiContext, tmp_path: Path) -> ApiContext:
    return replace(context, files=tmp_path / "files")


def dossier(who: Person, programme: str = "quiet-2002", **period: str) -> dict:
    answer = who.get(f"{SITE}/dossiers/{programme}", **({"first": FIRST, "last": LAST} | period))
    assert answer.status_code == 200, answer.text
    return answer.json()


def line(found: dict, indicator: str) -> dict:
    return next(one for one in found["indicators"] if one["id"] == indicator)


def test_a_measured_figure_is_what_the_evidence_it_links_to_says(person: People) -> None:
    lin = person("committee")
    worst = line(dossier(lin), "point_night")
    assert worst["period" if "period" in worst else "first"] == FIRST and worst["indicative"]
    (link,) = worst["evidence"]
    days = lin.http.get(link["api"]).json()["days"]
    levels = [one["night"]["laeq_db"] for one in days if one["night"]["verdict"] != "incomplete"]
    assert len(days) == 20 and len(levels) == worst["counted"] > 10
    assert worst["value"] == pytest.approx(energy_mean(levels))
    assert worst["completeness"] == pytest.approx(len(levels) / 20)
    assert worst["value_text"]["en"] == f"{worst['value']:.1f} dB"
    assert link["page"] == "#/site/jing-yuan/patterns/dong-men"


def test_every_evidence_link_of_every_programme_answers(person: People) -> None:
    lin = person("committee")
    asked = 0
    for programme in ("quiet-2002", "ningjing", "water-saving"):
        for one in dossier(lin, programme)["indicators"]:
            for link in one["evidence"]:
                assert lin.http.get(link["api"]).status_code == 200, link
                asked += 1
    assert asked > 30


def test_the_usual_period_ends_before_yesterday(person: People) -> None:
    found = person("committee").get(f"{SITE}/dossiers/ningjing").json()
    assert (found["first"], found["last"]) == ("2026-01-30", "2026-02-28")


def test_periods(person: People) -> None:
    lin = person("committee")
    for query, status in (
        ({"first": "2026-02-20", "last": "2026-02-01"}, 422), ({"first": "2020-01-01", "last": "2026-02-01"}, 422),
        ({"first": "2026-02-01"}, 200), ({"last": "2026-02-10"}, 200), ({"first": "yesterday"}, 422),
        ({"first": "2027-01-01", "last": "2027-01-03"}, 200),
    ):  # fmt: skip
        answer = lin.get(f"{SITE}/dossiers/quiet-2002", **query)
        assert answer.status_code == status, answer.text


def test_what_is_entered_closes_its_gap(person: People) -> None:
    lin = person("committee")
    before = dossier(lin)
    assert line(before, "complaints_closed")["outcome"] == "missing"
    for body in (
        COMPLAINT | {"closed_on": "2026-02-05", "satisfied": True},
        COMPLAINT | {"received_on": "2025-12-01"},
        {"kind": "source", "name": "水泵房", "source_kind": "equipment", "distance_m": 18, "hours": "全天",
         "limit_db": 45, "measure": "减振"},
        {"kind": "source", "name": "商铺", "source_kind": "commerce"},
        {"kind": "rule", "rule_kind": "residents_pact", "title": "公约", "displayed": True},
        {"kind": "measure", "topic": "noise", "title": "隔声窗", "state": "done"},
        {"kind": "appliance", "appliance": "tap", "place": "household", "total": 50, "efficient": 50},
    ):  # fmt: skip
        assert lin.send("POST", f"{SITE}/dossier/entries", body).status_code == 201, body
    profile = {
        "households": 320, "green_share": 0.3, "closed_quarter": True, "contact_office": "居委会",
        "complaint_phone": "010-1234",
    }  # fmt: skip
    assert lin.send("PUT", f"{SITE}/dossier/profile", profile).status_code == 200
    after = dossier(lin)
    outcomes = {one["id"]: one["outcome"] for one in after["indicators"]}
    assert [
        outcomes[key] for key in ("complaints_closed", "complaints_satisfied", "pact", "measures", "size")
    ] == ["met"] * 5
    assert outcomes["closed_quarter"] == outcomes["contact"] == "met"
    assert outcomes["sources_known"] == outcomes["green_share"] == "not_met"
    assert line(after, "green_share")["closing"]["en"] == "5 percentage points are missing."
    assert line(after, "complaints_closed")["counted"] == 1, (
        "a complaint of another period counts in that one"
    )
    assert after["score"] == pytest.approx(before["score"] + 6 + 2 + 5 + 2 + 4 + 3 + 4)
    assert "green_share" in [one["indicator"] for one in after["gaps"]]
    register = next(one for one in after["registers"] if one["kind"] == "source")
    assert [row["cells"][2]["en"] for row in register["rows"]] == ["18 m", "–"]
    assert line(dossier(lin, "water-saving"), "fittings")["outcome"] == "met"


def test_a_line_that_does_not_fit_is_refused_by_name(person: People) -> None:
    lin = person("committee")
    for body, where in (
        (COMPLAINT | {"closed_on": "2026-02-01"}, "complaint"),
        (COMPLAINT | {"about": ""}, "complaint.about"),
        (COMPLAINT | {"satisfed": True}, "complaint.satisfed"),
        (COMPLAINT | {"about": "x" * 501}, "complaint.about"),
        ({"kind": "nothing"}, "body"),
        (
            {"kind": "appliance", "appliance": "tap", "place": "public", "total": 1, "efficient": 2},
            "appliance",
        ),
        ({"kind": "source", "name": "x", "source_kind": "traffic", "limit_db": 1e9}, "source.limit_db"),
    ):
        answer = lin.send("POST", f"{SITE}/dossier/entries", body)
        assert answer.status_code == 422 and where in answer.text, answer.text


def test_a_line_is_changed_from_the_version_that_was_read_and_kept_in_the_audit_log(
    person: People, context: ApiContext
) -> None:
    lin = person("committee")
    made = lin.send("POST", f"{SITE}/dossier/entries", COMPLAINT).json()
    address = f"{SITE}/dossier/entries/{made['id']}"
    changed = lin.send("PUT", f"{address}?expected_version=1", COMPLAINT | {"handling": "已约谈"})
    assert (changed.status_code, changed.json()["version"]) == (200, 2)
    again = lin.send("PUT", f"{address}?expected_version=1", COMPLAINT)
    assert (again.status_code, again.json()["code"]) == (409, "changed_meanwhile")
    other = lin.send("PUT", address, {"kind": "rule", "rule_kind": "other", "title": "x"})
    assert other.status_code == 422
    assert lin.send("DELETE", address).status_code == 204
    assert lin.send("DELETE", address).status_code == 404
    assert lin.get(f"{SITE}/dossier/entries").json()["items"] == []
    with context.registry.reader() as session:
        actions = [(one.who, one.action) for one in session.query(AuditEntry).order_by(AuditEntry.id)]
    assert actions == [("committee", f"dossier.entry.{one}") for one in ("add", "change", "remove")]


def test_lines_come_in_pages(person: People) -> None:
    lin = person("committee")
    for number in range(5):
        lin.send("POST", f"{SITE}/dossier/entries", COMPLAINT | {"about": str(number)})
    seen, before = [], None
    for _ in range(3):
        more = {} if before is None else {"before_id": before}
        page = lin.get(f"{SITE}/dossier/entries", kind="complaint", limit=2, **more).json()
        seen += [one["data"]["about"] for one in page["items"]]
        before = page["next"]
    assert seen == ["4", "3", "2", "1", "0"] and before is None


def test_a_viewer_looks_and_a_committee_stays_in_its_quarter(person: People) -> None:
    viewer, lin = person("viewer"), person("committee")
    assert viewer.get(f"{SITE}/dossiers/ningjing").status_code == 200
    assert viewer.send("POST", f"{SITE}/dossier/entries", COMPLAINT).status_code == 403
    other = f"/sites/{seeding.OTHER_SITE}"
    for method, path, body in (
        ("GET", "/dossiers/ningjing", None), ("POST", "/dossier/entries", COMPLAINT), ("GET", "/dossier/surveys", None),
        ("POST", "/dossiers/ningjing/versions", {}), ("PUT", "/dossier/profile", {}),
    ):  # fmt: skip
        assert lin.send(method, other + path, body).status_code == 404, path
    made = person("admin").send("POST", f"{other}/dossier/entries", COMPLAINT).json()
    assert lin.send("PUT", f"{SITE}/dossier/entries/{made['id']}", COMPLAINT).status_code == 404
    assert lin.send("PUT", f"{SITE}/dossier/local-rules/ningjing", {"overrides": {}}).status_code == 403


def test_a_local_rule_takes_the_place_of_a_shipped_threshold(person: People) -> None:
    bureau, lin = person("bureau"), person("committee")
    rule = {"overrides": {"hit_night": {"standard": "DB3502/T 113-2023", "value": 0.5, "clause": "5"}}}
    assert bureau.send("PUT", f"{SITE}/dossier/local-rules/ningjing", rule).status_code == 200
    found = line(dossier(lin, "ningjing"), "hit_night")
    assert (found["threshold"], found["origin"]["standard"], found["origin"]["verified"]) == (
        0.5,
        "DB3502/T 113-2023",
        "K",
    )
    assert found["origin"]["changed"] and not line(dossier(lin, "ningjing"), "hit_day")["origin"]["changed"]
    kept = lin.get(f"{SITE}/dossier/profile").json()["local_rules"]
    assert kept == {
        "ningjing": {
            "hit_night": {"standard": "DB3502/T 113-2023", "value": 0.5, "clause": "5", "applies": True}
        }
    }
    wrong = bureau.send(
        "PUT", f"{SITE}/dossier/local-rules/ningjing", {"overrides": {"x": {"standard": "y"}}}
    )
    assert wrong.status_code == 422 and "'x'" in wrong.text


def test_a_frozen_version_stays_what_it_was_and_says_what_changed_since(person: People) -> None:
    lin = person("committee")
    made = lin.send(
        "POST", f"{SITE}/dossiers/quiet-2002/versions", {"first": FIRST, "last": LAST, "note": "申报"}
    )
    assert made.status_code == 201, made.text
    one = made.json()
    before = dossier(lin)
    document = lin.get(f"{SITE}/dossiers/quiet-2002/versions/1")
    assert digest(document.text, "") == one["sha256"] and document.headers["etag"] == f'"{one["sha256"]}"'
    frozen = document.json()
    assert {**frozen, "made_at": ""} == {**before, "made_at": ""}
    lin.send(
        "POST",
        f"{SITE}/dossier/entries",
        {"kind": "rule", "rule_kind": "residents_pact", "title": "公约", "displayed": True},
    )
    two = lin.send("POST", f"{SITE}/dossiers/quiet-2002/versions", {"first": FIRST, "last": LAST}).json()
    assert (two["number"], two["previous_sha256"]) == (2, one["sha256"])
    assert lin.get(f"{SITE}/dossiers/quiet-2002/versions/1").json() == frozen
    changes = lin.get(f"{SITE}/dossiers/quiet-2002/changes", before=1, after=2).json()["items"]
    assert [(each["part"], each["id"], each["change"]) for each in changes] == [
        ("summary", "score", "changed"), ("indicator", "pact", "changed"), ("register", "1", "added"),
    ]  # fmt: skip
    assert changes[1]["after"]["en"] == "yes meets yes (5/5 points)"
    assert lin.get(f"{SITE}/dossiers/quiet-2002/changes", before=2).json()["items"] == []
    listed = lin.get(f"{SITE}/dossiers/quiet-2002/versions", limit=1).json()
    assert [each["number"] for each in listed["items"]] == [2] and listed["next"] == 2
    assert lin.get(f"{SITE}/dossiers/quiet-2002/versions/3").status_code == 404
    assert lin.get(f"{SITE}/dossiers/ningjing/versions/1").status_code == 404


def test_a_version_that_was_tampered_with_is_not_shown(person: People, context: ApiContext) -> None:
    lin = person("committee")
    lin.send("POST", f"{SITE}/dossiers/ningjing/versions")
    with context.registry.session() as session:
        session.connection().exec_driver_sql(
            "UPDATE dossier_versions SET document = replace(document, '0', '1')"
        )
    answer = lin.get(f"{SITE}/dossiers/ningjing/versions/1")
    assert (answer.status_code, answer.json()["code"]) == (409, "broken_version")


def attach(who: Person, content: bytes, name: str = "居民公约.pdf", **more: object):
    return who.http.post(
        f"/api/v1{SITE}/dossier/attachments", params={"name": name, **more}, content=content,
        headers={"X-CSRF-Token": who.csrf, "Content-Type": "application/octet-stream"},
    )  # fmt: skip


def test_a_file_comes_back_as_it_was_and_only_to_be_saved(person: People, context: ApiContext) -> None:
    lin = person("committee")
    made = attach(lin, PDF, indicator="pact")
    assert made.status_code == 201, made.text
    assert (made.json()["media_type"], made.json()["name"]) == ("application/pdf", "居民公约.pdf")
    answer = lin.get(f"{SITE}/dossier/attachments/{made.json()['id']}")
    assert answer.content == PDF
    assert answer.headers["content-type"] == "application/pdf"
    assert answer.headers["content-disposition"].startswith(
        "attachment; filename=\"____.pdf\"; filename*=UTF-8''%E5"
    )
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert "sandbox" in answer.headers["content-security-policy"]
    assert context.files is not None and PDF in [
        one.read_bytes() for one in context.files.rglob("*") if one.is_file()
    ]
    assert line(dossier(lin), "pact")["attachments"] == [made.json()["id"]]
    assert person("viewer").get(f"{SITE}/dossier/attachments/{made.json()['id']}").status_code == 200
    assert lin.send("DELETE", f"{SITE}/dossier/attachments/{made.json()['id']}").status_code == 204
    assert lin.get(f"{SITE}/dossier/attachments").json()["items"] == []


def test_a_file_that_does_not_fit_is_refused_and_not_kept(person: People, context: ApiContext) -> None:
    lin = person("committee")
    for content, more, status in (
        (b"<html><script>alert(1)</script>", {}, 422), (b"", {}, 422), (PDF, {"indicator": "nothing"}, 422),
        (PDF, {"entry": 99}, 422), (b"%PDF-" + b"0" * (8 << 20), {}, 413),
    ):  # fmt: skip
        answer = attach(lin, content, **more)
        assert answer.status_code == status, answer.text
    assert context.files is not None and not [one for one in context.files.rglob("*") if one.is_file()]


def test_a_name_cannot_leave_the_header_or_the_folder(person: People) -> None:
    lin = person("committee")
    made = attach(lin, PDF, '../../x"\r\nSet-Cookie: a=b;.html')
    assert made.status_code == 201
    answer = lin.get(f"{SITE}/dossier/attachments/{made.json()['id']}")
    assert "set-cookie" not in answer.headers
    assert made.json()["name"] == "x_Set-Cookie_ a=b_.html.pdf"


def test_large_bodies_are_for_files_alone(person: People) -> None:
    lin = person("committee")
    assert attach(lin, b"%PDF-" + b"0" * (1 << 20)).status_code == 201
    assert lin.send("PUT", f"{SITE}/dossier/profile", {"contact_office": "x" * (1 << 20)}).status_code == 413


def survey(lin: Person, days: int = 7) -> dict:
    last_day = (date(2026, 3, 2) + timedelta(days=days)).isoformat()
    answer = lin.send("POST", f"{SITE}/dossier/surveys", {"topic": "noise", "last_day": last_day})
    assert answer.status_code == 201, answer.text
    return answer.json()


def answers(value: int) -> dict:
    return {"answers": dict.fromkeys(("overall", "day", "night", "traffic", "neighbours", "handling"), value)}


def test_a_survey_is_answered_without_a_login_once_a_browser_and_not_by_a_machine(
    person: People, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dossier_surveys, "ANSWER_RATE", Rate(per_s=1e-6, burst=5.0))
    lin = person("committee")
    one = survey(lin)
    link = f"/survey/{one['link'].rpartition('/')[2]}"
    for _ in range(5):
        browser = person()
        assert browser.get(link).json()["answered"] is False
        assert browser.send("POST", link, answers(4)).status_code == 204
        assert browser.get(link).json()["answered"] is True
        assert browser.send("POST", link, answers(1)).json()["code"] == "answered_already"
    machine = person()
    machine.get(link)
    answer = machine.send("POST", link, answers(4))
    assert answer.json()["code"] == "too_many_requests" and int(answer.headers["retry-after"]) > 0
    (result,) = lin.get(f"{SITE}/dossier/surveys").json()["items"]
    assert (result["answers"], result["valid"], result["satisfied_share"]) == (5, 5, 1.0)
    assert 0.56 < result["low"] < 0.57 and result["high"] == 1.0


def test_satisfaction_is_computed_and_judged(person: People, context: ApiContext) -> None:
    from store.registry import dossier as kept

    lin = person("committee")
    one = survey(lin)
    with context.registry.session() as session:
        row = kept.find_survey(session, seeding.OWN_SITE, one["id"])
        assert row is not None
        for number, value in enumerate([5] * 20 + [4] * 6 + [2] * 4 + [0] * 5):
            kept.add_answer(session, row, f"browser-{number}", answers(value)["answers"], date(2026, 3, 2))
    found = line(dossier(lin), "satisfaction")
    assert found["value"] == pytest.approx(26 / 30) and found["counted"] == 30 and found["outcome"] == "met"
    assert found["note"]["en"] == "the survey is still open"


def test_a_survey_needs_the_cookie_closes_by_its_time_and_by_hand(
    app: FastAPI, context: ApiContext, person: People
) -> None:
    lin, browser = person("committee"), person()
    one = survey(lin)
    link = f"/survey/{one['link'].rpartition('/')[2]}"
    assert browser.send("POST", link, answers(3)).json()["code"] == "cookie_needed"
    cookie = browser.get(link).headers["set-cookie"]
    assert "HttpOnly" in cookie and "SameSite=lax" in cookie and "Path=/api/v1/survey" in cookie
    wrong = browser.send("POST", link, {"answers": {"overall": 6}})
    assert wrong.status_code == 422 and "overall" in wrong.text
    assert browser.send("POST", link, {"answers": answers(3)["answers"] | {"name": 1}}).status_code == 422
    assert lin.send("POST", f"{SITE}/dossier/surveys/{one['id']}/close").json()["state"] == "closed"
    assert browser.send("POST", link, answers(3)).json()["code"] == "survey_closed"
    two = survey(lin, days=1)
    later = replace(context, clock=SetClock(seeding.NOW + timedelta(days=2)))
    late = Person(create_app(later))
    address = f"/survey/{two['link'].rpartition('/')[2]}"
    assert late.get(address).json()["state"] == "closed"
    assert late.send("POST", address, answers(3)).json()["code"] == "survey_closed"
    assert person().get("/survey/no-such-token").status_code == 404


def test_a_survey_closes_in_the_future_and_within_a_year(person: People) -> None:
    lin = person("committee")
    for days in (-1, 400):
        last_day = (date(2026, 3, 2) + timedelta(days=days)).isoformat()
        answer = lin.send("POST", f"{SITE}/dossier/surveys", {"topic": "noise", "last_day": last_day})
        assert answer.status_code == 422
    assert survey(lin, days=0)["closes_at"] == "2026-03-02T16:00:00Z", "midnight in Shanghai"


def test_the_qr_code_leads_to_the_survey(person: People) -> None:
    lin = person("committee")
    one = survey(lin)
    answer = lin.get(f"{SITE}/dossier/surveys/{one['id']}/qr")
    assert answer.headers["content-type"] == "image/svg+xml" and answer.text.lstrip().startswith("<?xml")
    assert one["link"].startswith("http://testserver/survey/")
    page = lin.http.get(one["link"])
    assert page.status_code == 200 and "survey.js" in page.text


def test_the_programmes_say_where_every_threshold_comes_from(person: People) -> None:
    items = person("viewer").get("/dossier-programmes").json()["items"]
    assert [one["id"] for one in items] == ["ningjing", "quiet-2002", "water-saving"]
    for each in (each for one in items for each in one["indicators"]):
        assert each["standard"] and each["source"], each["id"]


def test_answers_fit_their_documented_shapes(app: FastAPI, person: People) -> None:
    import jsonschema

    lin = person("committee")
    lin.send("POST", f"{SITE}/dossier/entries", COMPLAINT)
    survey(lin)
    document = app.openapi()
    for path in (
        "/dossiers/quiet-2002",
        "/dossiers/water-saving",
        "/dossier/entries",
        "/dossier/surveys",
        "/dossier/profile",
    ):
        body = lin.get(SITE + path).json()
        described = "/api/v1/sites/{site}" + path.replace("quiet-2002", "{programme}").replace(
            "water-saving", "{programme}"
        )
        schema = document["paths"][described]["get"]["responses"]["200"]["content"]["application/json"][
            "schema"
        ]
        jsonschema.validate(json.loads(json.dumps(body)), {**schema, "components": document["components"]})
