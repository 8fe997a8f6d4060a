"""docs/leaks.md: its examples are run, and it names every kind of alarm and every bound that it tells of."""

from __future__ import annotations

import doctest
from pathlib import Path
from typing import get_args

from analysis.leaks import flowstats
from analysis.leaks.alarm import AlarmKind
from analysis.leaks.quarter import QuarterConfig
from analysis.leaks.uplift import UpliftConfig

DOC = Path(__file__).parents[3] / "docs" / "leaks.md"


def test_every_example_gives_what_it_says() -> None:
    result = doctest.testfile(str(DOC), module_relative=False, optionflags=doctest.FAIL_FAST)
    assert result.failed == 0 and result.attempted > 10


def test_every_kind_and_bound_is_told() -> None:
    text = " ".join(DOC.read_text(encoding="utf-8").split())
    assert [kind for kind in get_args(AlarmKind) if f"`{kind}`" not in text] == []
    floors = dict(flowstats.FLOORS)
    assert (
        f"({floors[2]} L/h for 2 hours, {floors[8]} for 8, {floors[24]} for 24, {floors[36]} for 36)" in text
    )
    uplift, quarter = UpliftConfig(), QuarterConfig()
    for told in (
        f"{quarter.certainty} standard deviations", f"{uplift.certainty} times that",
        f"{100 * uplift.least_share:.1f} % of the mean inflow", f"less than {100 * uplift.steady:.0f} % of it",
        f"less than {100 * uplift.even:.0f} %", f"{uplift.baseline_d} days before", f"{uplift.accepted_d} days counts",
    ):  # fmt: skip
        assert told in text
