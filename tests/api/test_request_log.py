"""Every request has a name: in its answer, in its log lines, in its error; and no line has what proves who asks."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import structlog
from fastapi import FastAPI
from starlette.testclient import TestClient
from structlog.testing import capture_logs

import api.request_log
from api.app import create_app
from api.context import ApiContext
from api.request_log import HEADER, RequestLog, request_id
from store.series.interface import StoreUnavailable
from tests.api.conftest import Person
from tests.api.test_tokens import program


@pytest.fixture(autouse=True)
def _every_level(monkeypatch: pytest.MonkeyPatch) -> None:
    """Take the module's logger anew: what an earlier test bound may leave lines out."""
    structlog.reset_defaults()
    monkeypatch.setattr(api.request_log, "log", structlog.get_logger("test"))


def lines_of(app: FastAPI, path: str, **headers: str) -> tuple[Any, list[Any]]:
    with capture_logs(processors=[structlog.contextvars.merge_contextvars]) as lines:
        answer = TestClient(app, raise_server_exceptions=False).get(path, headers=headers)
    return answer, lines


@pytest.mark.parametrize("given", ["proxy-4f1c0de2", "0" * 64, "d7c1b9f0-53c4-4ba2-a4cd-9d1a2e0c8f11"])
def test_a_well_formed_name_is_kept(app: FastAPI, given: str) -> None:
    answer, lines = lines_of(app, "/api/v1/me", **{HEADER: given})
    assert answer.headers[HEADER] == given == answer.json()["request_id"]
    assert {line["request_id"] for line in lines if line["event"] == "request"} == {given}


@pytest.mark.parametrize(
    "given", ["", "short", "0" * 65, 'x" onload="alert', "line\nbreak-1", "中" * 10, None]
)
def test_any_other_name_is_made_anew(given: str | None) -> None:
    made = request_id(given)
    assert made != given and len(made) == 16 and made != request_id(given)


@pytest.mark.parametrize("path", ["/", "/healthz", "/nowhere", "/api/v1/sites", "/assets/x/y.js"])
def test_every_answer_has_one_of_its_own(app: FastAPI, path: str) -> None:
    client = TestClient(app)
    first, second = client.get(path), client.get(path)
    assert first.headers[HEADER] and first.headers[HEADER] != second.headers[HEADER]


def test_a_failure_is_told_with_its_name_and_answered_with_every_header(context: ApiContext) -> None:
    class Broken:
        def noise_windows(self, *_arguments: object, **_more: object) -> None:
            raise RuntimeError("no idea")

    app = create_app(replace(context, series=Broken()))
    who = Person(app, "bureau")
    with capture_logs(processors=[structlog.contextvars.merge_contextvars]) as lines:
        answer = who.get("/sites")
    name = answer.headers[HEADER]
    assert answer.status_code == 500 and answer.json()["request_id"] == name
    assert "default-src 'none'" in answer.headers["content-security-policy"]
    told = [(line["event"], line["log_level"], line["request_id"]) for line in lines]
    assert told == [("a request failed", "error", name), ("request", "info", name)]
    assert lines[1]["operation"] == "list_sites" and lines[1]["status"] == 500
    assert not structlog.contextvars.get_contextvars()


def test_lines_from_a_worker_thread_carry_the_name(
    context: ApiContext, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Away:
        def newest(self) -> None:
            raise StoreUnavailable("gone")

    import api.routes.health

    monkeypatch.setattr(api.routes.health, "log", structlog.get_logger("test"))
    answer, lines = lines_of(create_app(replace(context, series=Away())), "/readyz")
    told = next(line for line in lines if line["event"] == "a part is not ready")
    assert told["request_id"] == answer.headers[HEADER]


@pytest.mark.parametrize(
    ("slow_s", "level"), [pytest.param(0.0, "info", id="slow"), pytest.param(60.0, "debug", id="quick")]
)
def test_only_what_is_slow_or_fails_is_told_at_info(slow_s: float, level: str) -> None:
    async def answers(_scope: Any, _receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b""})

    with capture_logs() as lines:
        TestClient(RequestLog(answers, slow_s=slow_s)).get("/")
    assert [(line["event"], line["log_level"]) for line in lines] == [("request", level)]


def test_no_line_has_what_proves_who_asks(app: FastAPI) -> None:
    secret = "S3cretS3cretS3cretS3cret"
    client = program(Person(app, "admin"), "read")
    token = client.headers["authorization"].removeprefix("Bearer ")
    with capture_logs(processors=[structlog.contextvars.merge_contextvars]) as lines:
        client.get(f"/api/v1/sites?token={secret}")
        client.post("/api/v1/login", json={"name": "admin", "password": secret})
        for path in ("/ack", "/survey", "/api/v1/ack", "/api/v1/survey"):
            client.get(f"{path}/{secret}")
            client.get(f"{path}/{secret}/more")
    assert len([line for line in lines if line["event"] == "request"]) == 10
    assert secret not in str(lines) and token not in str(lines)
