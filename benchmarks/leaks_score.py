"""How well the leak detectors find labelled leaks, beside naive rules and chance. One command prints the table.

    python -m benchmarks.leaks_score FOLDER                    all kinds of the folder's files *_dev
    python -m benchmarks.leaks_score FOLDER --kind district
    python -m benchmarks.leaks_score FOLDER --injected 3       leaks of own making, of three seeds, in the real use

FOLDER holds ``leakbench_{household,quarter1…,dma}_dev.csv.gz`` with ``…_labels.csv``, and for --injected and --raw the
unlabelled ``daiad_alicante_hourly_dev.csv.gz`` and ``bwdf_dma_hourly_dev.csv.gz``.
"""

from __future__ import annotations

import csv
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, Final, NamedTuple

import click
import numpy as np

from analysis.leaks import files
from analysis.leaks.alarm import Alarm
from analysis.leaks.district import DistrictDetector
from analysis.leaks.household import HouseholdDetector
from analysis.leaks.quarter import QuarterDetector
from benchmarks.leaks import inject, naive
from benchmarks.leaks.score import WITHIN_D, Leak, Spans, by_chance, score

KINDS: Final = ("household", "quarter", "district")
_FAULTS: Final = ("backflow", "stuck")
"""Labels of meter faults, which are no leaks."""
_NAIVE: Final[dict[str, Callable[[Any], list[datetime]]]] = {
    "household": naive.household, "quarter": naive.quarter, "district": naive.district,
}  # fmt: skip
_DETECTORS: Final[dict[str, Callable[[], Any]]] = {
    "household": HouseholdDetector, "quarter": QuarterDetector, "district": DistrictDetector,
}  # fmt: skip


class Case(NamedTuple):
    """Units with their rows, and the leaks in them."""

    name: str
    kind: str
    rows: Mapping[str, Sequence[Any]]
    leaks: list[Leak]


def run(case: Case) -> dict[str, list[Alarm]]:
    """Return each unit's leak alarms."""
    found: dict[str, list[Alarm]] = {}
    for unit, rows in case.rows.items():
        detector = _DETECTORS[case.kind]()
        found[unit] = [one for row in rows for one in detector.update(row) if one.is_leak]
    return found


def told(case: Case) -> Iterator[str]:
    """Yield the lines of the table that a case makes."""
    spans = {unit: (_plain(rows[0].t), _plain(rows[-1].end)) for unit, rows in case.rows.items()}
    ours = [(unit, _plain(one.t)) for unit, alarms in run(case).items() for one in alarms]
    rule = _NAIVE[case.kind]
    theirs = [(unit, _plain(t)) for unit, rows in case.rows.items() for t in rule(rows)]
    yield _line(case, "ours", ours, spans)
    yield _line(case, "naive", theirs, spans)
    for kind in sorted({leak.kind for leak in case.leaks}):
        part = score(ours, [leak for leak in case.leaks if leak.kind == kind], spans, WITHIN_D[case.kind])
        yield f"    {kind}: {part.found} of {part.leaks} found, median {_hours(part.median_h)}"


def _line(case: Case, who: str, alarms: list[tuple[str, datetime]], spans: Spans) -> str:
    within = WITHIN_D[case.kind]
    reached = score(alarms, case.leaks, spans, within)
    chance = by_chance(alarms, case.leaks, spans, within) if case.leaks else 0.0
    return (
        f"{case.name:<24} {who:<6} F1 {reached.f1:.3f}  recall {reached.recall:.3f}  precision "
        f"{reached.precision:.3f}  found {reached.found}/{reached.leaks}  median {_hours(reached.median_h)}  "
        f"false {reached.false} = {reached.false_a_year:.2f} a unit-year  chance F1 {chance:.3f}"
    )


def published(folder: Path, kind: str, part: str) -> Case:
    """Read a labelled benchmark."""
    if kind == "household":
        rows = files.household_readings([folder / f"leakbench_household_{part}.csv.gz"])
        leaks = _labels(folder / f"leakbench_household_{part}_labels.csv", "meter")
        return Case(
            f"household {part}", kind, {m: list(files.household_rows(r)) for m, r in rows.items()}, leaks
        )
    if kind == "district":
        inflows = files.district_inflows([folder / f"leakbench_dma_{part}.csv.gz"])
        return Case(
            f"district {part}", kind, inflows, _labels(folder / f"leakbench_dma_{part}_labels.csv", "dma")
        )
    paths = sorted(folder.glob(f"leakbench_quarter[0-9]*_{part}.csv.gz"))
    names = files.quarter_names(paths)
    leaks = [
        leak for name, path in zip(names, paths, strict=True)
        for leak in _labels(path.with_name(path.name.replace(".csv.gz", "_labels.csv")), None, name)
    ]  # fmt: skip
    return Case(
        f"quarter {part}", kind, {n: files.quarter_rows(p) for n, p in zip(names, paths, strict=True)}, leaks
    )


def injected(folder: Path, kind: str, seed: int) -> Case:
    """Put leaks of own making into the real use."""
    if kind == "district":
        inflow, labels = inject.district(inject.read_inflow(folder / "bwdf_dma_hourly_dev.csv.gz"), seed=seed)
        with tempfile.TemporaryDirectory() as scratch:
            path = Path(scratch) / "inflow.csv"
            inject.write_inflow(path, inflow)
            rows = files.district_inflows([path])
        return Case(f"district seed {seed}", kind, rows, [_local(one, rows) for one in labels])
    registers = inject.read_registers(folder / "daiad_alicante_hourly_dev.csv.gz")
    if kind == "household":
        registers, labels = inject.household(registers, inject.WIDER, seed=seed)
        rows = {
            meter: list(files.household_rows(_readings(times, register)))
            for meter, (times, register) in registers.items()
        }
        return Case(f"household seed {seed}", kind, rows, [_leak(x) for x in labels if x.kind not in _FAULTS])
    names = sorted(np.random.default_rng(seed).permutation(sorted(registers))[:30].tolist())
    made = inject.quarter(
        registers,
        names,
        unit="1",
        start=np.datetime64("2016-04-15T00:00:00"),
        days=270,
        seed=seed,
        jitter=0.02,
    )
    with tempfile.TemporaryDirectory() as scratch:
        path = Path(scratch) / "quarter.csv"
        inject.write_quarter(path, made)
        return Case(
            f"quarter seed {seed}", kind, {"1": files.quarter_rows(path)}, [_leak(x) for x in made.labels]
        )


def _readings(times: inject.Times, register: inject.Floats) -> Iterator[files.Reading]:
    for t, value in zip(times, register, strict=True):
        yield files.Reading(inject.to_datetime(t).replace(tzinfo=files.UTC), float(value))


def _leak(label: inject.Label) -> Leak:
    return Leak(label.unit, label.kind, inject.to_datetime(label.start), inject.to_datetime(label.end))


def _local(label: inject.Label, rows: Mapping[str, Sequence[Any]]) -> Leak:
    """Put a label's UTC times into the clock times of its unit."""
    leak = _leak(label)
    zones = [(one.t.replace(tzinfo=None) - one.t.utcoffset(), one.t.utcoffset()) for one in rows[label.unit]]
    at = np.array([np.datetime64(utc) for utc, _ in zones])
    start, end = (
        moment + zones[min(int(np.searchsorted(at, np.datetime64(moment))), len(zones) - 1)][1]
        for moment in (leak.start, leak.end)
    )
    return Leak(leak.unit, leak.kind, start, end)


def _labels(path: Path, unit_column: str | None, unit: str = "") -> list[Leak]:
    with path.open(encoding="utf-8") as file:
        return [
            Leak(
                row[unit_column] if unit_column else unit, row["kind"], _time(row["start"]), _time(row["end"])
            )
            for row in csv.DictReader(file)
            if row["kind"] not in _FAULTS
        ]


def _time(text: str) -> datetime:
    return _plain(datetime.fromisoformat(text))


def _plain(t: datetime) -> datetime:
    return t.replace(tzinfo=None)


def _hours(hours: float | None) -> str:
    return "—" if hours is None else f"{hours:.1f} h"


def unlabelled(folder: Path) -> str:
    """Return how many alarms there are on all real meters, of which nobody knows the leaks."""
    readings = files.household_readings([folder / "daiad_alicante_hourly_dev.csv.gz"])
    rows = {meter: list(files.household_rows(one)) for meter, one in readings.items()}
    count = sum(len(alarms) for alarms in run(Case("raw", "household", rows, [])).values())
    years = sum((one[-1].end - one[0].t) / timedelta(days=365.25) for one in rows.values())
    return (
        f"{'household raw':<24} ours   {count} alarms = {count / years:.2f} a meter-year ({len(rows)} meters)"
    )


@click.command()
@click.argument("folder", type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.option("--kind", "kinds", type=click.Choice(KINDS), multiple=True, help="All without it.")
@click.option("--part", default="dev", show_default=True, help="Which of the labelled files.")
@click.option("--injected", "seeds", type=click.IntRange(0, 50), default=0, show_default=True,
              help="Instead: so many seeds of leaks of own making.")  # fmt: skip
@click.option("--raw", is_flag=True, help="Also the alarms on the unlabelled household meters.")
def main(folder: Path, kinds: tuple[str, ...], part: str, seeds: int, raw: bool) -> None:
    """Print found leaks, false alarms and chance, ours beside naive rules."""
    for kind in kinds or KINDS:
        cases = [injected(folder, kind, seed) for seed in range(1, seeds + 1)] or [
            published(folder, kind, part)
        ]
        for case in cases:
            for line in told(case):
                click.echo(line)
    if raw:
        click.echo(unlabelled(folder))


if __name__ == "__main__":
    main()
