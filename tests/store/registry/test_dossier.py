"""Tables of the dossier: entries, surveys, versions, files."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pytest
from sqlalchemy.exc import IntegrityError

from store.registry import dossier
from store.registry.attached_files import SUFFIXES, BadFile, FileFolder, media_type, safe_name
from store.registry.database import Registry
from store.registry.provisioning import add_site

NOW = datetime(2026, 3, 1, 4, tzinfo=UTC)
PNG = b"\x89PNG\r\n\x1a\n" + b"\0" * 20


@pytest.fixture
def registry(tmp_path: Path) -> Iterator[Registry]:
    registry = Registry.in_folder(tmp_path)
    with registry.session() as session:
        for name in ("a", "b"):
            add_site(session, name, label_zh="甲", label_en="A", now=NOW)
    yield registry
    registry.close()


def test_an_entry_is_changed_only_from_the_version_that_was_read(registry: Registry) -> None:
    with registry.session() as session:
        row = dossier.add_entry(session, "a", "rule", {"title": "x"}, who="li", now=NOW)
        dossier.change_entry(session, row, {"title": "y"}, who="li", now=NOW, expected_version=1)
        with pytest.raises(dossier.ChangedMeanwhile, match="2 now"):
            dossier.change_entry(session, row, {"title": "z"}, who="bo", now=NOW, expected_version=1)
        assert (row.data, row.version) == ({"title": "y"}, 2)
        assert dossier.find_entry(session, "b", row.id) is None
        row.removed_at = NOW
        assert dossier.find_entry(session, "a", row.id) is None and dossier.entries_of(session, "a") == []


def test_entries_come_in_pages_newest_first(registry: Registry) -> None:
    with registry.session() as session:
        made = [
            dossier.add_entry(session, "a", kind, {}, who="li", now=NOW).id
            for kind in ("rule", "source", "rule", "rule")
        ]
        first = dossier.entries_of(session, "a", "rule", limit=2)
        assert [one.id for one in first] == [made[3], made[2]]
        assert [one.id for one in dossier.entries_of(session, "a", "rule", before_id=made[2])] == [made[0]]


def test_a_register_has_a_bound(registry: Registry, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dossier, "MOST_ENTRIES", 1)
    with registry.session() as session:
        dossier.add_entry(session, "a", "rule", {}, who="li", now=NOW)
        with pytest.raises(dossier.TooMany, match="1 entries"):
            dossier.add_entry(session, "a", "rule", {}, who="li", now=NOW)
        dossier.add_entry(session, "b", "rule", {}, who="li", now=NOW)


def test_a_profile_keeps_what_is_not_replaced(registry: Registry) -> None:
    with registry.session() as session:
        assert dossier.profile_of(session, "a") is None
        dossier.keep_profile(session, "a", who="li", now=NOW, data={"households": 3}, expected_version=0)
        row = dossier.keep_profile(
            session, "a", who="li", now=NOW, overrides={"ningjing": {}}, expected_version=1
        )
        assert (row.version, row.data, row.overrides) == (2, {"households": 3}, {"ningjing": {}})
        with pytest.raises(dossier.ChangedMeanwhile):
            dossier.keep_profile(session, "a", who="bo", now=NOW, data={}, expected_version=1)


def survey(session) -> dossier.Survey:
    return dossier.open_survey(
        session, "a", topic="noise", title_zh="问", title_en="Q", questions=[{"id": "overall", "zh": "问", "en": "Q"}],
        now=NOW, closes_at=NOW + timedelta(days=7), who="li",
    )  # fmt: skip


def test_a_browser_answers_once_and_leaves_no_trace_of_itself(registry: Registry) -> None:
    with registry.session() as session:
        first, second = survey(session), survey(session)
        assert first.token != second.token and len(first.token) >= 16
        dossier.add_answer(session, first, "browser-1", {"overall": 5}, date(2026, 3, 1))
        with pytest.raises(dossier.AnsweredAlready):
            dossier.add_answer(session, first, "browser-1", {"overall": 1}, date(2026, 3, 1))
        dossier.add_answer(session, second, "browser-1", {"overall": 2}, date(2026, 3, 1))
        assert dossier.answers_of(session, first.id) == [{"overall": 5}]
        kept = (
            session.connection()
            .exec_driver_sql("SELECT browser, answered_on FROM dossier_survey_answers")
            .all()
        )
        assert len({bytes(one) for one, _ in kept}) == 2, (
            "answers of two surveys must not be joined by the browser"
        )
        assert all(b"browser-1" not in bytes(one) and day == "2026-03-01" for one, day in kept)
        assert dossier.linked_survey(session, first.token) is first
        assert dossier.linked_survey(session, "nothing") is None


def test_a_frozen_version_can_be_neither_changed_nor_removed_nor_made_twice(registry: Registry) -> None:
    with registry.session() as session:
        one = _version(session, None)
        two = _version(session, one)
        assert (one.number, two.number, two.previous_sha256) == (1, 2, one.sha256)
        assert [row.number for row in dossier.versions_of(session, "a", "ningjing")] == [2, 1]
    with pytest.raises(RuntimeError, match="never changed"), registry.session() as session:
        session.merge(one).document = "other"
    with pytest.raises(RuntimeError, match="never changed"), registry.session() as session:
        session.delete(session.merge(one))
    with pytest.raises(IntegrityError), registry.session() as session:
        _version(session, one)


def _version(session, previous):
    return dossier.keep_version(
        session, "a", "ningjing", document="{}", sha256="1" * 64, previous=previous, score=80.0, passed=True, note="",
        who="li", now=NOW,
    )  # fmt: skip


def office(*names: str) -> bytes:
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w") as archive:
        for name in names:
            archive.writestr(name, "x")
    return made.getvalue()


@pytest.mark.parametrize(
    ("content", "found"),
    [
        (b"%PDF-1.7 ...", "application/pdf"),
        (PNG, "image/png"),
        (b"\xff\xd8\xff\xe0....", "image/jpeg"),
        (b"RIFF\0\0\0\0WEBPVP8 ", "image/webp"),
        (office("[Content_Types].xml", "word/document.xml"), list(SUFFIXES)[4]),
        (office("[Content_Types].xml", "xl/workbook.xml"), list(SUFFIXES)[5]),
    ],
)
def test_a_file_is_known_by_its_content(content: bytes, found: str) -> None:
    assert media_type(content) == found


@pytest.mark.parametrize(
    "content",
    [
        b"", b"<script>alert(1)</script>", b"<svg xmlns='http://www.w3.org/2000/svg'/>", b"MZ\x90\0", b"#!/bin/sh",
        b"GIF89a", b"PK\x03\x04damaged", office("readme.txt"),
        office("[Content_Types].xml", "word/document.xml", "word/vbaProject.bin"),
    ],
)  # fmt: skip
def test_what_is_not_a_document_or_photo_is_refused(content: bytes) -> None:
    with pytest.raises(BadFile):
        media_type(content)


@pytest.mark.parametrize(
    ("given", "safe"),
    [
        ("照片 1.PNG", "照片 1.png"),
        ("../../etc/passwd", "passwd.png"),
        ("C:\\temp\\a.png", "a.png"),
        ("a.png\r\nX-Evil: 1", "a.pngX-Evil_ 1.png"),
        ('x";filename="y.html', "x__filename=_y.html.png"),
        ("", "file.png"), ("...", "file.png"), (".png", "png.png"),
        ("con.png", "_con.png"), ("a\u202egnp.exe", "agnp.exe.png"), ("a" * 300 + ".png", "a" * 100 + ".png"),
    ],
)  # fmt: skip
def test_a_name_is_only_a_name(given: str, safe: str) -> None:
    assert safe_name(given, "image/png") == safe


def test_bytes_lie_under_their_digest_and_nowhere_else(tmp_path: Path) -> None:
    folder = FileFolder(tmp_path / "files")
    digest = folder.keep(PNG)
    assert folder.keep(PNG) == digest
    assert [one.name for one in (tmp_path / "files").rglob("*") if one.is_file()] == [digest]
    assert folder.read(digest) == PNG
    assert folder.read("0" * 64) is None
    (tmp_path / "files" / digest[:2] / digest).write_bytes(b"other")
    assert folder.read(digest) is None
    with pytest.raises(ValueError, match="SHA-256"):
        folder.read("../../etc/passwd")
