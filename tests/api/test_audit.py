"""Every change leaves a line in the audit log: each operation that changes something is called, the lines counted."""

from __future__ import annotations

import re
from typing import Any, Final

import pyotp
from fastapi import FastAPI
from sqlalchemy import func, select

from api.ratelimit import RateLimit
from store.registry.database import Registry
from store.registry.models import AuditEntry
from tests.api import seeding
from tests.api.conftest import Person
from tests.api.test_access import VALUES, body_of

CHANGE_NOTHING: Final = {
    "compute_leakage_rate", "try_rule_of_site", "try_contact",
    "begin_second_factor",  # in force once it is confirmed
}  # fmt: skip
"""Compute or send something, and keep nothing that counts."""
ELSEWHERE: Final = {
    "answer_linked_survey",  # residents answer without a name: who did is not to be known
    "add_alert_photo", "add_dossier_attachment", "remove_dossier_attachment",  # a file: test_handling, test_dossier
    "acknowledge_linked_alert",  # takes a message's link: test_alerts
    "redeem_enrolment",  # takes a code: test_enrolment
    "begin_rollout", "pause_rollout", "resume_rollout", "take_rollout_back", "set_device_configuration",  # test_fleet
    "renew_certificate",  # takes a device's password: test_certificates
    "confirm_second_factor", "end_second_factor", "reset_second_factor",  # take a phone: below, test_second_factor
    "order_report", "order_city_report", "order_dossier_report",  # write a file for whom asks, of what they may read
}  # fmt: skip
BODIES: Final[dict[str, Any]] = {
    "login": {"name": "admin", "password": seeding.PASSWORD},
    "change_password": {"present": seeding.PASSWORD, "new": "another-correct-horse"},
    "begin_second_factor": {"password": seeding.PASSWORD},
    "change_rule_of_site": {"note": "off for now", "enabled": False},
    "change_judging": {"day_starts_h": 7},
}
LAST: Final = ("change_password", "logout")
_ADDS: Final = re.compile(r"(add|open|begin|make|freeze|order)_")
_ENDS: Final = re.compile(r"(remove|revoke|end|cancel|close|reset)_")


def changing(app: FastAPI) -> list[tuple[str, str, str, list[dict[str, Any]]]]:
    """Return the operations that change something: those that add first, those that end something last."""
    found = [
        (one["operationId"], method.upper(), path, one.get("parameters", []))
        for path, methods in app.openapi()["paths"].items()
        for method, one in methods.items()
        if method != "get"
    ]
    rank = {name: 3 + n for n, name in enumerate(LAST)}
    return sorted(
        found, key=lambda one: rank.get(one[0], 0 if _ADDS.match(one[0]) else 2 if _ENDS.match(one[0]) else 1)
    )


def test_every_change_is_told_in_the_audit_log(app: FastAPI, registry: Registry) -> None:
    who, ids, silent, failed = Person(app, "admin"), dict(VALUES), [], []
    for operation, method, path, parameters in changing(app):
        if operation in CHANGE_NOTHING | ELSEWHERE:
            continue
        app.state.rates = RateLimit()
        before = lines(registry)
        in_path = {one["name"]: ids.get(one["name"], "1") for one in parameters if one["in"] == "path"}
        body = BODIES[operation] if operation in BODIES else body_of(app, operation)
        needed = {
            one["name"]: ids[one["name"]]
            for one in parameters
            if one["in"] == "query" and one.get("required")
        }
        answer = who.http.request(
            method, path.format(**in_path), json=body, params=needed, headers={"X-CSRF-Token": who.csrf}
        )
        if answer.status_code >= 300:
            failed.append((operation, answer.status_code, answer.text[:200]))
        elif lines(registry) == before:
            silent.append(operation)
        if answer.status_code == 201:
            given = answer.json()
            made = next(
                (one for one in (given, *given.values()) if isinstance(one, dict) and "id" in one), {}
            )
            ids[f"{operation.split('_')[-1]}_id"] = str(made.get("id", ""))
        if "csrf_token" in answer.text:
            who.csrf = answer.json()["csrf_token"]
    assert [one[:2] for one in failed] == []
    assert silent == []


def lines(registry: Registry) -> int:
    with registry.reader() as session:
        return session.scalar(select(func.count()).select_from(AuditEntry)) or 0


def test_the_phone_of_a_second_factor_is_told_too(app: FastAPI, registry: Registry) -> None:
    who = Person(app, "bureau")
    begun = who.send("POST", "/me/second-factor", {"password": seeding.PASSWORD}).json()
    before = lines(registry)
    code = pyotp.TOTP(begun["secret"]).now()
    assert who.send("POST", "/me/second-factor/confirm", {"code": code}).status_code == 200
    assert lines(registry) == before + 1
