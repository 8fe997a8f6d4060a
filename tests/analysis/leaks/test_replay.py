"""A detector knows nothing but the past: fed line by line it alarms as it does over the whole file."""

from __future__ import annotations

import gzip
from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from analysis.leaks import files
from analysis.leaks.alarm import Alarm
from analysis.leaks.cli import leaks
from analysis.leaks.district import DistrictConfig, DistrictDetector
from analysis.leaks.household import HouseholdConfig, HouseholdDetector
from analysis.leaks.quarter import QuarterConfig, QuarterDetector

DATA = Path(__file__).parents[2] / "data" / "leaks"
Restore = Callable[[bytes], Any]


def _household() -> Iterator[tuple[Sequence[Any], Any, Restore]]:
    config = HouseholdConfig()
    for readings in files.household_readings([DATA / "household.csv.gz"]).values():
        rows = list(files.household_rows(readings))
        yield rows, HouseholdDetector(config), lambda data: HouseholdDetector.restore(config, data)


def _quarter() -> Iterator[tuple[Sequence[Any], Any, Restore]]:
    config = QuarterConfig()
    rows = files.quarter_rows(DATA / "quarter.csv.gz")
    yield rows, QuarterDetector(config), lambda data: QuarterDetector.restore(config, data)


def _district() -> Iterator[tuple[Sequence[Any], Any, Restore]]:
    config = DistrictConfig()
    for rows in files.district_inflows([DATA / "district.csv.gz"]).values():
        yield rows, DistrictDetector(config), lambda data: DistrictDetector.restore(config, data)


def _whole(rows: Iterable[Any], detector: Any) -> list[Alarm]:
    return [alarm for row in rows for alarm in detector.update(row)]


def _hour_by_hour(rows: Iterable[Any], detector: Any, restore: Restore, every: int) -> list[Alarm]:
    """Feed one row at a time to a detector that knows only what it wrote down after the one before."""
    alarms: list[Alarm] = []
    for number, row in enumerate(rows):
        if number % every == 0:
            detector = restore(detector.dump())
        new = detector.update(row)
        assert all(row.t < alarm.t <= row.end and alarm.since < alarm.t for alarm in new)
        assert all(point.t <= row.end for alarm in new for point in alarm.evidence)
        alarms += new
    return alarms


@pytest.mark.parametrize(("units", "every"), [(_household, 1), (_quarter, 12), (_district, 1)])
def test_hour_by_hour_it_alarms_as_over_the_whole_file(units: Callable[[], Any], every: int) -> None:
    found = 0
    for rows, detector, restore in units():
        expected = _whole(rows, detector)
        again = _hour_by_hour(rows, restore(_fresh(restore, detector)), restore, every)
        assert [_told(one) for one in again] == [_told(one) for one in expected]
        found += len(expected)
    assert found


def _fresh(restore: Restore, used: Any) -> bytes:
    return type(used)().dump()


def _told(alarm: Alarm) -> tuple[datetime, str, datetime, float, int]:
    return alarm.t, alarm.kind, alarm.since, pytest.approx(alarm.flow_lph), len(alarm.evidence)


@pytest.mark.parametrize("kind", ["household", "quarter", "district"])
def test_the_end_of_a_file_does_not_change_what_was_told_before_it(kind: str, tmp_path: Path) -> None:
    """A file cut off in the middle gives the whole file's alarms up to there, and no others."""
    source = DATA / f"{kind}.csv.gz"
    whole = _alarms(kind, source)
    assert whole
    cut = datetime.fromisoformat(whole[-1].split(",")[1]) + timedelta(hours=1)
    with gzip.open(source, "rt", encoding="utf-8") as file:
        head, *lines = file.readlines()
    column = head.strip().split(",").index("t")
    kept = [
        line for line in lines if datetime.fromisoformat(line.split(",")[column]).replace(tzinfo=None) < cut
    ]
    part = tmp_path / "part.csv"
    part.write_text(head + "".join(kept), encoding="utf-8")
    assert len(kept) < len(lines)
    assert _alarms(kind, part) == [one for one in whole if datetime.fromisoformat(one.split(",")[1]) <= cut]


def _alarms(kind: str, path: Path) -> list[str]:
    result = CliRunner().invoke(leaks, [kind, str(path)])
    assert result.exit_code == 0, result.output
    return result.stdout.splitlines()[1:]
