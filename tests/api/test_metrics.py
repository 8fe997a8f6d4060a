"""/metrics, read by Prometheus' own parser."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta

from fastapi import FastAPI
from prometheus_client.parser import text_string_to_metric_families

from api.app import create_app
from api.context import ApiContext
from tests.api import seeding
from tests.api.conftest import Person, SetClock
from tests.api.test_tokens import program


def numbers(text: str) -> dict[tuple[str, tuple[tuple[str, str], ...]], float]:
    return {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def test_the_numbers_are_those_of_the_server(context: ApiContext) -> None:
    def broken() -> dict[str, float]:
        raise OSError("gone")

    clock = SetClock(seeding.NOW + timedelta(seconds=90))
    parts = {
        "ingest": lambda: {"readings_stored_total": 12.0, "readings_late_total": 3, "waiting": 0.0},
        "analysis": broken,
    }
    app = create_app(replace(context, metrics=parts, clock=clock))
    who = Person(app, "bureau")
    assert who.get("/sites").status_code == 200 and who.get("/nowhere").status_code == 404
    told = numbers(program(Person(app, "admin"), "metrics").get("/metrics").text)
    assert told["quietwater_ingest_readings_stored_total", ()] == 12
    assert told["quietwater_ingest_readings_late_total", ()] == 3
    assert told["quietwater_sites", ()] == len(seeding.SITES)
    assert told["quietwater_devices", (("state", "offline"),)] == 2
    assert told["quietwater_outbox_depth_sum", ()] == 4 * 7 and told["quietwater_outbox_depth_max", ()] == 4
    assert told["quietwater_quarantined", (("code", "bad_payload"),)] == 1
    assert told["quietwater_alerts", (("state", "firing"),)] == 2
    assert told["quietwater_newest_reading_lag_seconds", ()] >= 90
    asked = (("operation", "list_sites"), ("status", "2xx"))
    assert told["quietwater_http_request_seconds_count", asked] == 1
    assert not any(name.startswith("quietwater_analysis") for name, _ in told)


def test_every_number_has_a_kind_and_words(person: Callable[..., Person], app: FastAPI) -> None:
    answer = person("admin").http.get("/metrics")
    assert answer.headers["content-type"].startswith("text/plain; version=0.0.4")
    families = list(text_string_to_metric_families(answer.text))
    assert len(families) >= 10
    assert all(one.documentation and one.type in ("counter", "gauge", "histogram") for one in families)
    assert person("viewer").http.get("/metrics").status_code == 403
