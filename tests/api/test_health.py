"""/healthz and /readyz: alive is not ready, and what fails is named."""

from __future__ import annotations

from dataclasses import replace

from api.app import create_app
from api.context import ApiContext
from tests.api.conftest import Person


def test_a_part_that_does_not_work_makes_not_ready_but_alive(context: ApiContext) -> None:
    works = {"ingest": False, "loop": True}
    parts = replace(
        context, ready={"ingest": lambda: works["ingest"]}, alive={"ingest": lambda: works["loop"]}
    )
    http = Person(create_app(parts), "viewer").http
    answer = http.get("/readyz")
    assert answer.status_code == 503
    assert answer.json() == {"ready": False, "parts": {"registry": True, "series": True, "ingest": False}}
    assert (http.get("/healthz").status_code, http.get("/healthz").json()["stuck"]) == (200, [])
    works.update(ingest=True, loop=False)
    assert http.get("/readyz").json()["ready"] is True
    stuck = http.get("/healthz")
    assert (stuck.status_code, stuck.json()["stuck"]) == (503, ["ingest"])
