"""Login, cookies, CSRF, throttling, passwords."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta

import pytest
from fastapi import FastAPI
from sqlalchemy import delete, func, select
from starlette.testclient import TestClient

from api.app import create_app
from api.context import ApiConfig, ApiContext
from api.throttle import ADDRESS, Allowance, LoginThrottle
from store.registry.database import Registry
from store.registry.models import LoginSession, User
from store.registry.users import (
    NameTaken,
    WeakPassword,
    create_user,
    ensure_admin,
    find_session,
    open_session,
    renew_session,
    verify,
    wants_renewal,
)
from tests.api import seeding
from tests.api.conftest import Person, SetClock


def test_the_cookie_is_httponly_and_its_token_is_nowhere_in_the_database(
    app: FastAPI, context: ApiContext
) -> None:
    client = TestClient(app)
    answer = client.post("/api/v1/login", json={"name": "bureau", "password": seeding.PASSWORD})
    cookie = answer.headers["set-cookie"]
    assert "HttpOnly" in cookie and "SameSite=lax" in cookie and "Secure" not in cookie and "Path=/" in cookie
    token = client.cookies["qw_session"]
    assert token not in answer.text
    with context.registry.reader() as session:
        kept = session.scalars(select(LoginSession)).one()
        assert token not in (kept.token_sha256, kept.csrf_token)
        assert kept.token_sha256 and len(kept.token_sha256) == 64


def test_behind_tls_the_cookie_is_bound_to_the_host(context: ApiContext) -> None:
    app = create_app(replace(context, config=ApiConfig(base_url="https://quiet.example")))
    client = TestClient(app, base_url="https://quiet.example")
    answer = client.post("/api/v1/login", json={"name": "bureau", "password": seeding.PASSWORD})
    assert answer.headers["set-cookie"].startswith("__Host-qw_session=")
    assert "Secure" in answer.headers["set-cookie"]
    assert "max-age" in answer.headers["strict-transport-security"]
    assert client.get("/api/v1/me").json()["name"] == "bureau"


def test_a_wrong_password_and_an_unknown_name_get_the_same_answer(person: Callable[..., Person]) -> None:
    nobody = person()
    answers = [
        nobody.send("POST", "/login", {"name": name, "password": "wrong-password"})
        for name in ("bureau", "nobody-at-all")
    ]
    assert [one.status_code for one in answers] == [401, 401]
    assert [one.json() | {"request_id": ""} for one in answers[:1]] == [
        answers[1].json() | {"request_id": ""}
    ]
    assert answers[0].json()["code"] == "wrong_password"
    assert "set-cookie" not in answers[0].headers


def test_logging_in_gives_a_new_session_and_ends_the_old_one(app: FastAPI, context: ApiContext) -> None:
    client = TestClient(app)
    login = {"name": "bureau", "password": seeding.PASSWORD}
    chosen = TestClient(app).post(
        "/api/v1/login", json=login, headers={"Cookie": "qw_session=an-attacker-chose-this"}
    )
    assert "an-attacker-chose-this" not in chosen.headers["set-cookie"]
    assert (
        TestClient(app).get("/api/v1/me", headers={"Cookie": "qw_session=an-attacker-chose-this"}).status_code
        == 401
    )
    with context.registry.session() as session:
        session.execute(delete(LoginSession))
    client.post("/api/v1/login", json=login)
    first = client.cookies["qw_session"]
    client.post("/api/v1/login", json={"name": "bureau", "password": seeding.PASSWORD})
    assert client.cookies["qw_session"] != first
    with context.registry.reader() as session:
        assert session.scalar(select(func.count()).select_from(LoginSession)) == 1


def test_logout_ends_the_session_at_the_server(person: Callable[..., Person]) -> None:
    who = person("viewer")
    token = who.http.cookies["qw_session"]
    assert who.send("POST", "/logout").status_code == 204
    who.http.cookies.set("qw_session", token)
    assert who.get("/me").status_code == 401


def test_changes_need_the_csrf_header(person: Callable[..., Person]) -> None:
    who = person("manager")
    for token in ("", "wrong", person("admin").csrf):
        who.csrf, kept = token, who.csrf
        answer = who.send("POST", "/alerts/2/acknowledge")
        assert (answer.status_code, answer.json()["code"]) == (403, "csrf")
        who.csrf = kept
    assert who.get("/alerts/2").json()["state"] == "firing"
    assert who.send("POST", "/alerts/2/acknowledge").status_code == 200


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "https://evil.example"},
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
        {"Origin": "null"},
    ],
)
def test_other_sites_pages_cannot_even_log_in(app: FastAPI, headers: dict[str, str]) -> None:
    answer = TestClient(app).post(
        "/api/v1/login", json={"name": "bureau", "password": seeding.PASSWORD}, headers=headers
    )
    assert (answer.status_code, answer.json()["code"]) == (403, "cross_site")


def test_our_own_page_can(app: FastAPI) -> None:
    headers = {"Origin": "http://testserver", "Sec-Fetch-Site": "same-origin"}
    answer = TestClient(app).post(
        "/api/v1/login", json={"name": "bureau", "password": seeding.PASSWORD}, headers=headers
    )
    assert answer.status_code == 200


def test_failed_logins_must_wait_and_the_owner_elsewhere_need_not(app: FastAPI) -> None:
    attacker = TestClient(app, client=("10.0.0.66", 1))
    statuses = [
        attacker.post("/api/v1/login", json={"name": "bureau", "password": f"guess-number-{n}"}).status_code
        for n in range(7)
    ]
    assert statuses == [401] * 5 + [429, 429]
    refused = attacker.post("/api/v1/login", json={"name": "bureau", "password": seeding.PASSWORD})
    assert refused.status_code == 429
    assert refused.json()["code"] == "too_many_attempts"
    assert int(refused.headers["retry-after"]) >= 1
    owner = TestClient(app, client=("10.0.0.7", 1))
    assert (
        owner.post("/api/v1/login", json={"name": "bureau", "password": seeding.PASSWORD}).status_code == 200
    )


def test_the_wait_doubles_and_ends() -> None:
    rule = Allowance(free=2, first_wait_s=2.0, longest_wait_s=10.0)
    assert [rule.wait_s(n) for n in range(7)] == [0.0, 0.0, 2.0, 4.0, 8.0, 10.0, 10.0]
    throttle = LoginThrottle()
    for _ in range(5):
        assert throttle.begin("li", "1.2.3.4", 0.0) == 0.0
    assert throttle.begin("li", "1.2.3.4", 0.5) == 2.0
    assert throttle.begin("LI", "1.2.3.4", 2.0) == 0.0
    assert throttle.begin("li", "1.2.3.4", 2.1) == 4.0
    assert throttle.begin("li", "1.2.3.4", 4000.0) == 0.0


def test_tries_at_once_are_counted_before_the_password_is_looked_at() -> None:
    throttle = LoginThrottle()
    tried = sum(throttle.begin("li", "1.2.3.4", 0.0) == 0.0 for _ in range(100))
    assert tried == 5


def test_success_forgives_the_account_and_not_the_address() -> None:
    throttle = LoginThrottle()
    for n in range(ADDRESS.free):
        assert throttle.begin(f"user{n}", "1.2.3.4", 0.0) == 0.0
    assert throttle.begin("yet-another", "1.2.3.4", 0.0) > 0.0
    throttle.succeeded("user0", "1.2.3.4")
    assert throttle.begin("user0", "1.2.3.4", 0.0) == 0.0
    assert throttle.begin("user1", "1.2.3.4", 0.0) > 0.0


def test_the_throttle_forgets_the_oldest_when_it_is_full() -> None:
    throttle = LoginThrottle(most_keys=30)
    for n in range(1000):
        throttle.begin(f"user{n}", f"10.0.{n // 256}.{n % 256}", 0.0)
    assert len(throttle._records) == 30


def test_the_password_can_be_changed_and_other_sessions_end(person: Callable[..., Person]) -> None:
    here, elsewhere = person("manager"), person("manager")
    wrong = here.send("PUT", "/me/password", {"present": "not-this-one", "new": "a-better-password"})
    assert wrong.status_code == 422 and wrong.json()["errors"][0]["where"] == "body.present"
    weak = here.send("PUT", "/me/password", {"present": seeding.PASSWORD, "new": "short"})
    assert weak.status_code == 422 and "at least 10" in weak.json()["detail"]
    changed = here.send("PUT", "/me/password", {"present": seeding.PASSWORD, "new": "a-better-password"})
    assert changed.status_code == 200
    assert here.get("/me").json()["csrf_token"] == changed.json()["csrf_token"]
    assert elsewhere.get("/me").status_code == 401
    login = {"name": "manager", "password": "a-better-password"}
    assert person().send("POST", "/login", login).status_code == 200


def test_the_language_is_kept(person: Callable[..., Person]) -> None:
    who = person("viewer")
    assert who.send("PUT", "/me/language", {"language": "en"}).status_code == 204
    assert person("viewer").get("/me").json()["language"] == "en"
    assert who.send("PUT", "/me/language", {"language": "de"}).status_code == 422


def test_a_session_ends_when_it_is_not_used_and_when_its_user_is_disabled(registry: Registry) -> None:
    now = seeding.NOW
    with registry.session() as session:
        user = session.scalars(select(User).where(User.name == "bureau")).one()
        token = open_session(session, user, now).token
    with registry.session() as session:
        row = find_session(session, token, now + timedelta(hours=11))
        assert row is not None and wants_renewal(row, now + timedelta(hours=11))
        assert find_session(session, token, now + timedelta(hours=12)) is None
        assert renew_session(session, token, now + timedelta(hours=11)) == now + timedelta(hours=23)
    with registry.session() as session:
        session.scalars(select(User).where(User.name == "bureau")).one().disabled = True
    with registry.reader() as session:
        assert find_session(session, token, now + timedelta(hours=1)) is None
        assert verify(session, "bureau", seeding.PASSWORD) is None


def test_a_session_in_use_is_prolonged(series, registry: Registry) -> None:
    from api.live_hub import LiveHub

    wall = SetClock()
    context = ApiContext(series=series, registry=registry, clock=SetClock(), live=LiveHub(), wall=wall)
    who = Person(create_app(context), "bureau")
    for _ in range(5):
        wall.t += timedelta(hours=8)
        assert who.get("/me").status_code == 200
    wall.t += timedelta(hours=13)
    assert who.get("/me").status_code == 401


def test_the_first_start_makes_an_admin_once(tmp_path) -> None:
    registry = Registry.in_folder(tmp_path)
    with registry.session() as session:
        password = ensure_admin(session, seeding.NOW)
    assert password and len(password) >= 20
    with registry.session() as session:
        assert ensure_admin(session, seeding.NOW) is None
        user = session.scalars(select(User)).one()
        assert user.role == "admin" and user.password_hash.startswith("$argon2id$")
        assert verify(session, "ADMIN", password) is user
        assert verify(session, "admin", password + "x") is None
    registry.close()


def test_bad_users_are_refused(registry: Registry) -> None:
    with registry.session() as session:
        with pytest.raises(NameTaken):
            create_user(session, "Bureau", "long-enough-pw", role="bureau", now=seeding.NOW)
        with pytest.raises(WeakPassword, match="at least 10"):
            create_user(session, "li", "short", role="bureau", now=seeding.NOW)
        with pytest.raises(WeakPassword, match="name"):
            create_user(session, "li.wei.wang", "li.wei.wang1", role="bureau", now=seeding.NOW)
        with pytest.raises(ValueError, match="starts with a letter"):
            create_user(session, "li wei", "long-enough-pw", role="bureau", now=seeding.NOW)
        with pytest.raises(ValueError, match="no site 'nowhere'"):
            create_user(session, "li", "long-enough-pw", role="manager", sites=["nowhere"], now=seeding.NOW)
        session.rollback()
