"""Downloads hold what the store holds."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable
from datetime import timedelta

import pyarrow.parquet as pq
import pytest

from store.series.export import KINDS
from store.series.interface import SeriesStore
from tests.api import seeding
from tests.api.conftest import Person

HOUR = {"start": "2026-03-02T10:00:00Z", "end": "2026-03-02T11:00:00Z"}


def test_a_csv_of_seconds_is_the_stored_seconds(person: Callable[..., Person], series: SeriesStore) -> None:
    answer = person("viewer").get("/exports/seconds", site=seeding.OWN_SITE, source="dong-men", **HOUR)
    assert answer.headers["content-type"] == "text/csv; charset=utf-8"
    assert answer.headers["content-disposition"] == (
        'attachment; filename="seconds_jing-yuan_dong-men_20260302T1000_20260302T1100.csv"'
    )
    rows = list(csv.DictReader(io.StringIO(answer.text)))
    start = seeding.NOW.replace(hour=10, minute=0, second=0)
    stored = series.noise_seconds(seeding.OWN_SITE, "dong-men", start, start + timedelta(hours=1))
    assert len(rows) == len(stored.t) == 3600
    assert [float(row["laeq_db"]) for row in rows] == pytest.approx(list(stored.laeq_db))
    assert rows[0]["t"] == "2026-03-02T10:00:00Z" and rows[0]["t_site"] == "2026-03-02T18:00:00+08:00"


def test_parquet_holds_the_same_as_csv(person: Callable[..., Person]) -> None:
    who = person("manager")
    query = {"site": seeding.OWN_SITE, **HOUR}
    for kind in ("seconds", "water", "water-hours"):
        table = pq.read_table(
            io.BytesIO(who.get(f"/exports/{kind}", **query, format="parquet").content)
        ).to_pylist()
        rows = list(csv.DictReader(io.StringIO(who.get(f"/exports/{kind}", **query).text)))
        place = "meter" if kind.startswith("water") else "device"
        assert len(rows) == len(table)
        assert [(r[place], r["t"]) for r in rows] == [
            (r[place], f"{r['t']:%Y-%m-%dT%H:%M:%SZ}") for r in table
        ]
    assert {r["device"] for r in csv.DictReader(io.StringIO(who.get("/exports/seconds", **query).text))} == {
        "dong-men",
        "zhong-ting",
    }


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_has_a_header_and_rows(person: Callable[..., Person], kind: str) -> None:
    who = person("viewer")
    query = {"site": seeding.OWN_SITE, "start": "2026-02-20T00:00:00Z", "end": "2026-03-02T14:00:00Z"}
    if kind == "seconds":
        query["start"] = "2026-03-02T13:30:00Z"
    lines = who.get(f"/exports/{kind}", **query).text.splitlines()
    assert lines[0].startswith("t,t_site,site,")
    if kind != "water-hours":  # none are stored in the seeded city
        assert len(lines) > 1


def test_what_is_not_there_is_told(person: Callable[..., Person]) -> None:
    who = person("manager")
    assert who.get("/exports/hours", site=seeding.OTHER_SITE).status_code == 404
    assert who.get("/exports/hours", site=seeding.OWN_SITE, source="bei-men").status_code == 404
    assert who.get("/exports/hours", site=seeding.OWN_SITE, source="gateway").status_code == 404
    assert who.get("/exports/hours", site=seeding.OWN_SITE, source="a\r\nX: y").status_code == 404
    assert who.get("/exports/everything", site=seeding.OWN_SITE).status_code == 422
    assert who.get("/exports/hours", site=seeding.OWN_SITE, format="xlsx").status_code == 422
    long = {"start": "2024-01-01T00:00:00Z", "end": "2026-01-01T00:00:00Z"}
    assert who.get("/exports/hours", site=seeding.OWN_SITE, **long).status_code == 422
