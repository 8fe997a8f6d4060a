"""Tokens of programs: scopes, end, traces; and how many requests anybody may make."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta

import pytest
from fastapi import FastAPI
from sqlalchemy import select
from starlette.testclient import TestClient

from api.access import OPERATIONS
from api.app import create_app
from api.context import ApiConfig, ApiContext
from api.ratelimit import Rate, RateLimit
from store.registry.models import ApiToken, AuditEntry, User
from store.registry.tokens import SCOPES
from tests.api import seeding
from tests.api.conftest import Person, SetClock
from tests.api.test_access import body_of, operations


def program(who: Person, *scopes: str) -> TestClient:
    made = who.send("POST", "/me/tokens", {"name": "city screen", "scopes": list(scopes)})
    assert made.status_code == 201, made.text
    client = TestClient(who.http.app, raise_server_exceptions=False)
    client.headers["Authorization"] = f"Bearer {made.json()['text']}"
    return client


def test_a_token_reads_as_its_user_and_is_kept_as_its_digest_alone(
    person: Callable[..., Person], context: ApiContext
) -> None:
    who = person("manager")
    client = program(who, "read")
    assert [one["name"] for one in client.get("/api/v1/sites").json()["items"]] == [seeding.OWN_SITE]
    assert client.get(f"/api/v1/sites/{seeding.OTHER_SITE}").status_code == 404
    text = client.headers["authorization"].removeprefix("Bearer ")
    assert text.startswith("qwt_")
    with context.registry.reader() as session:
        row = session.scalars(select(ApiToken)).one()
        assert row.used_at is not None and text not in (row.token_sha256, row.name)
        told = session.scalars(select(AuditEntry).where(AuditEntry.action == "token.add")).one()
        assert told.who == "manager" and text not in str(told.detail)
    assert text not in who.get("/me/tokens").text
    assert who.get("/me/tokens").json()["items"][0]["used_at"]


@pytest.mark.parametrize("scope", SCOPES)
def test_each_scope_reaches_what_the_table_says_and_no_more(
    app: FastAPI, person: Callable[..., Person], scope: str
) -> None:
    client = program(person("admin"), scope)
    for operation, method, address in operations(app):
        access = OPERATIONS[operation]
        if access.public:
            continue
        ended = "?site=no-such-site" if operation == "stream_live" else ""
        answer = client.request(method, address + ended, json=body_of(app, operation))
        allowed = answer.status_code not in (401, 403)
        assert allowed == (access.scope == scope), (operation, scope, answer.status_code, answer.text)
        assert answer.status_code < 500, (operation, answer.text)
        if not allowed:
            expected = "people_only" if access.scope is None else "scope_missing"
            assert answer.json()["code"] == expected, operation


@pytest.mark.parametrize("role", seeding.ROLES)
def test_a_token_never_goes_further_than_its_user(
    app: FastAPI, person: Callable[..., Person], role: str
) -> None:
    client = program(person(role), *SCOPES)
    for operation, method, address in operations(app):
        access = OPERATIONS[operation]
        if access.public or access.scope is None or role in access.roles:
            continue
        assert client.request(method, address, json=body_of(app, operation)).status_code == 403, operation


def test_a_token_ends_by_time_by_hand_and_with_its_user(
    person: Callable[..., Person], context: ApiContext
) -> None:
    clock = SetClock(context.wall.now())
    admin = Person(create_app(replace(context, wall=clock)), "admin")
    clients = [program(admin, "read") for _ in range(3)]
    assert admin.send("DELETE", "/me/tokens/1").status_code == 204
    assert [one.get("/api/v1/me").status_code for one in clients] == [401, 200, 200]
    assert clients[0].get("/api/v1/me").headers["www-authenticate"] == "Bearer"
    clock.t += timedelta(days=91)
    assert clients[1].get("/api/v1/me").status_code == 401
    clock.t -= timedelta(days=91)
    assert clients[1].get("/api/v1/me").status_code == 200
    with context.registry.session() as session:
        session.scalars(select(User).where(User.name == "admin")).one().disabled = True
    assert clients[1].get("/api/v1/me").status_code == 401


def test_a_false_token_is_not_saved_by_a_cookie(person: Callable[..., Person]) -> None:
    who = person("admin")
    who.http.headers["Authorization"] = "Bearer qwt_" + "x" * 43
    assert who.get("/sites").status_code == 401
    assert who.send("POST", "/me/tokens", {"name": "x"}).status_code == 401


@pytest.mark.parametrize(
    "body",
    [
        {"name": "", "scopes": ["read"]},
        {"name": "x", "scopes": []},
        {"name": "x", "scopes": ["everything"]},
        {"name": "x", "days": 400},
    ],
)
def test_what_is_no_token_is_told(person: Callable[..., Person], body: dict[str, object]) -> None:
    assert person("admin").send("POST", "/me/tokens", body).status_code == 422


def test_nobody_collects_tokens_nor_ends_those_of_others(person: Callable[..., Person]) -> None:
    who = person("viewer")
    for n in range(20):
        assert who.send("POST", "/me/tokens", {"name": f"t{n}"}).status_code == 201
    assert who.send("POST", "/me/tokens", {"name": "more"}).json()["code"] == "not_possible"
    assert person("admin").send("DELETE", "/me/tokens/1").status_code == 404


def test_a_bucket_empties_and_refills() -> None:
    limit, rate = RateLimit(most_keys=2), Rate(per_s=2.0, burst=3.0)
    assert [limit.take("a", rate, 0.0) for _ in range(4)] == [0.0, 0.0, 0.0, 0.5]
    assert limit.take("b", rate, 0.0) == 0.0
    assert limit.take("a", rate, 0.4) > 0.0
    assert limit.take("a", rate, 0.5) == 0.0
    limit.take("c", rate, 0.5)  # the least used key goes
    assert limit.take("b", rate, 0.5) == 0.0


def test_too_many_requests_are_told_with_the_time_to_wait(context: ApiContext) -> None:
    slow = ApiConfig(user_rate=Rate(0.5, 3.0), address_rate=Rate(0.25, 2.0))
    app = create_app(replace(context, config=slow))
    who, nobody = Person(app, "viewer"), Person(app)
    answers = [who.get("/limits") for _ in range(4)]
    assert [one.status_code for one in answers] == [200, 200, 200, 429]
    assert answers[-1].json()["code"] == "too_many_requests"
    assert answers[-1].headers["retry-after"] == "2"
    assert [nobody.get("/session").status_code for _ in range(3)] == [200, 200, 429]
    assert Person(app, "manager").get("/limits").status_code == 200
