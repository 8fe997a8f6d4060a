"""How an alert is handled: notes, photos, "done", by the API and on a phone."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from playwright.sync_api import Browser, expect

from api.app import create_app
from api.context import ApiContext
from store.registry import handling
from tests.api.browsing import Sounding, visiting
from tests.api.conftest import Person, Served

OWN_ALERT, OTHER_ALERT = 2, 4
PHOTO = Path(__file__).parents[2] / "api" / "web" / "icons" / "icon-512.png"


@pytest.fixture
def context(context: ApiContext, tmp_path: Path) -> ApiContext:
    """With a folder for photos."""
    return replace(context, files=tmp_path / "files")


def photo(person: Person, alert: int, content: bytes):
    return person.http.post(
        f"/api/v1/alerts/{alert}/photos", content=content,
        headers={"X-CSRF-Token": person.csrf, "Content-Type": "application/octet-stream"},
    )  # fmt: skip


def test_notes_photos_and_done_are_kept_in_order(person: Callable[..., Person]) -> None:
    manager = person("manager")
    assert manager.send("POST", f"/alerts/{OWN_ALERT}/notes", {"text": "  阀门漏水  "}).status_code == 201
    sent = photo(manager, OWN_ALERT, PHOTO.read_bytes())
    assert sent.status_code == 201
    assert manager.send("POST", f"/alerts/{OWN_ALERT}/notes", {"text": "", "done": True}).status_code == 201
    lines = person("viewer").get(f"/alerts/{OWN_ALERT}/handling").json()["items"]
    assert [(one["kind"], one["text"], one["who"]) for one in lines] == [
        ("note", "阀门漏水", "manager"), ("photo", "", "manager"), ("done", "", "manager"),
    ]  # fmt: skip
    shown = person("viewer").get(f"/alerts/{OWN_ALERT}/photos/{sent.json()['id']}")
    assert shown.content == PHOTO.read_bytes() and shown.headers["content-type"] == "image/png"
    assert shown.headers["x-content-type-options"] == "nosniff"
    assert "sandbox" in shown.headers["content-security-policy"]
    actions = [one["action"] for one in person("bureau").get("/audit").json()["items"]]
    assert actions[:3] == ["alert.done", "alert.photo", "alert.note"]


def test_done_does_not_end_an_alert(person: Callable[..., Person]) -> None:
    before = person("manager").get(f"/alerts/{OWN_ALERT}").json()["state"]
    person("manager").send("POST", f"/alerts/{OWN_ALERT}/notes", {"text": "fixed", "done": True})
    assert person("manager").get(f"/alerts/{OWN_ALERT}").json()["state"] == before


def test_who_may_not_see_an_alert_learns_nothing_of_it(person: Callable[..., Person]) -> None:
    officer, manager = person("bureau"), person("manager")
    number = photo(officer, OTHER_ALERT, PHOTO.read_bytes()).json()["id"]
    assert manager.get(f"/alerts/{OTHER_ALERT}/handling").status_code == 404
    assert manager.get(f"/alerts/{OTHER_ALERT}/photos/{number}").status_code == 404
    assert manager.get(f"/alerts/{OWN_ALERT}/photos/{number}").status_code == 404
    assert photo(manager, OTHER_ALERT, PHOTO.read_bytes()).status_code == 404
    assert manager.send("POST", f"/alerts/{OTHER_ALERT}/notes", {"text": "x"}).status_code == 404
    assert person("viewer").send("POST", f"/alerts/{OWN_ALERT}/notes", {"text": "x"}).status_code == 403


@pytest.mark.parametrize("content", [b"", b"GIF89a", b"<svg onload='x'/>", b"%PDF-1.7 x", b"PK\x03\x04"])
def test_what_is_no_photo_is_refused(person: Callable[..., Person], content: bytes) -> None:
    assert photo(person("manager"), OWN_ALERT, content).status_code == 422


def test_a_photo_that_is_too_large_is_refused(person: Callable[..., Person]) -> None:
    large = PHOTO.read_bytes() + bytes(9 << 20)
    assert photo(person("manager"), OWN_ALERT, large).status_code == 413


def test_an_alert_has_a_bound_of_photos(
    person: Callable[..., Person], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(handling, "MOST_PHOTOS", 1)
    assert photo(person("manager"), OWN_ALERT, PHOTO.read_bytes()).status_code == 201
    refused = photo(person("manager"), OWN_ALERT, PHOTO.read_bytes())
    assert refused.status_code == 409 and "photos" in refused.json()["detail"]
    assert person("manager").send("POST", f"/alerts/{OWN_ALERT}/notes", {"text": "x"}).status_code == 201


def test_without_a_folder_photos_are_refused_with_the_cause(context: ApiContext) -> None:
    nowhere = Person(create_app(replace(context, files=None)), "manager")
    refused = photo(nowhere, OWN_ALERT, PHOTO.read_bytes())
    assert refused.status_code == 503 and "folder" in refused.json()["detail"]


# -- on a phone ------------------------------------------------------------------------------------------------


@pytest.mark.browser
@pytest.mark.parametrize("language", ["zh", "en"])
def test_a_manager_notes_photographs_and_is_done(browser: Browser, served: Served, language: str) -> None:
    with visiting(browser, served, width=360) as visitor, Sounding(served):
        page = visitor.page
        visitor.log_in("manager")
        visitor.speak(language)
        visitor.go(f"#/alerts/{OWN_ALERT}")
        page.fill("[data-testid=handling-text]", "valve replaced 已更换阀门")
        page.click("[data-testid=handling-note]")
        expect(page.locator("[data-testid=handling] q")).to_have_text("valve replaced 已更换阀门")
        page.set_input_files("[data-testid=handling-photo]", PHOTO)
        expect(page.locator(".handling-photo")).to_have_js_property("naturalWidth", 512)
        page.click("[data-testid=handling-done]")
        expect(page.locator("[data-testid=handling] li")).to_have_count(3)
        visitor.shoot(f"handling-{language}-360")
        assert page.evaluate("document.documentElement.scrollWidth") <= 360
        assert visitor.faults() == []
