"""One-time passwords: enrolled, demanded, counted once, recovered from."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta

import pyotp
import pytest
from playwright.sync_api import Browser
from sqlalchemy import select

from api.app import create_app
from api.context import ApiConfig, ApiContext
from store.registry.models import AuditEntry, SecondFactor
from tests.api import seeding
from tests.api.browsing import visiting
from tests.api.conftest import Person, SetClock, serving


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


def demanding(context: ApiContext, clock: SetClock, name: str) -> Person:
    return Person(
        create_app(replace(context, wall=clock, config=ApiConfig(officials_need_factor=True))), name
    )


def test_where_it_is_demanded_an_official_gets_no_further_without(
    context: ApiContext, clock: SetClock
) -> None:
    who = demanding(context, clock, "bureau")
    assert who.get("/me").json()["lacks_factor"] is True
    for path in ("/sites", "/alerts", "/audit", "/live", "/sensorthings/v1.1/Things"):
        refused = who.get(path)
        assert (refused.status_code, refused.json()["code"]) == (403, "factor_missing"), path
    assert who.send("POST", "/me/tokens", {"name": "a way around"}).status_code == 403
    assert who.send("POST", "/me/contacts", {"url": "json://127.0.0.1:9/"}).status_code == 403
    enrolled(who, clock)
    assert who.get("/me").json()["lacks_factor"] is False
    assert who.get("/sites").status_code == 200


def test_it_is_demanded_of_officials_alone_and_of_their_programs_too(
    context: ApiContext, clock: SetClock
) -> None:
    token = Person(create_app(replace(context, wall=clock)), "bureau").send(
        "POST", "/me/tokens", {"name": "screen", "scopes": ["read"]}
    )
    bearer = {"Authorization": f"Bearer {token.json()['text']}"}
    manager = demanding(context, clock, "manager")
    assert manager.get("/sites").status_code == 200 and manager.get("/me").json()["lacks_factor"] is False
    nobody = Person(manager.http.app)
    assert nobody.http.get("/api/v1/sites", headers=bearer).json()["code"] == "factor_missing"
    assert demanding(context, clock, "admin").get("/users").status_code == 403


def test_logging_in_says_that_it_is_missing(context: ApiContext, clock: SetClock) -> None:
    nobody = demanding(context, clock, "bureau")
    nobody.http.cookies.clear()
    told = nobody.send("POST", "/login", {"name": "bureau", "password": seeding.PASSWORD})
    assert told.status_code == 200 and told.json()["lacks_factor"] is True


@pytest.mark.browser
@pytest.mark.system
@pytest.mark.parametrize("language", ["zh", "en"])
def test_the_page_leads_an_official_to_it(browser: Browser, context: ApiContext, language: str) -> None:
    demanded = replace(context, config=ApiConfig(officials_need_factor=True))
    with serving(demanded) as served, visiting(browser, served, width=360) as visitor:
        page = visitor.page
        visitor.go("")
        page.fill("[data-testid=login-name]", "bureau")
        page.fill("[data-testid=login-password]", seeding.PASSWORD)
        page.press("[data-testid=login-password]", "Enter")
        page.wait_for_selector("[data-testid=factor-missing]")
        visitor.speak(language)
        page.wait_for_selector("[data-testid=factor-missing]")
        visitor.shoot(f"factor-missing-{language}-360")
        assert visitor.faults() == []
        page.click("[data-testid=second-factor-change]")
        page.fill("[data-testid=form] input[type=password]", seeding.PASSWORD)
        page.press("[data-testid=form] input[type=password]", "Enter")
        totp = pyotp.TOTP(page.get_by_test_id("second-factor-secret").inner_text())
        page.fill("[data-testid=second-factor-confirm] input", totp.now())
        page.press("[data-testid=second-factor-confirm] input", "Enter")
        page.click(".secret-place .button-main")
        page.wait_for_selector("[data-testid=second-factor]")
        visitor.go("#/")
        page.wait_for_selector("[data-testid=data-clock]")
        assert page.get_by_test_id("factor-missing").count() == 0
