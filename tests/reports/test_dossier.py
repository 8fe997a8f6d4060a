"""The dossier as a report: what the API says of it, in print and as a workbook; a frozen version stays as it was."""

from __future__ import annotations

import io
from collections.abc import Iterator

import openpyxl
import pytest
from fastapi import FastAPI
from pypdf import PdfReader

from api.app import create_app
from api.context import ApiContext
from tests.api.conftest import Person
from tests.reports.test_ordering import made

SITE = "/sites/jing-yuan"


@pytest.fixture
def app(context: ApiContext) -> Iterator[FastAPI]:
    app = create_app(context)
    yield app
    app.state.reports.close()


def file(app: FastAPI, who: Person, programme: str = "quiet-2002", **body) -> tuple[dict, bytes]:
    done = made(app, who, f"{SITE}/dossiers/{programme}/reports", **body)
    assert done["state"] == "done", done
    return done, who.get(f"/reports/{done['id']}/file").content


def rows(book, title: str) -> list[dict]:
    lines = list(book[title].iter_rows(values_only=True))
    return [dict(zip(lines[0], line, strict=True)) for line in lines[1:]]


def test_the_workbook_says_what_the_api_says(app: FastAPI) -> None:
    who = Person(app, "committee")
    entry = {"kind": "complaint", "topic": "noise", "received_on": "2026-02-03", "about": "=夜间施工"}
    assert who.send("POST", f"{SITE}/dossier/entries", entry).status_code == 201
    told = who.get(f"{SITE}/dossiers/quiet-2002").json()
    done, body = file(app, who, language="en")
    assert (done["kind"], done["period"], done["version"]) == ("dossier", "quiet-2002", None)
    assert done["file_name"] == "quietwater-jing-yuan-quiet-2002-en.xlsx"
    book = openpyxl.load_workbook(io.BytesIO(body))
    shown = rows(book, "Indicators")
    assert len(shown) == len(told["indicators"])
    for row, line in zip(shown, told["indicators"], strict=True):
        assert row["What"] == line["label"]["en"]
        assert row["Value"] == (None if line["value"] is None else pytest.approx(line["value"], rel=1e-14))
        assert row["Result"] == line["value_text"]["en"]
        assert row["Mark"] == line["origin"]["verified"] and row["Gained"] == line["gained"]
    assert [row["What"] for row in rows(book, "Gaps")] == [gap["label"]["en"] for gap in told["gaps"]]
    assert rows(book, "Complaints and their handling")[0]["about"] == "=夜间施工"
    links = [row["Figure link"] for row in rows(book, "Provenance")]
    assert len(links) > 3 and all(who.http.get(link).status_code == 200 for link in links)
    assert all(sheet.freeze_panes == "A2" for sheet in book)


def test_a_frozen_version_stays_what_it_was_and_carries_its_digest(app: FastAPI, pango: None) -> None:
    who = Person(app, "committee")
    frozen = who.send("POST", f"{SITE}/dossiers/quiet-2002/versions", {"note": "申报稿"}).json()
    before = who.get(f"{SITE}/dossiers/quiet-2002").json()
    entry = {"kind": "complaint", "topic": "noise", "received_on": "2026-02-03", "about": "后来的投诉"}
    assert who.send("POST", f"{SITE}/dossier/entries", entry).status_code == 201
    done, body = file(app, who, version=frozen["number"], format="pdf", language="zh")
    assert done["version"] == 1 and done["file_name"].endswith("-v1-zh.pdf")
    reader = PdfReader(io.BytesIO(body))
    text = "".join(page.extract_text() for page in reader.pages)
    assert frozen["sha256"] in text.replace("\n", "") and "后来的投诉" not in text
    assert "静园小区申报台账" in text and f"{before['score']:.1f}" in text
    assert "不具备申报条件" in text or "具备申报条件" in text


def test_a_version_or_programme_that_is_not_there_is_told(app: FastAPI) -> None:
    who = Person(app, "committee")
    missing = who.send("POST", f"{SITE}/dossiers/quiet-2002/reports", {"version": 9})
    assert (missing.status_code, missing.json()["code"]) == (404, "not_found")
    assert who.send("POST", f"{SITE}/dossiers/nothing/reports", {}).status_code == 422
    assert who.send("POST", "/sites/hu-pan/dossiers/quiet-2002/reports", {}).status_code == 404


@pytest.mark.parametrize("programme", ["ningjing", "water-saving"])
def test_every_programme_has_a_report(app: FastAPI, programme: str) -> None:
    done, body = file(app, Person(app, "bureau"), programme, language="zh")
    assert done["state"] == "done" and body[:2] == b"PK"
