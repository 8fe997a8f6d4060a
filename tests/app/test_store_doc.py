"""docs/store.md names what there is: tables, kinds, commands, options, times."""

from __future__ import annotations

import re
from pathlib import Path

import click

from app.cli import main
from store.series.duckdb_store import DuckDbStore
from store.series.export import KINDS
from store.series.retention import Retention

DOC = (Path(__file__).parents[2] / "docs" / "store.md").read_text()


def _options(name: str) -> set[str]:
    command = main.get_command(click.Context(main), name)
    assert command is not None
    return {option for one in command.params for option in one.opts}


def test_every_table_is_there(tmp_path: Path) -> None:
    store = DuckDbStore(tmp_path / "series.duckdb", memory_mb=256, threads=1)
    tables = {
        name for name in store.rows() if not name.endswith("_superseded") and name != "quietwater_store"
    }
    store.close()
    section = DOC.split("## How long")[0]
    named = {
        name
        for line in section.splitlines()
        if line.startswith("| `")
        for name in re.findall(r"`(\w+)`", line.split("|")[1])
    }
    assert named == tables


def test_every_kind_of_export_is_there() -> None:
    section = DOC.split("## Get it out")[1].split("## Keep it safe")[0]
    assert tuple(re.findall(r"^\| `([a-z-]+)` \|", section, re.MULTILINE)) == KINDS


def test_commands_take_the_options_that_are_shown() -> None:
    shown = re.findall(r"^quietwater (\w+)(.*)$", DOC, re.MULTILINE)
    assert {name for name, _ in shown} == {"export", "backup", "restore"}
    for name, words in shown:
        assert set(re.findall(r"--[a-z-]+", words.split("#")[0])) <= _options(name)
    for name in ("up", "ingest", "analysis", "serve"):
        assert {"--keep-seconds", "--keep-minutes"} <= _options(name)


def test_the_times_are_the_defaults() -> None:
    assert (Retention().seconds_days, Retention().minutes_days) == (90, 3 * 365)
    assert "| seconds of noise | 90 days | `--keep-seconds DAYS`, `QUIETWATER_KEEP_SECONDS` |" in DOC
    assert "| 3 years | `--keep-minutes DAYS`, `QUIETWATER_KEEP_MINUTES` |" in DOC
