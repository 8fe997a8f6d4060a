"""Entity tags: 304 for what the asker has, 412 for a change made from what is old."""

from __future__ import annotations

import pytest
from starlette.testclient import TestClient

from api.app import create_app
from api.context import ApiContext
from api.etags import EntityTags, tag_of
from tests.api.conftest import Person

SITE = "jing-yuan"


@pytest.fixture
def bureau(context: ApiContext) -> Person:
    return Person(create_app(context), "bureau")


def test_an_answer_that_did_not_change_is_not_sent_again(bureau: Person) -> None:
    for path in (
        "/rules?site=jing-yuan",
        f"/sites/{SITE}/judging",
        f"/sites/{SITE}/devices",
        "/standards",
        "/openapi.json",
    ):
        first = bureau.http.get(f"/api/v1{path}")
        tag = first.headers["ETag"]
        assert first.status_code == 200 and tag.startswith('W/"')
        again = bureau.http.get(f"/api/v1{path}", headers={"If-None-Match": f'"other", {tag}'})
        assert again.status_code == 304 and again.content == b"" and again.headers["ETag"] == tag
        assert "Content-Security-Policy" in again.headers
        assert (
            bureau.http.get(f"/api/v1{path}", headers={"If-None-Match": '"other"'}).content == first.content
        )


def test_the_tag_goes_with_the_answer_packed_or_not(bureau: Person) -> None:
    plain = bureau.http.get("/api/v1/openapi.json", headers={"Accept-Encoding": "identity"})
    packed = bureau.http.get("/api/v1/openapi.json", headers={"Accept-Encoding": "gzip"})
    assert packed.headers["Content-Encoding"] == "gzip" and packed.content == plain.content
    assert plain.headers["ETag"] == packed.headers["ETag"] == tag_of(plain.content)


def test_a_changed_answer_has_another_tag(bureau: Person) -> None:
    before = bureau.http.get(f"/api/v1/sites/{SITE}/judging").headers["ETag"]
    assert bureau.send("PATCH", f"/sites/{SITE}/judging", {"day_starts_h": 7}).status_code == 200
    after = bureau.http.get(f"/api/v1/sites/{SITE}/judging", headers={"If-None-Match": before})
    assert after.status_code == 200 and after.headers["ETag"] != before and after.json()["day_starts_h"] == 7


@pytest.mark.parametrize(
    ("role", "read", "changed", "body"),
    [
        ("bureau", f"/sites/{SITE}/judging", f"/sites/{SITE}/judging", {"night_starts_h": 23}),
        ("admin", f"/sites/{SITE}/settings", f"/sites/{SITE}", {"district": "东区"}),
    ],
)
def test_a_change_made_from_what_is_old_is_refused(context: ApiContext, role, read, changed, body) -> None:
    one = Person(create_app(context), role)
    tag = one.http.get(f"/api/v1{read}").headers["ETag"]
    done = one.send("PATCH", changed, body, headers={"If-Match": tag})
    assert done.status_code == 200
    kept = one.http.get(f"/api/v1{read}")
    refused = one.send("PATCH", changed, body, headers={"If-Match": tag})
    assert (refused.status_code, refused.json()["code"]) == (412, "precondition_failed")
    assert one.http.get(f"/api/v1{read}").content == kept.content
    for fitting in (kept.headers["ETag"], f'"x", {kept.headers["ETag"]}', "*", None):
        headers = {} if fitting is None else {"If-Match": fitting}
        assert one.send("PATCH", changed, body, headers=headers).status_code == 200


def test_errors_streams_and_other_types_have_no_tag(bureau: Person) -> None:
    assert "ETag" not in bureau.http.get("/api/v1/sites/nowhere").headers
    assert "ETag" not in bureau.http.get("/healthz").headers
    export = bureau.http.get(
        "/api/v1/export",
        params={
            "kind": "noise",
            "site": SITE,
            "start": "2026-03-02T00:00:00Z",
            "end": "2026-03-02T00:01:00Z",
        },
    )
    assert "ETag" not in export.headers


def test_a_body_that_comes_in_pieces_is_whole() -> None:
    async def app(scope, receive, send) -> None:
        headers = [(b"content-type", b"application/json"), (b"content-length", b"6")]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": b"[1,", "more_body": True})
        await send({"type": "http.response.body", "body": b"22]"})

    answer = TestClient(EntityTags(app, prefix="/")).get("/")
    assert answer.content == b"[1,22]" and answer.headers["ETag"] == tag_of(b"[1,22]")
