"""Every operation with every role and without login, from the application's own list of routes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from fastapi import FastAPI

from api.access import OPERATIONS, Access, Identity, decide
from api.app import create_app
from api.context import ApiContext
from api.ratelimit import RateLimit
from tests.api import seeding
from tests.api.conftest import Person

PUBLIC = {
    "healthz",
    "readyz",
    "redeem_enrolment",
    "login",
    "get_session",
    "get_linked_alert",
    "acknowledge_linked_alert",
    "get_linked_survey",
    "answer_linked_survey",
}
OFFICIALS_ONLY = {
    "list_quarantine",
    "count_quarantine",
    "list_audit",
    "change_rule_of_site",
    "get_site_settings",
    "get_metrics",
}
ADMINS_ONLY = {
    "list_users", "add_user", "change_user", "renew_password", "add_site", "change_site", "add_device", "change_device",
    "renew_device_password", "add_meter", "change_meter",
}  # fmt: skip
VALUES = {
    "site": seeding.OWN_SITE, "device": "dong-men", "alert_id": "2", "meter": "zong-biao", "name": "viewer",
    "rule_id": "1", "silence_id": "999", "contact_id": "999", "token": "no-such-token",
    "programme": "ningjing", "number": "1", "entry_id": "999", "attachment_id": "999",
    "survey_id": "999", "before": "1",
    "token_id": "999", "exclusion_id": "999", "check_id": "999",
    "kind": "hours", "report_id": "0123456789abcdef",
}  # fmt: skip
BODIES = {
    "login": {"name": "viewer", "password": "not-the-password"},
    "change_password": {"present": "wrong-password", "new": "another-password"},
    "change_language": {"language": "en"},
    "change_notify_prefs": {"least": "warning"},
    "acknowledge_alert": {"note": "on it"},
    "add_contact": {"url": "json://127.0.0.1:9/alerts"},
    "change_rule_of_site": {"note": "nothing"},
    "add_silence": {
        "site": seeding.OWN_SITE, "reason": "works",
        "starts_at": "2026-03-02T14:00:00Z", "ends_at": "2026-03-02T15:00:00Z",
    },
    "add_token": {"name": "city screen"},
    "add_rule_of_site": {"site": seeding.OWN_SITE, "kind": "noise_window"},
    "try_rule_of_site": {"site": seeding.OWN_SITE, "kind": "noise_window", "days": 1},
    "add_exclusion": {"reason": "rain", "starts_at": "2026-03-02T12:00:00Z", "ends_at": "2026-03-02T13:00:00Z"},
    "add_check": {
        "device": "dong-men", "suspect": "a fan", "standard": "gb22337", "zone_class": "1",
        "on": [{"start": "2026-03-02T10:00:00Z", "end": "2026-03-02T10:05:00Z"}],
        "off": [{"start": "2026-03-02T11:00:00Z", "end": "2026-03-02T11:05:00Z"}],
    },
    "compute_leakage_rate": {
        "supplied_m3": 1e8, "registered_m3": 8.2e7, "household_share": 0.5, "pipe_km": 800, "outlet_pressure_mpa": 0.4,
        "frost_depth_m": 0,
    },
    "change_judging": {},
    "order_report": {"period": "no month"},
    "order_city_report": {"period": "no month"},
    "order_dossier_report": {"format": "no format"},
    "add_user": {"name": "zhao", "role": "viewer"},
    "change_user": {"language": "en"},
    "add_site": {"name": "new-site", "label_zh": "新", "label_en": "New"},
    "change_site": {"district": "东城区"},
    "add_device": {"name": "new-one", "kind": "noise", "label_zh": "新", "label_en": "New"},
    "change_device": {"label_en": "East"},
    "add_meter": {"name": "new-meter", "device": "gateway", "label_zh": "新", "label_en": "New"},
    "change_meter": {"label_en": "Main"},
    "answer_linked_survey": {"answers": {"overall": 5}},
    "change_dossier_profile": {"households": 300},
    "change_local_rule": {"overrides": {}},
    "add_dossier_entry": {"kind": "rule", "rule_kind": "other", "title": "Rule"},
    "change_dossier_entry": {"kind": "rule", "rule_kind": "other", "title": "Rule"},
    "open_survey": {"topic": "noise", "last_day": "2026-03-20"},
}  # fmt: skip


def operations(app: FastAPI) -> list[tuple[str, str, str]]:
    """Return (operation id, method, path with values) of every operation."""
    found = []
    for path, methods in app.openapi()["paths"].items():
        for method, operation in methods.items():
            query = [
                f"{one['name']}={value_of(one)}"
                for one in operation.get("parameters", [])
                if one["in"] == "query" and one.get("required")
            ]
            in_path = {
                one["name"]: value_of(one) for one in operation.get("parameters", []) if one["in"] == "path"
            }
            address = path.format(**in_path) + ("?" + "&".join(query) if query else "")
            found.append((operation["operationId"], method.upper(), address))
    return found


def value_of(parameter: dict[str, Any]) -> str:
    """Return a parameter's value of the seeded city, else the document's own example."""
    examples = parameter["schema"].get("examples") or [parameter.get("example")]
    return VALUES.get(parameter["name"], str(examples[0]))


def body_of(app: FastAPI, operation: str) -> Any:
    """Return a body that the operation understands: ours, else the document's own example."""
    if operation in BODIES:
        return BODIES[operation]
    for methods in app.openapi()["paths"].values():
        for one in methods.values():
            if one["operationId"] == operation:
                content = one.get("requestBody", {}).get("content", {})
                return content.get("application/json", {}).get("example")
    raise LookupError(operation)


def ask(who: Person, operation: str, method: str, address: str) -> int:
    if (
        operation == "stream_live"
    ):  # a stream that is let in never ends: asked for with a site that is not there
        address += "?site=no-such-site"
    body = body_of(who.http.app, operation)
    answer = who.http.request(method, address, json=body, headers={"X-CSRF-Token": who.csrf})
    return answer.status_code


def allowed(status: int) -> bool:
    return status not in (401, 403)


def test_nobody_reaches_anything_but_login_and_health(app: FastAPI, person: Callable[..., Person]) -> None:
    nobody = person()
    for operation, method, address in operations(app):
        app.state.rates = RateLimit()  # there are more operations than one address may ask for at once
        status = ask(nobody, operation, method, address)
        if operation in PUBLIC:
            assert status in (200, 401, 404), (operation, status)
        else:
            assert status == 401, (operation, status)


@pytest.mark.parametrize("role", seeding.ROLES)
def test_each_role_reaches_what_the_table_says_and_no_more(
    app: FastAPI, person: Callable[..., Person], role: str
) -> None:
    for operation, method, address in operations(app):
        if operation in ("login", "logout") or OPERATIONS[operation].public:
            continue
        who = person(role)
        status = ask(who, operation, method, address)
        expected = role in OPERATIONS[operation].roles or OPERATIONS[operation].public
        assert allowed(status) == expected, (operation, role, status)
        assert status < 500, (operation, role, status)
        if operation in OFFICIALS_ONLY:
            assert expected == (role in ("admin", "bureau"))
        if operation in ADMINS_ONLY:
            assert expected == (role == "admin")


@pytest.mark.parametrize("role", ["manager", "viewer"])
def test_a_site_of_others_is_not_there(app: FastAPI, person: Callable[..., Person], role: str) -> None:
    who = person(role)
    asked = 0
    for operation, method, address in operations(app):
        if seeding.OWN_SITE not in address or role not in OPERATIONS[operation].roles:
            continue
        asked += 1
        others = address.replace(seeding.OWN_SITE, seeding.OTHER_SITE).replace("dong-men", "bei-men")
        strange = who.http.request(method, others)
        missing = who.http.request(method, address.replace(seeding.OWN_SITE, "no-such-site"))
        assert strange.status_code == missing.status_code == 404, (operation, strange.status_code)
        assert strange.json()["code"] == missing.json()["code"] == "not_found"
    assert asked >= 14


@pytest.mark.parametrize("role", ["manager", "viewer"])
def test_lists_hold_nothing_of_other_sites(person: Callable[..., Person], role: str) -> None:
    who = person(role)
    assert [one["name"] for one in who.get("/sites").json()["items"]] == [seeding.OWN_SITE]
    alerts = who.get("/alerts", state="all").json()["items"]
    assert alerts and {one["site"] for one in alerts} == {seeding.OWN_SITE}
    hidden = next(
        one["id"]
        for one in person("admin").get("/alerts", state="all").json()["items"]
        if one["site"] != seeding.OWN_SITE
    )
    assert who.get(f"/alerts/{hidden}").status_code == 404
    assert who.get("/live", site=seeding.OTHER_SITE).status_code == 404
    assert who.get("/alerts", site=seeding.OTHER_SITE).status_code == 404


def test_a_site_named_twice_is_checked_both_times(person: Callable[..., Person]) -> None:
    who = person("manager")
    for sites in ([seeding.OWN_SITE, seeding.OTHER_SITE], [seeding.OTHER_SITE, seeding.OWN_SITE]):
        assert who.http.get("/api/v1/water/today", params={"site": sites}).status_code == 404


def test_a_manager_of_another_site_cannot_acknowledge(person: Callable[..., Person]) -> None:
    admin = person("admin")
    other = next(
        one for one in admin.get("/alerts", state="unanswered").json()["items"] if one["site"] == "shu-yuan"
    )
    assert person("manager").send("POST", f"/alerts/{other['id']}/acknowledge").status_code == 404
    assert admin.get(f"/alerts/{other['id']}").json()["state"] == "escalated"


def test_an_operation_without_a_row_is_refused() -> None:
    admin = Identity(1, "admin", "admin", "zh", None, "", "")
    assert decide(None, admin, None) == "not_allowed"
    assert decide(None, None, None) == "login_required"
    assert decide(Access(), admin, None) == "not_allowed"


def test_an_application_with_an_operation_without_a_row_does_not_start(
    context: ApiContext, monkeypatch: pytest.MonkeyPatch
) -> None:
    short = {name: row for name, row in OPERATIONS.items() if name != "list_audit"}
    monkeypatch.setattr("api.app.OPERATIONS", short)
    with pytest.raises(RuntimeError, match="without row \\['list_audit'\\]"):
        create_app(context)


def test_an_unknown_role_has_no_rights(context: ApiContext, person: Callable[..., Person]) -> None:
    from sqlalchemy import update

    from store.registry.models import User

    who = person("bureau")
    with context.registry.session() as session:
        session.execute(update(User).where(User.name == "bureau").values(role="emperor"))
    assert who.get("/sites").status_code == 403
