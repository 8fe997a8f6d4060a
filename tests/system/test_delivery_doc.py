"""docs/delivery.md names tests that are there."""

import re
from pathlib import Path

import pytest

PROJECT = Path(__file__).parents[2]
TEXT = (PROJECT / "docs" / "delivery.md").read_text()
NAMED = sorted(set(re.findall(r"`(tests/[\w/]+\.py)::(test_\w+)`", TEXT)))


def test_every_promise_has_something_that_shows_it():
    table = TEXT.split("## What is promised, and what shows it")[1].split("\n## ")[0]
    rows = [row for row in table.splitlines() if row.startswith("| ")][2:]
    assert len(rows) > 20
    assert [row for row in rows if "tests/" not in row] == []


@pytest.mark.parametrize(("path", "name"), NAMED)
def test_a_test_that_the_document_names_is_there(path, name):
    assert f"\ndef {name}(" in (PROJECT / path).read_text()


def test_the_programs_that_the_document_names_are_there():
    for module in re.findall(r"`python -m ([\w.]+)", TEXT):
        path = PROJECT / module.replace(".", "/")
        assert path.with_suffix(".py").exists() or (path / "__main__.py").exists(), module
