"""People, quarters, devices, meters, rules, silences and contacts, changed by the API; all of it in the audit log."""

from __future__ import annotations

import threading
from collections.abc import Callable
from datetime import timedelta
from http.server import BaseHTTPRequestHandler, HTTPServer

import bcrypt
import pytest
from sqlalchemy import select

from analysis.notify import webhook
from analysis.notify.links import digest, new_token
from api.context import ApiContext
from store.registry.models import Contact, Delivery, Device, Rule, Site, User
from store.registry.users import verify
from tests.api import seeding
from tests.api.conftest import Person

SITE = seeding.OWN_SITE


def last_audit(who: Person) -> dict:
    return who.get("/audit", limit=1).json()["items"][0]


# -- people ----------------------------------------------------------------------------------------------------


def test_a_new_person_gets_a_password_once(person: Callable[..., Person], context: ApiContext) -> None:
    admin = person("admin")
    answer = admin.send("POST", "/users", {"name": "zhao.min", "role": "manager", "sites": [SITE]})
    assert answer.status_code == 201
    body = answer.json()
    assert body["user"]["sites"] == [SITE] and len(body["password"]) >= 16
    with context.registry.reader() as session:
        assert verify(session, "zhao.min", body["password"]) is not None
    audit = last_audit(admin)
    assert (audit["who"], audit["action"], audit["target"]) == ("admin", "user.add", "zhao.min")
    assert body["password"] not in str(audit)
    again = admin.send("POST", "/users", {"name": "ZHAO.MIN", "role": "viewer"})
    assert (again.status_code, again.json()["code"]) == (409, "already_exists")
    bad = admin.send("POST", "/users", {"name": "qian", "role": "viewer", "sites": ["nowhere"]})
    assert bad.status_code == 422 and "nowhere" in bad.json()["detail"]
    assert "qian" not in [one["name"] for one in admin.get("/users").json()["items"]]


def test_a_change_of_rights_holds_at_once(person: Callable[..., Person]) -> None:
    admin, manager = person("admin"), person("manager")
    assert manager.get("/sites/hu-pan").status_code == 404
    changed = admin.send("PATCH", "/users/manager", {"sites": ["hu-pan"]})
    assert changed.json()["sites"] == ["hu-pan"]
    assert manager.get("/me").status_code == 401
    again = person("manager")
    assert again.get("/sites/hu-pan").status_code == 200
    assert again.get(f"/sites/{SITE}").status_code == 404
    assert admin.send("PATCH", "/users/manager", {"disabled": True}).json()["disabled"] is True
    assert again.get("/me").status_code == 401
    assert again.send("POST", "/login", {"name": "manager", "password": seeding.PASSWORD}).status_code == 401


def test_an_administrator_cannot_lock_themselves_out(person: Callable[..., Person]) -> None:
    admin = person("admin")
    for change in ({"disabled": True}, {"role": "viewer"}):
        answer = admin.send("PATCH", "/users/admin", change)
        assert (answer.status_code, answer.json()["code"]) == (409, "not_possible")
    assert admin.send("PATCH", "/users/admin", {"language": "en"}).status_code == 200
    assert admin.get("/me").json()["role"] == "admin"


def test_a_forgotten_password_is_replaced(person: Callable[..., Person], context: ApiContext) -> None:
    admin, viewer = person("admin"), person("viewer")
    answer = admin.send("POST", "/users/viewer/password")
    assert answer.status_code == 200
    assert viewer.get("/me").status_code == 401
    with context.registry.reader() as session:
        assert verify(session, "viewer", seeding.PASSWORD) is None
        assert verify(session, "viewer", answer.json()["password"]) is not None
    assert admin.send("POST", "/users/nobody/password").status_code == 404


# -- quarters, devices, meters ---------------------------------------------------------------------------------


def test_a_quarter_is_made_from_nothing(person: Callable[..., Person], context: ApiContext) -> None:
    admin = person("admin")
    site = {
        "name": "new-yard",
        "label_zh": "新苑",
        "label_en": "New Yard",
        "zone_class": "2",
        "latitude": 39.9,
    }
    assert admin.send("POST", "/sites", site).status_code == 201
    assert admin.send("POST", "/sites", site).json()["code"] == "already_exists"
    device = admin.send(
        "POST",
        "/sites/new-yard/devices",
        {"name": "gate", "kind": "both", "label_zh": "大门", "label_en": "Gate"},
    )
    assert device.status_code == 201
    told = device.json()
    assert told["username"] == "new-yard.gate" and told["device"]["health"]["state"] == "never_seen"
    meter = {"name": "m1", "device": "gate", "role": "master", "label_zh": "总表", "label_en": "Master"}
    assert admin.send("POST", "/sites/new-yard/meters", meter).json()["role"] == "master"
    assert (
        admin.send("POST", "/sites/new-yard/meters", {**meter, "name": "m2", "device": "none"}).status_code
        == 422
    )
    with context.registry.reader() as session:
        row = session.get_one(Device, ("new-yard", "gate"))
        assert bcrypt.checkpw(told["password"].encode(), row.secret_hash.encode())
        assert session.scalars(select(Rule.kind).where(Rule.site == "new-yard")).all()
    shown = admin.get("/sites/new-yard").json()
    assert (shown["state"], shown["limit"]["value_db"] in (50.0, 60.0)) == ("no_data", True)
    assert [one["action"] for one in admin.get("/audit", limit=3).json()["items"]] == [
        "meter.add",
        "device.add",
        "site.add",
    ]


@pytest.mark.parametrize(
    "bad",
    [
        {"name": "Bad Name"}, {"zone_class": "9"}, {"latitude": 91}, {"label_zh": ""}, {"timezone": "Mars/Olympus"},
        {"name": "../x"},
    ],
)  # fmt: skip
def test_bad_quarters_are_refused(person: Callable[..., Person], bad: dict) -> None:
    answer = person("admin").send("POST", "/sites", {"name": "x", "label_zh": "新", "label_en": "New", **bad})
    assert (answer.status_code, answer.json()["code"]) == (422, "invalid_input")


def test_a_quarter_is_changed_and_its_settings_are_checked(
    person: Callable[..., Person], context: ApiContext
) -> None:
    admin = person("admin")
    assert admin.send("PATCH", f"/sites/{SITE}", {"zone_class": "2", "latitude": None}).status_code == 200
    assert admin.get(f"/sites/{SITE}").json()["limit"]["value_db"] == 50.0
    quiet = {"noise": {"quiet_periods": [
        {"name_zh": "高考", "name_en": "Exams", "starts": "22:00", "ends": "24:00", "limit_db": 40.0}
    ]}}  # fmt: skip
    assert admin.send("PATCH", f"/sites/{SITE}", {"settings": quiet}).status_code == 200
    limit = admin.get(f"/sites/{SITE}").json()["limit"]
    assert limit["quiet"] == {"zh": "高考", "en": "Exams"} and limit["value_db"] == 40.0
    bad = admin.send("PATCH", f"/sites/{SITE}", {"settings": {"noise": {"own_limits": {"day_db": "loud"}}}})
    assert bad.status_code == 422 and "day_db" in bad.json()["detail"]
    assert admin.get(f"/sites/{SITE}/settings").json()["settings"] == quiet
    with context.registry.reader() as session:
        assert session.get_one(Site, SITE).latitude is None


def test_a_device_is_switched_off_and_gets_a_new_password(
    person: Callable[..., Person], context: ApiContext
) -> None:
    admin = person("admin")
    assert (
        admin.send("PATCH", f"/sites/{SITE}/devices/dong-men", {"enabled": False}).json()["enabled"] is False
    )
    assert [one["device"] for one in admin.get(f"/sites/{SITE}").json()["levels"]] == ["zhong-ting"]
    renewed = admin.send("POST", f"/sites/{SITE}/devices/dong-men/password").json()
    with context.registry.reader() as session:
        kept = session.get_one(Device, (SITE, "dong-men")).secret_hash
    assert bcrypt.checkpw(renewed["password"].encode(), kept.encode())
    assert renewed["password"] not in str(admin.get("/audit").json())
    moved = admin.send(
        "PATCH", f"/sites/{SITE}/meters/b1-104", {"label_zh": "1号楼 104（空置）", "role": "public"}
    )
    assert moved.json()["role"] == "public"
    assert admin.send("PATCH", f"/sites/{SITE}/meters/b1-104", {"device": "none"}).status_code == 404


# -- rules and silences ----------------------------------------------------------------------------------------


def test_rules_are_changed_with_their_history(person: Callable[..., Person]) -> None:
    who = person("bureau")
    rule = next(one for one in who.get("/rules", site=SITE).json()["items"] if one["kind"] == "noise_window")
    assert rule["params"]["window_s"] == 600 and rule["changed"] == []
    assert "margin_db" in str(rule["params_schema"])
    answer = who.send(
        "PATCH", f"/rules/{rule['id']}",
        {"params": {"margin_db": 3.0}, "note": "路边小区", "expected_version": rule["version"]},
    )  # fmt: skip
    assert answer.status_code == 200
    assert answer.json()["params"]["margin_db"] == 3.0 and answer.json()["changed"] == ["margin_db"]
    late = who.send("PATCH", f"/rules/{rule['id']}", {"enabled": False, "expected_version": rule["version"]})
    assert (late.status_code, late.json()["code"]) == (409, "changed_meanwhile")
    bad = who.send("PATCH", f"/rules/{rule['id']}", {"params": {"window_s": 5}})
    assert bad.status_code == 422 and "window_s" in bad.json()["detail"]
    versions = who.get(f"/rules/{rule['id']}/history").json()["items"]
    assert (versions[-1]["who"], versions[-1]["note"]) == ("bureau", "路边小区")
    assert last_audit(who)["action"] == "rule.change"
    assert person("manager").get("/rules", site=SITE).status_code == 200
    other = person("bureau").get("/rules", site="hu-pan").json()["items"][0]["id"]
    assert person("manager").get(f"/rules/{other}/history").status_code == 404


def test_managers_silence_their_own_quarters_only(person: Callable[..., Person]) -> None:
    manager, bureau = person("manager"), person("bureau")
    times = {"starts_at": "2026-03-02T14:00:00Z", "ends_at": "2026-03-02T20:00:00Z", "reason": "道路施工"}
    assert manager.send("POST", "/silences", {**times, "site": "hu-pan"}).status_code == 404
    assert manager.send("POST", "/silences", times).status_code == 422
    mine = manager.send("POST", "/silences", {**times, "site": SITE})
    assert mine.status_code == 201 and mine.json()["created_by"] == "manager"
    everywhere = bureau.send("POST", "/silences", {**times, "rule_kind": "noise_window"})
    assert everywhere.status_code == 201
    assert {one["id"] for one in manager.get("/silences").json()["items"]} == {
        mine.json()["id"],
        everywhere.json()["id"],
    }
    assert manager.send("DELETE", f"/silences/{everywhere.json()['id']}").status_code == 404
    assert manager.send("DELETE", f"/silences/{mine.json()['id']}").status_code == 204
    assert [one["id"] for one in manager.get("/silences").json()["items"]] == [everywhere.json()["id"]]
    backwards = {**times, "site": SITE, "ends_at": "2026-03-02T13:00:00Z"}
    assert "later" in manager.send("POST", "/silences", backwards).json()["detail"]


# -- contacts --------------------------------------------------------------------------------------------------


class _Hook(BaseHTTPRequestHandler):
    taken: list[bytes] = []

    def do_POST(self) -> None:
        self.taken.append(self.rfile.read(int(self.headers["Content-Length"])))
        self.send_response(200)
        self.end_headers()

    def log_message(self, *_: object) -> None: ...


def test_an_address_is_tried_and_never_shown(person: Callable[..., Person], context: ApiContext) -> None:
    server = HTTPServer(("127.0.0.1", 0), _Hook)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        who = person("manager")
        url = f"json://user:s3cret@127.0.0.1:{server.server_port}/hook"
        added = who.send("POST", "/me/contacts", {"label": "值班", "url": url})
        assert added.status_code == 201 and added.json()["scheme"] == "json"
        number = added.json()["id"]
        assert who.send("POST", f"/me/contacts/{number}/test").json() == {"sent": True, "error": None}
        assert "告警可以送达这里".encode() in _Hook.taken[0] or b"\\u544a" in _Hook.taken[0]
        for answer in (added.text, who.get("/me/contacts").text, person("admin").get("/audit").text):
            assert "s3cret" not in answer
        assert person("bureau").send("DELETE", f"/me/contacts/{number}").status_code == 404
        assert who.send("DELETE", f"/me/contacts/{number}").status_code == 204
        with context.registry.reader() as session:
            assert session.scalars(select(Contact)).all() == []
    finally:
        server.shutdown()
        server.server_close()


def test_a_bad_address_and_one_that_does_not_answer_are_told(
    person: Callable[..., Person], free_port: Callable[[], int]
) -> None:
    who = person("bureau")
    assert who.send("POST", "/me/contacts", {"url": "nonsense://x"}).status_code == 422
    dead = who.send("POST", "/me/contacts", {"url": f"json://127.0.0.1:{free_port()}/"}).json()["id"]
    tried = who.send("POST", f"/me/contacts/{dead}/test").json()
    assert tried["sent"] is False and tried["error"]


def test_nobody_has_more_addresses_than_twenty(person: Callable[..., Person], context: ApiContext) -> None:
    who = person("bureau")
    with context.registry.session() as session:
        user = session.scalars(select(User).where(User.name == "bureau")).one()
        for n in range(20):
            session.add(Contact(user_id=user.id, label=str(n), url="json://x", created_at=seeding.NOW))
    answer = who.send("POST", "/me/contacts", {"url": "json://127.0.0.1/"})
    assert (answer.status_code, answer.json()["code"]) == (409, "not_possible")


def test_a_webhook_is_signed_with_a_secret_that_is_told_once(
    person: Callable[..., Person], context: ApiContext
) -> None:
    server = HTTPServer(("127.0.0.1", 0), _Signed)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        who = person("bureau")
        added = who.send(
            "POST", "/me/contacts", {"url": f"http://127.0.0.1:{server.server_port}/hook"}
        ).json()
        assert added["secret"] and added["secret"] not in who.get("/me/contacts").text
        assert who.send("POST", f"/me/contacts/{added['id']}/test").json()["sent"] is True
        header, body = _Signed.taken[0]
        assert webhook.verify(added["secret"], header, body, context.wall.now().timestamp())
        assert not webhook.verify("another-secret", header, body, context.wall.now().timestamp())
        assert who.send("POST", "/me/contacts", {"url": "https://"}).status_code == 422
    finally:
        server.shutdown()
        server.server_close()


class _Signed(BaseHTTPRequestHandler):
    taken: list[tuple[str, bytes]] = []

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.taken.append((self.headers[webhook.SIGNATURE], body))
        self.send_response(204)
        self.end_headers()

    def log_message(self, *_: object) -> None: ...


def test_people_say_when_they_want_to_be_told(person: Callable[..., Person]) -> None:
    who = person("manager")
    assert who.get("/me/notify").json() == {
        "quiet_from": None,
        "quiet_to": None,
        "digest_at": [],
        "least": "info",
    }
    wish = {"quiet_from": "22:30", "quiet_to": "07:00", "digest_at": ["08:00", "18:00"], "least": "warning"}
    assert who.send("PUT", "/me/notify", wish).json() == wish
    assert who.get("/me/notify").json() == wish
    for bad in ({"quiet_from": "22:30"}, {"quiet_from": "25:00", "quiet_to": "07:00"}, {"digest_at": ["8"]}):
        assert who.send("PUT", "/me/notify", bad).status_code == 422, bad
    assert who.get("/me/notify").json() == wish


# -- links in messages -----------------------------------------------------------------------------------------


def linked(context: ApiContext, *, alert_id: int, age: timedelta = timedelta(0)) -> str:
    """Make what the courier makes when it sends a message with a link; return the link's token."""
    token = new_token()
    with context.registry.session() as session:
        user = session.scalars(select(User).where(User.name == "manager")).one()
        contact = Contact(user_id=user.id, label="x", url="json://x", created_at=seeding.NOW)
        session.add(contact)
        session.flush()
        session.add(
            Delivery(
                alert_id=alert_id, contact_id=contact.id, event="firing", next_try_at=seeding.NOW,
                created_at=seeding.NOW - age, ack_sha256=digest(token),
            )
        )  # fmt: skip
    return token


def test_a_messages_link_shows_the_alert_and_takes_it_up_without_a_login(
    person: Callable[..., Person], context: ApiContext
) -> None:
    token, nobody = linked(context, alert_id=2), person()
    for _ in range(3):  # scanners open links: looking changes nothing
        seen = nobody.get(f"/ack/{token}").json()
    assert (seen["alert"]["state"], seen["alert"]["source"], seen["user"]) == (
        "firing",
        "dong-men",
        "manager",
    )
    done = nobody.send("POST", f"/ack/{token}").json()
    assert (done["alert"]["state"], done["alert"]["acknowledged_by"]) == ("acknowledged", "manager")
    assert nobody.send("POST", f"/ack/{token}").json()["alert"]["state"] == "acknowledged"
    audit = person("admin").get("/audit").json()["items"]
    assert [(one["who"], one["action"]) for one in audit] == [("manager", "alert.acknowledge")]


def test_links_that_are_old_unknown_or_of_somebody_disabled_lead_nowhere(
    person: Callable[..., Person], context: ApiContext
) -> None:
    nobody = person()
    old, good = linked(context, alert_id=2, age=timedelta(days=8)), linked(context, alert_id=3)
    for token in (old, "x" * 32, "..%2f..%2fme"):
        assert nobody.get(f"/ack/{token}").status_code == 404
        assert nobody.send("POST", f"/ack/{token}").status_code == 404
    with context.registry.session() as session:
        session.scalars(select(User).where(User.name == "manager")).one().disabled = True
    assert nobody.send("POST", f"/ack/{good}").status_code == 404
    assert person("admin").get("/alerts/3").json()["state"] == "firing"
