"""One shape for every error, and headers on every answer."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest
from fastapi import FastAPI
from starlette.testclient import TestClient

from api.access import OPERATIONS
from api.app import create_app
from api.context import ApiContext
from store.series.interface import StoreUnavailable
from tests.api import seeding
from tests.api.conftest import Person

PUBLIC = {name for name, access in OPERATIONS.items() if access.public}
SHAPE = {"type", "title", "status", "code", "detail", "errors", "request_id"}


def assert_problem(answer, status: int, code: str) -> None:
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.headers["cache-control"] == "no-store"
    body = answer.json()
    assert set(body) == SHAPE
    assert (body["status"], body["code"], body["type"]) == (status, code, f"urn:quietwater:problem:{code}")
    assert body["detail"] and body["request_id"] == answer.headers["x-request-id"]


def test_every_kind_of_error_has_the_same_shape(person: Callable[..., Person]) -> None:
    who = person("manager")
    assert_problem(person().get("/me"), 401, "login_required")
    assert_problem(who.get("/audit"), 403, "not_allowed")
    assert_problem(who.get("/sites/nowhere"), 404, "not_found")
    assert_problem(who.http.get("/api/v1/no/such/thing"), 404, "not_found")
    assert_problem(who.http.get("/api/v2/sites"), 404, "not_found")
    assert_problem(who.http.delete("/api/v1/sites"), 405, "method_not_allowed")
    assert_problem(who.send("POST", "/alerts/1/acknowledge"), 409, "not_possible")
    assert_problem(
        who.get("/noise/series", site=seeding.OWN_SITE, device="dong-men", start="yesterday"),
        422,
        "invalid_input",
    )
    assert_problem(
        who.http.post("/api/v1/login", content=b"{not json", headers={"Content-Type": "application/json"}),
        422,
        "invalid_input",
    )
    large = b'{"name":"' + b"x" * 400_000 + b'"}'
    as_json = {"Content-Type": "application/json"}
    assert_problem(who.http.post("/api/v1/login", content=large, headers=as_json), 413, "too_large")


def test_a_body_that_does_not_say_its_length_is_bounded_too(person: Callable[..., Person]) -> None:
    def endless():
        for _ in range(1000):
            yield b" " * 10_000

    answer = person().http.post(
        "/api/v1/login", content=endless(), headers={"Content-Type": "application/json"}
    )
    assert_problem(answer, 413, "too_large")


@pytest.mark.parametrize(
    ("params", "where"),
    [
        ({"start": "2026-03-01T00:00:00"}, "query.start"),
        ({"start": "0001-01-01T00:00:00Z"}, "query.start"),
        ({"start": "9999-12-31T23:59:59-12:00"}, "query.start"),
        ({"start": "2026-03-02T00:00:00Z", "end": "2026-03-01T00:00:00Z"}, "query.start"),
        ({"start": "2020-03-02T00:00:00Z", "end": "2026-03-01T00:00:00Z"}, "query.start"),
        ({"step_s": "0"}, "query.step_s"),
        ({"step_s": "NaN"}, "query.step_s"),
    ],
)
def test_bad_ranges_name_the_part_that_does_not_fit(
    person: Callable[..., Person], params: dict[str, str], where: str
) -> None:
    answer = person("bureau").get("/noise/series", site=seeding.OWN_SITE, device="dong-men", **params)
    assert_problem(answer, 422, "invalid_input")
    assert answer.json()["errors"][0]["where"] == where


@pytest.mark.parametrize(
    "strange", ["' OR 1=1 --", "../../etc/passwd", "a\r\nSet-Cookie: x=1", "\x00", "小区", "a" * 300]
)
def test_strange_names_are_not_found_or_invalid(person: Callable[..., Person], strange: str) -> None:
    who = person("admin")
    for answer in (
        who.get("/noise/hours", site=strange, device=strange),
        who.get("/noise/hours", site=seeding.OWN_SITE, device=strange),
        who.get("/water/hours", site=seeding.OWN_SITE, meter=strange),
        who.get("/alerts", site=strange),
        who.get("/sites/" + strange.replace("/", "%2F").replace("\r\n", "%0D%0A").replace("\x00", "%00")),
    ):
        assert answer.status_code in (404, 422), answer.text
        assert "set-cookie" not in answer.headers


def test_a_store_that_is_away_is_told_as_such(context: ApiContext) -> None:
    class Away:
        def __getattr__(self, name: str):
            def fail(*_arguments: object, **_more: object) -> None:
                raise StoreUnavailable("the file is locked")

            return fail

    app = create_app(replace(context, series=Away()))
    who = Person(app, "bureau")
    answer = who.get("/sites")
    assert_problem(answer, 503, "store_unavailable")
    assert answer.headers["retry-after"] == "5"
    assert "locked" not in answer.text
    ready = who.http.get("/readyz")
    assert ready.status_code == 503 and ready.json() == {
        "ready": False,
        "parts": {"registry": True, "series": False},
    }


def test_a_failure_of_ours_tells_no_secrets(context: ApiContext) -> None:
    class Broken:
        def noise_windows(self, *_arguments: object, **_more: object) -> None:
            raise RuntimeError("password=hunter2")

    answer = Person(create_app(replace(context, series=Broken())), "bureau").get("/sites")
    assert_problem(answer, 500, "internal")
    assert "hunter2" not in answer.text


def test_readyz_asks_the_other_parts_too(context: ApiContext) -> None:
    def dies() -> bool:
        raise OSError("gone")

    app = create_app(replace(context, ready={"ingest": lambda: True, "analysis": dies}))
    answer = TestClient(app).get("/readyz")
    assert answer.status_code == 503
    assert answer.json()["parts"] == {"registry": True, "series": True, "ingest": True, "analysis": False}
    assert TestClient(app).get("/healthz").json()["status"] == "ok"


@pytest.mark.parametrize("path", ["/", "/api/v1/me", "/healthz", "/nothing", "/assets/x/../../app.py"])
def test_every_answer_carries_the_headers(app: FastAPI, path: str) -> None:
    headers = TestClient(app).get(path).headers
    policy = headers["content-security-policy"]
    assert "default-src 'none'" in policy and "unsafe" not in policy and "frame-ancestors 'none'" in policy
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["referrer-policy"] == "no-referrer"
    assert "cache-control" in headers


def test_the_openapi_document_has_examples_and_problem_answers(person: Callable[..., Person]) -> None:
    document = person("viewer").get("/openapi.json").json()
    assert document["info"]["title"] == "Quietwater"
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            assert operation["summary"] and operation["description"], (method, path)
            for status, answer in operation["responses"].items():
                if status.startswith("4"):
                    assert list(answer["content"]) == ["application/problem+json"], (method, path, status)
            if operation["operationId"] not in PUBLIC:
                assert "401" in operation["responses"], (method, path)
    assert document["components"]["schemas"]["SiteOut"]["properties"]["name"]["examples"] == ["quiet-garden"]
