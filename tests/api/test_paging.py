"""Pages of lists: every entry once, whatever comes and goes between two pages."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from api.app import create_app
from api.context import ApiContext
from api.paging import Page
from store.registry.provisioning import add_device, add_meter, add_site
from store.registry.users import create_user
from tests.api import seeding
from tests.api.conftest import Person

MANY = 230


@pytest.fixture
def crowded(context: ApiContext) -> ApiContext:
    with context.registry.session() as session:
        names = {"label_zh": "小区", "label_en": "Quarter", "now": seeding.NOW}
        for n in range(MANY):
            add_site(session, f"q{n:03d}", **names)
            add_device(session, "q000", f"d{n:03d}", kind="both", password="x" * 20, **names)
            role = ("household", "master", "public")[n % 3]
            add_meter(session, "q000", f"m{n:03d}", device="d000", role=role, **names)
    return context


def walked(who: Person, path: str, limit: int) -> list[str]:
    names, after = [], {}
    while True:
        answer = who.get(path, limit=limit, **after).json()
        assert len(answer["items"]) <= limit
        names += [one["name"] for one in answer["items"]]
        if answer["next"] is None:
            return names
        assert len(answer["items"]) == limit
        after = {"after": answer["next"]}


@pytest.mark.parametrize("path", ["/sites", "/sites/q000/devices", "/sites/q000/meters", "/users"])
def test_pages_hold_what_the_whole_list_holds_in_its_order(crowded: ApiContext, path: str) -> None:
    if path == "/users":
        with crowded.registry.session() as session:
            # Hashing passwords is slow on purpose; the list does not care.
            for n in range(6):
                create_user(session, f"p{n}", "correct-horse-battery", role="bureau", now=seeding.NOW)
    who = Person(create_app(crowded), "admin")
    whole = who.get(path).json()
    assert whole["next"] is None
    names = [one["name"] for one in whole["items"]]
    assert len(names) >= (6 if path == "/users" else MANY)
    for limit in (1, 7, 1000) if path == "/users" else (50, 1000):
        assert walked(who, path, limit) == names


def test_a_manager_walks_over_their_own_quarters_alone(crowded: ApiContext) -> None:
    who = Person(create_app(crowded), "manager")
    assert walked(who, "/sites", 1) == [one["name"] for one in who.get("/sites").json()["items"]] != []
    assert who.get("/sites", after="a", limit=1000).json()["items"][0]["name"] == seeding.OWN_SITE


def test_a_page_that_cannot_be_is_refused(context: ApiContext) -> None:
    who = Person(create_app(context), "admin")
    for asked in ({"limit": 0}, {"limit": 1001}, {"limit": "x"}, {"after": "x" * 101}):
        assert who.get("/sites", **asked).status_code == 422


@given(st.sets(st.text("abc", min_size=1)), st.sets(st.text("abc", min_size=1)), st.integers(1, 5))
def test_what_comes_and_goes_between_pages_hides_nothing_else(before, later, limit) -> None:
    seen, after = [], None
    while True:
        cut = Page(limit, after).of(before if after is None else later, lambda one: one)
        seen += cut.rows
        after = cut.next
        if after is None:
            break
    assert len(seen) == len(set(seen)) and set(seen) >= before & later
