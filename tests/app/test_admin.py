import json
import sqlite3
import tomllib
from pathlib import Path

from store.registry.database import Registry
from tests.app.commands import run


def _new(data: Path) -> None:
    Registry.in_folder(data).close()


def test_a_quarter_is_made_step_by_step(tmp_path: Path) -> None:
    _new(tmp_path)
    run(
        "admin",
        "site",
        "add",
        "lake-side",
        "--zh",
        "湖畔小区",
        "--en",
        "Lakeside",
        "--zone",
        "1",
        data=tmp_path,
    )
    told = run(
        "admin",
        "device",
        "add",
        "lake-side",
        "gate",
        "--kind",
        "both",
        "--zh",
        "北门",
        "--en",
        "Gate",
        data=tmp_path,
    )
    table = tomllib.loads(told.split("password of")[0])
    assert (table["site"], table["device"]) == ("lake-side", "gate")
    run(
        "admin", "meter", "add", "lake-side", "flat-101", "--device", "gate", "--zh", "101室", "--en", "Flat 101",
        data=tmp_path,
    )  # fmt: skip
    run("admin", "user", "add", "wang", "--role", "manager", "--site", "lake-side", data=tmp_path)
    run("admin", "contact", "add", "wang", "json://127.0.0.1:9/x", data=tmp_path)
    listed = run("admin", "site", "list", data=tmp_path)
    assert "湖畔小区" in listed and "gate" in listed and "1 meters" in listed
    assert "manager" in run("admin", "user", "list", data=tmp_path)
    rows = (
        sqlite3.connect(tmp_path / "registry.sqlite")
        .execute("SELECT action, who, detail FROM audit_log")
        .fetchall()
    )
    assert [row[0] for row in rows] == ["site.add", "device.add", "meter.add", "user.add", "contact.add"]
    assert all(row[1].startswith("cli:") for row in rows)
    assert json.loads(rows[-1][2]) == {"scheme": "json"}, "an address holds secrets and is not logged"


def test_what_is_wrong_is_told_in_one_line_and_changes_nothing(tmp_path: Path) -> None:
    assert "there is no registry" in run("admin", "user", "list", data=tmp_path, expect=1)
    _new(tmp_path)
    told = run(
        "admin", "device", "add", "nowhere", "gate", "--kind", "noise", "--zh", "门", "--en", "Gate",
        data=tmp_path, expect=1,
    )  # fmt: skip
    assert told.strip() == "Error: there is no site 'nowhere'"
    assert "there is no user" in run("admin", "user", "password", "nobody", data=tmp_path, expect=1)
    assert sqlite3.connect(tmp_path / "registry.sqlite").execute(
        "SELECT count(*) FROM audit_log"
    ).fetchone() == (0,)
