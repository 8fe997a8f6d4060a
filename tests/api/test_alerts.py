"""Alerts, quarantine, audit log."""

from __future__ import annotations

from collections.abc import Callable

from sqlalchemy import select

from api.context import ApiContext
from store.registry.models import Contact, Delivery, User
from tests.api import seeding
from tests.api.conftest import Person


def test_open_alerts_name_what_they_are_about(person: Callable[..., Person]) -> None:
    items = person("bureau").get("/alerts").json()["items"]
    assert [one["id"] for one in items] == sorted((one["id"] for one in items), reverse=True)
    assert {one["state"] for one in items} == {"firing", "acknowledged", "escalated"}
    noise = next(one for one in items if one["source"] == "dong-men")
    assert noise["site_label"] == {"zh": "静园小区", "en": "Quiet Garden"}
    assert noise["source_label"]["zh"] == "东门"
    assert (noise["unit"], noise["value"], noise["limit"], noise["indicative"]) == ("dB", 48.6, 45.0, True)
    water = next(one for one in items if one["rule_kind"] == "water_continuous")
    assert (water["unit"], water["indicative"]) == ("L/h", True)  # its gateway is not type-approved


def test_pages_of_alerts_meet(person: Callable[..., Person]) -> None:
    who = person("bureau")
    whole = [one["id"] for one in who.get("/alerts", state="all").json()["items"]]
    paged, before = [], None
    while True:
        page = who.get("/alerts", state="all", limit=2, **({"before_id": before} if before else {})).json()
        paged += [one["id"] for one in page["items"]]
        before = page["next"]
        if before is None:
            break
    assert paged == whole and len(whole) == 5


def test_filters_by_state_and_site(person: Callable[..., Person]) -> None:
    who = person("bureau")
    assert {one["state"] for one in who.get("/alerts", state="unanswered").json()["items"]} == {
        "firing",
        "escalated",
    }
    assert {one["state"] for one in who.get("/alerts", state="closed").json()["items"]} == {"resolved"}
    assert {one["site"] for one in who.get("/alerts", site="hu-pan").json()["items"]} == {"hu-pan"}


def test_taking_an_alert_up_is_written_down_told_and_final(
    person: Callable[..., Person], context: ApiContext
) -> None:
    who = person("manager")
    alert = next(one for one in who.get("/alerts").json()["items"] if one["source"] == "dong-men")
    assert alert["can_acknowledge"]
    page = context.live.subscribe(None)
    answer = who.send("POST", f"/alerts/{alert['id']}/acknowledge", {"note": "  保安已到现场  "})
    assert answer.status_code == 200
    body = answer.json()
    assert (body["state"], body["acknowledged_by"], body["can_acknowledge"]) == (
        "acknowledged",
        "manager",
        False,
    )
    last = body["transitions"][-1]
    assert (last["from_state"], last["to_state"], last["reason"], last["note"], last["who"]) == (
        "firing", "acknowledged", "acknowledged", "保安已到现场", "manager",
    )  # fmt: skip
    again = person("bureau").send("POST", f"/alerts/{alert['id']}/acknowledge", {"note": "me too"})
    assert again.status_code == 200 and again.json()["acknowledged_by"] == "manager"
    assert len(again.json()["transitions"]) == len(body["transitions"])
    audit = person("admin").get("/audit").json()["items"]
    assert [(one["who"], one["target"]) for one in audit if one["action"] == "alert.acknowledge"] == [
        ("manager", f"alert:{alert['id']}")
    ]
    context.live._flush()
    told = b"".join(page.queue)
    assert b"event: alert" in told and b'"state":"acknowledged"' in told


def test_an_alert_that_is_over_cannot_be_taken_up(person: Callable[..., Person]) -> None:
    who = person("manager")
    over = who.get("/alerts", state="closed").json()["items"][0]
    answer = who.send("POST", f"/alerts/{over['id']}/acknowledge")
    assert (answer.status_code, answer.json()["code"]) == (409, "not_possible")
    assert who.send("POST", "/alerts/999999/acknowledge").status_code == 404
    assert who.send("POST", "/alerts/2/acknowledge", {"note": "x" * 181}).status_code == 422


def test_the_quarantine_shows_reason_and_payload_as_text(person: Callable[..., Person]) -> None:
    who = person("admin")
    counts = who.get("/quarantine/counts").json()
    assert counts == {"by_code": {"bad_payload": 1}, "total": 1, "evicted": 0}
    (row,) = who.get("/quarantine").json()["items"]
    assert row["payload"] == "<script>alert(1)</script>" and row["reason"].startswith("not a JSON array")


def test_limits_tell_where_they_come_from(person: Callable[..., Person]) -> None:
    items = person("viewer").get("/limits").json()["items"]
    night = next(one for one in items if one["id"] == "gb3096.class1.night")
    assert (night["value"], night["unit"], night["comparator"], night["verified"]) == (45.0, "dB", "<=", "V")
    assert night["source"] and night["clause"]


def test_the_users_own_sites_are_told(person: Callable[..., Person]) -> None:
    assert person("manager").get("/me").json()["sites"] == [seeding.OWN_SITE]
    assert person("water_office").get("/me").json()["sites"] is None


def test_who_was_told_and_what_failed(person: Callable[..., Person], context: ApiContext) -> None:
    with context.registry.session() as session:
        user = session.scalars(select(User).where(User.name == "manager")).one()
        contacts = [
            Contact(user_id=user.id, label=label, url=f"wecombot://s3cret-{label}", created_at=seeding.NOW)
            for label in ("phone", "office", "home")
        ]
        session.add_all(contacts)
        session.flush()
        told = {"alert_id": 2, "event": "firing", "created_at": seeding.NOW, "next_try_at": seeding.NOW}
        session.add_all(
            [
                Delivery(contact_id=contacts[0].id, state="sent", sent_at=seeding.NOW, attempts=1, **told),
                Delivery(
                    contact_id=contacts[1].id, state="failed", attempts=13, last_error="refused: 401", **told
                ),
                Delivery(contact_id=contacts[2].id, state="queued", held_by="quiet_hours", **told),
            ]
        )
    answer = person("manager").get("/alerts/2")
    assert "s3cret" not in answer.text
    phone, office, home = answer.json()["deliveries"]
    assert (phone["user"], phone["contact"], phone["scheme"], phone["state"]) == (
        "manager",
        "phone",
        "wecombot",
        "sent",
    )
    assert (office["state"], office["last_error"], office["attempts"], office["next_try_at"]) == (
        "failed", "refused: 401", 13, None,
    )  # fmt: skip
    assert (home["state"], home["held_by"]) == ("queued", "quiet_hours") and home["next_try_at"]
