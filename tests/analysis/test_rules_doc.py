"""docs/rules.md: its examples are run, and every rule and parameter is in it with its default."""

import doctest
import json
import re
from pathlib import Path
from typing import Any

import pytest

from analysis.rules.catalog import new_kinds
from analysis.rules.edit import effective
from analysis.rules.kinds import RuleParams

DOC = Path(__file__).parents[2] / "docs" / "rules.md"
TEXT = DOC.read_text()
SHARED = effective(RuleParams())
_ROW = re.compile(r"^\| `(\w+)` \| (.*?) \|", re.MULTILINE)


def test_every_example_gives_what_it_says() -> None:
    result = doctest.testfile(str(DOC), module_relative=False, optionflags=doctest.FAIL_FAST)
    assert result.failed == 0 and result.attempted > 60


def _section(kind: str) -> str:
    found = re.search(rf"^### {kind}$(.*?)(?=^##)", TEXT, re.MULTILINE | re.DOTALL)
    assert found, f"docs/rules.md has no section for {kind}"
    return found[1]


def _shown(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)


@pytest.mark.parametrize("kind", sorted(new_kinds()))
def test_every_parameter_is_told_with_its_default(kind: str) -> None:
    told = dict(_ROW.findall(_section(kind)))
    params = effective(new_kinds()[kind].params())
    own = {key: value for key, value in params.items() if key not in SHARED or value != SHARED[key]}
    assert told == {key: _shown(value) for key, value in own.items()}


def test_the_shared_parameters_are_told_once() -> None:
    table = TEXT[TEXT.index("Every kind of rule has these parameters") : TEXT.index("## Rules of noise")]
    assert dict(_ROW.findall(table)) == {key: _shown(value) for key, value in SHARED.items()}
