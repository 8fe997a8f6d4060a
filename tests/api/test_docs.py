"""docs/api.md says what is there: operations, errors, events, test ids."""

from __future__ import annotations

import re
from pathlib import Path

from fastapi import FastAPI

from api.live_hub import LiveHub
from api.problems import CODES
from store.registry.users import ROLES

ROOT = Path(__file__).parents[2]
DOC = (ROOT / "docs" / "api.md").read_text()
SCRIPTS = "\n".join(path.read_text() for path in (ROOT / "api" / "web" / "js").rglob("*.js"))
SOURCES = "\n".join(path.read_text() for path in (ROOT / "api").rglob("*.py"))


def test_every_operation_is_documented(app: FastAPI) -> None:
    for path, methods in app.openapi()["paths"].items():
        short = path.removeprefix("/api/v1").replace("{alert_id}", "{id}")
        for method in methods:
            assert f"`{method.upper()} {short}`" in DOC or f"`{path}`" in DOC, (method, path)


def test_every_error_code_is_documented_and_has_words_in_the_page() -> None:
    raised = set(re.findall(r"ApiProblem\(\s*\d+,\s*\"([a-z_]+)\"", SOURCES)) | set(CODES.values())
    assert {"csrf", "wrong_password", "store_unavailable"} <= raised
    for code in raised - {
        "bad_request",
        "conflict",
        "unsupported_media_type",
        "too_many_requests",
        "unavailable",
    }:
        assert f"| `{code}` |" in DOC, code


def test_every_role_and_event_is_documented() -> None:
    for role in ROLES:
        assert f"| `{role}` |" in DOC
    events = set(re.findall(r"(?:frame|_publish)\(\"([a-z_]+)\"", SOURCES)) - {"hello"}
    assert {"levels", "alert", "resync"} <= events
    for event in events:
        assert f"| `{event}` |" in DOC, event
    assert LiveHub().stats.clients == 0


def test_every_test_id_of_the_page_is_documented() -> None:
    named = set(re.findall(r'testid: "([a-z-]+)"', SCRIPTS))
    named |= set(re.findall(r'"(add-[a-z]+)"\)', SCRIPTS))
    assert len(named) > 30
    documented = set(re.findall(r"`([a-z-]+)`", DOC))
    assert named <= documented, named - documented
