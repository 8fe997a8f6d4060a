"""``quietwater leaks``: run the leak detectors over files of readings and write the alarms."""

from __future__ import annotations

import csv
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final, NamedTuple, TextIO, TypeVar

import click

from analysis.leaks import files
from analysis.leaks.alarm import METER_KINDS, Alarm, Detector
from analysis.leaks.tables import BadTable
from analysis.leaks.texts import Language, explain

T = TypeVar("T")
HEADER: Final = ("unit", "t", "kind", "flow_lph", "explanation")


class _Unit(NamedTuple):
    """One unit to be run: its name, a fresh detector and its rows, ascending in time."""

    name: str
    detector: Detector[Any]
    rows: Sequence[Any]


class _Output(NamedTuple):
    """Where alarms go: every line is on its way to the disk before the next row is looked at."""

    file: TextIO
    language: Language
    faults: bool

    def head(self) -> None:
        csv.writer(self.file, lineterminator="\n").writerow(HEADER)
        self.file.flush()

    def write(self, unit: str, alarm: Alarm) -> bool:
        """Write an alarm, unless it is of a kind that is not asked for."""
        if alarm.kind in METER_KINDS and not self.faults:
            return False
        t = alarm.t.replace(tzinfo=None).isoformat(sep=" ", timespec="seconds")
        fields = (unit, t, alarm.kind, f"{alarm.flow_lph:.2f}", explain(alarm, self.language))
        csv.writer(self.file, lineterminator="\n").writerow(fields)
        self.file.flush()
        return True


_FILES: Final = click.argument(
    "paths", metavar="FILE...", nargs=-1, required=True,
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
)  # fmt: skip
_OUT: Final = click.option(
    "--out", type=click.Path(dir_okay=False, allow_dash=True, path_type=Path), default=Path("-"), metavar="CSV",
    help="Where the alarms go; - (as without it) is the standard output.",
)  # fmt: skip
_LANGUAGE: Final = click.option(
    "--language",
    type=click.Choice(["en", "zh"]),
    default="en",
    show_default=True,
    help="Of the explanations.",
)


@click.group("leaks")
def leaks() -> None:
    """Find leaks in files of meter readings, as they would have been found live.

    Writes a line for each alarm: unit, t, kind, flow_lph, explanation. A detector is given the readings one by one and
    knows nothing of those after an alarm's time t. Times are the file's own clock times. Files are CSV, gzipped or
    not, with a first line that names the columns.

    \b
    Examples:
      quietwater leaks household readings.csv.gz --out alarms.csv
      quietwater leaks quarter garden.csv north.csv --out -
      quietwater leaks district inflow.csv --flow-unit m3/h --language zh
    """


@leaks.command("household")
@_FILES
@_OUT
@_LANGUAGE
@click.option("--step-l", type=click.FloatRange(0.0, 1000.0, min_open=True), default=1.0, show_default=True,
              help="The registers' finest step, litres.")  # fmt: skip
@click.option(
    "--faults", is_flag=True, help="Also what is wrong with a meter: backflow, stuck, silent, jump."
)
def household(paths: tuple[Path, ...], out: Path, language: Language, step_l: float, faults: bool) -> None:
    """Leaks behind household meters: flow that never rests, bursts, toilets that run again and again.

    Needs the columns meter, t and reading_l (the register in litres, about every hour). Others are not looked at.

    \b
    Examples:
      quietwater leaks household readings.csv.gz --out alarms.csv
      quietwater leaks household 2025.csv 2026.csv --step-l 10 --faults
    """
    from analysis.leaks.household import HouseholdConfig, HouseholdDetector

    config = HouseholdConfig(step_l=step_l)
    by_meter = _read(lambda: files.household_readings(paths))
    _run(
        (_Unit(meter, HouseholdDetector(config), list(files.household_rows(by_meter[meter]))) for meter in by_meter),
        len(by_meter), out, language, faults,
    )  # fmt: skip


@leaks.command("quarter")
@_FILES
@_OUT
@_LANGUAGE
@click.option("--step-l", type=click.FloatRange(0.0, 10_000.0, min_open=True), default=10.0, show_default=True,
              help="The master meter's finest step, litres.")  # fmt: skip
def quarter(paths: tuple[Path, ...], out: Path, language: Language, step_l: float) -> None:
    """Leaks between a quarter's master meter and its sub-meters.

    A file is a quarter. It needs the columns t and master_l; every other column is a sub-meter. All are registers in
    litres, hour by hour; an empty field is a reading that is missing. The unit is the number after "quarter" in the
    file's name where every file has another one, else the file's place in the command: 1, 2, 3, …

    \b
    Examples:
      quietwater leaks quarter quarter1.csv.gz quarter2.csv.gz --out alarms.csv
      quietwater leaks quarter garden.csv --out -
    """
    from analysis.leaks.quarter import QuarterConfig, QuarterDetector

    config = QuarterConfig(master_step_l=step_l)
    names = files.quarter_names(paths)
    for name, path in zip(names, paths, strict=True):
        click.echo(f"unit {name}: {path}", err=True)
    rows = _read(lambda: [files.quarter_rows(path) for path in paths])
    units = (_Unit(name, QuarterDetector(config), one) for name, one in zip(names, rows, strict=True))
    _run(units, len(paths), out, language, faults=False)


@leaks.command("district")
@_FILES
@_OUT
@_LANGUAGE
@click.option("--flow-unit", type=click.Choice(list(files.LITRES_AN_HOUR)), default="l/s", show_default=True,
              help="Unit of the inflow.")  # fmt: skip
def district(paths: tuple[Path, ...], out: Path, language: Language, flow_unit: str) -> None:
    """Leaks in districts with a metered inflow: the night flow and the whole day's, without season and weekday.

    Needs the column t, at which a value's hour begins; every other column is a district's net inflow. An empty field
    is a value that is missing.

    \b
    Examples:
      quietwater leaks district inflow.csv.gz --out alarms.csv
      quietwater leaks district inflow.csv --flow-unit m3/h --out -
    """
    from analysis.leaks.district import DistrictDetector

    by_area = _read(lambda: files.district_inflows(paths, flow_unit))
    units = (_Unit(area, DistrictDetector(), rows) for area, rows in by_area.items())
    _run(units, len(by_area), out, language, faults=False)


def _read(read: Callable[[], T]) -> T:
    try:
        return read()
    except BadTable as error:
        raise click.ClickException(str(error)) from error


def _run(units: Iterable[_Unit], count: int, out: Path, language: Language, faults: bool) -> None:
    written: dict[str, int] = {}
    with _opened(out) as file:
        output = _Output(file, language, faults)
        output.head()
        with click.progressbar(units, length=count, label="leaks", file=sys.stderr) as bar:
            for unit in bar:
                written[unit.name] = sum(output.write(unit.name, alarm) for alarm in _alarms(unit))
    click.echo(f"{sum(written.values())} alarms of {len(written)} units", err=True)


def _alarms(unit: _Unit) -> Iterator[Alarm]:
    for row in unit.rows:
        yield from unit.detector.update(row)


@contextmanager
def _opened(out: Path) -> Iterator[TextIO]:
    if str(out) == "-":
        yield sys.stdout
        return
    try:
        with out.open("w", encoding="utf-8", newline="") as file:
            yield file
    except OSError as error:
        raise click.ClickException(f"{out} cannot be written: {error.strerror}") from error
