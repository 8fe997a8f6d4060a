"""One-time passwords: enrolled, demanded, counted once, recovered from."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta

import pyotp
import pytest
from sqlalchemy import select

from api.app import create_app
from api.context import ApiContext
from store.registry.models import AuditEntry, SecondFactor
from tests.api import seeding
from tests.api.conftest import Person, SetClock


@pytest.fixture
def clock() -> SetClock:
    return SetClock()


@pytest.fixture
def who(context: ApiContext, clock: SetClock) -> Person:
    return Person(create_app(replace(context, wall=clock)), "bureau")


def enrolled(who: Person, clock: SetClock) -> tuple[pyotp.TOTP, list[str]]:
    begun = who.send("POST", "/me/second-factor", {"password": seeding.PASSWORD}).json()
    totp = pyotp.parse_uri(begun["uri"])
    assert isinstance(totp, pyotp.TOTP) and totp.secret == begun["secret"] and totp.issuer == "Quietwater"
    assert begun["qr_svg"].startswith("data:image/svg+xml")
    answer = who.send("POST", "/me/second-factor/confirm", {"code": totp.at(clock.t)})
    assert answer.status_code == 200, answer.text
    return totp, answer.json()["recovery_codes"]


def log_in(who: Person, code: str | None = None) -> tuple[int, str]:
    nobody = Person(who.http.app)
    body = {"name": "bureau", "password": seeding.PASSWORD, **({"code": code} if code else {})}
    answer = nobody.http.post("/api/v1/login", json=body)
    return answer.status_code, answer.json().get("code", "")


def test_once_enrolled_a_code_is_needed_and_counts_once(who: Person, clock: SetClock) -> None:
    assert log_in(who) == (200, "")
    totp, codes = enrolled(who, clock)
    assert len(set(codes)) == 10
    assert log_in(who) == (401, "code_required")
    assert log_in(who, totp.at(clock.t)) == (401, "wrong_code")  # the one that confirmed it is used up
    clock.t += timedelta(seconds=30)
    code = totp.at(clock.t)
    assert log_in(who, code) == (200, "")
    assert log_in(who, code) == (401, "wrong_code")
    clock.t += timedelta(seconds=60)
    assert log_in(who, totp.at(clock.t - timedelta(seconds=30))) == (200, "")  # a phone that is slow
    assert log_in(who, totp.at(clock.t - timedelta(seconds=90))) == (401, "wrong_code")
    assert who.get("/me/second-factor").json() == {"enabled": True, "recovery_left": 10}


def test_a_recovery_code_lets_in_once(who: Person, clock: SetClock, context: ApiContext) -> None:
    _, codes = enrolled(who, clock)
    assert log_in(who, codes[3].upper()) == (200, "")
    assert log_in(who, codes[3]) == (401, "wrong_code")
    assert who.get("/me/second-factor").json()["recovery_left"] == 9
    with context.registry.reader() as session:
        kept = session.scalars(select(SecondFactor)).one()
        assert not set(codes) & set(kept.recovery)
        told = str([(one.action, one.detail) for one in session.scalars(select(AuditEntry))])
        assert kept.secret not in told and "second_factor.add" in told


def test_a_wrong_code_counts_as_a_failed_login(who: Person, clock: SetClock) -> None:
    enrolled(who, clock)
    seen = [log_in(who, "000000")[1] for _ in range(7)]
    assert seen[0] == "wrong_code" and seen[-1] == "too_many_attempts"


def test_it_needs_the_password_to_begin_and_to_end(who: Person, clock: SetClock) -> None:
    assert who.send("POST", "/me/second-factor", {"password": "wrong"}).status_code == 422
    assert who.send("POST", "/me/second-factor/confirm", {"code": "123456"}).status_code == 422
    totp, _ = enrolled(who, clock)
    assert who.send("POST", "/me/second-factor", {"password": seeding.PASSWORD}).status_code == 409
    assert who.send("POST", "/me/second-factor/end", {"password": "wrong"}).status_code == 422
    assert log_in(who) == (401, "code_required") and totp.secret
    assert who.send("POST", "/me/second-factor/end", {"password": seeding.PASSWORD}).status_code == 204
    assert log_in(who) == (200, "")


def test_what_was_not_confirmed_does_not_count(who: Person) -> None:
    assert who.send("POST", "/me/second-factor", {"password": seeding.PASSWORD}).status_code == 201
    assert who.send("POST", "/me/second-factor/confirm", {"code": "abcdef"}).status_code == 422
    assert log_in(who) == (200, "") and who.get("/me/second-factor").json()["enabled"] is False


def test_an_administrator_helps_somebody_who_lost_the_phone(
    who: Person, clock: SetClock, person: Callable[..., Person]
) -> None:
    enrolled(who, clock)
    assert person("manager").send("DELETE", "/users/bureau/second-factor").status_code == 403
    assert person("admin").send("DELETE", "/users/bureau/second-factor").status_code == 204
    assert log_in(who) == (200, "")
    audit = person("admin").get("/audit").json()["items"]
    assert ("admin", "second_factor.remove", "bureau") in [
        (a["who"], a["action"], a["target"]) for a in audit
    ]
