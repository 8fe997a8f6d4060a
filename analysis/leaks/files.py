"""Files of meter readings into the rows that leak detectors take.

========== ======================== =====================================================================
kind       columns                  meaning
========== ======================== =====================================================================
household  meter, t, reading_l      one line a reading: the register, litres
quarter    t, master_l, others      one line an hour: the registers of master and sub-meters, litres
district   t, others                one line an hour that begins at t: net inflow of each area, L/s
========== ======================== =====================================================================

Times without an offset are clock times and stay so. A file's lines may come in any order.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final, NamedTuple

from analysis.leaks.rows import HourRow, QuarterRow
from analysis.leaks.tables import BadTable, Row, Table, open_table

_HOUR: Final = timedelta(hours=1)
_NUMBER: Final = re.compile(r"quarter[-_ ]?(\d+)", re.IGNORECASE)
LITRES_AN_HOUR: Final = {"l/s": 3600.0, "l/h": 1.0, "m3/h": 1000.0}
"""Litres an hour of one of each unit of flow."""


class Reading(NamedTuple):
    """One value of one register or flow at one time."""

    t: datetime
    value: float


def household_readings(paths: Sequence[Path]) -> dict[str, list[Reading]]:
    """Return each meter's register, ascending in time, without repeated times (the first of a file counts).

    A meter in several files is one meter. Raises ``BadTable``.
    """
    by_meter: dict[str, list[Reading]] = {}
    for path in paths:
        with open_table(path) as table:
            table.need("meter", "t", "reading_l")
            times = _Times()
            for row in table.rows:
                value = row.number("reading_l")
                if value is not None:
                    by_meter.setdefault(row.text("meter"), []).append(Reading(times.of(row), value))
    _need_some(paths, by_meter)
    return {meter: _ascending(readings) for meter, readings in by_meter.items()}


def household_rows(readings: Iterable[Reading]) -> Iterator[HourRow]:
    """Yield the gain between each reading and the next."""
    last: Reading | None = None
    for reading in readings:
        if last is not None:
            hours = (reading.t - last.t) / _HOUR
            yield HourRow(t=last.t, volume_l=reading.value - last.value, duration_h=hours)
        last = reading


def district_inflows(paths: Sequence[Path], flow_unit: str = "l/s") -> dict[str, list[HourRow]]:
    """Return each area's inflow, ascending in time. Missing values are no rows. Raises ``BadTable``."""
    factor = LITRES_AN_HOUR[flow_unit]
    by_area: dict[str, list[Reading]] = {}
    steps: list[timedelta] = []
    for path in paths:
        with open_table(path) as table:
            table.need("t")
            areas = _others(table, "t")
            at: list[datetime] = []
            times = _Times()
            for row in table.rows:
                at.append(times.of(row))
                for area in areas:
                    value = row.number(area)
                    if value is not None:
                        by_area.setdefault(area, []).append(Reading(at[-1], value))
            steps.append(_step(path, at))
    _need_some(paths, by_area)
    hours = min(steps) / _HOUR
    return {
        area: [
            HourRow(t=one.t, volume_l=one.value * factor * hours, duration_h=hours)
            for one in _ascending(readings)
        ]
        for area, readings in by_area.items()
    }


def quarter_rows(path: Path) -> list[QuarterRow]:
    """Return a quarter's hours. A register that goes back is unknown for that hour. Raises ``BadTable``."""
    with open_table(path) as table:
        table.need("t", "master_l")
        subs = _others(table, "t", "master_l")
        times = _Times()
        read = [
            (times.of(row), row.number("master_l"), {name: row.number(name) for name in subs})
            for row in table.rows
        ]
    read.sort(key=lambda one: one[0])
    gains = _Gains()
    rows: list[QuarterRow] = []
    before: tuple[datetime, float | None] | None = None
    for t, master, registers in read:
        volumes, backlog = gains.take(registers)
        if before is not None and t > before[0]:
            rows.append(
                QuarterRow(
                    t=before[0], master_l=_gain(before[1], master), subs_l=volumes, backlog_l=backlog,
                    duration_h=(t - before[0]) / _HOUR,
                )
            )  # fmt: skip
        before = (t, master)
    if not rows:
        raise BadTable(f"{path}: no two hours to compare")
    return rows


def quarter_names(paths: Sequence[Path]) -> list[str]:
    """Return a name for each file: the number after "quarter" where every file has another, else 1, 2, 3, …"""
    found = [_NUMBER.search(path.name) for path in paths]
    numbers = [match.group(1) for match in found if match is not None]
    if len(set(numbers)) == len(paths):
        return numbers
    return [str(position) for position in range(1, len(paths) + 1)]


class _Times:
    """Times of one file: all with an offset, or none."""

    def __init__(self) -> None:
        self._offset: bool | None = None

    def of(self, row: Row) -> datetime:
        t = row.time()
        if self._offset is None:
            self._offset = t.tzinfo is not None
        elif self._offset != (t.tzinfo is not None):
            raise row.bad("t", "some times of this file have an offset and some have none")
        return t if t.tzinfo is not None else t.replace(tzinfo=UTC)


class _Gains:
    """What sub-meters gain from line to line, and what came in together after a time without readings."""

    def __init__(self) -> None:
        self._known: dict[str, float] = {}
        self._away: set[str] = set()

    def take(self, registers: Mapping[str, float | None]) -> tuple[dict[str, float | None], dict[str, float]]:
        volumes: dict[str, float | None] = {}
        backlog: dict[str, float] = {}
        for name, value in registers.items():
            gain = _gain(self._known.get(name), value)
            volumes[name] = gain
            if value is None:
                self._away.add(name)
                continue
            if name in self._away and gain is not None:
                backlog[name] = gain
            self._away.discard(name)
            self._known[name] = value
        return volumes, backlog


def _gain(before: float | None, after: float | None) -> float | None:
    return after - before if before is not None and after is not None and after >= before else None


def _others(table: Table, *known: str) -> list[str]:
    others = [name for name in table.columns if name not in known]
    if not others:
        raise BadTable(f"{table.path}, line 1: no column beside {', '.join(known)}")
    return others


def _ascending(readings: list[Reading]) -> list[Reading]:
    out: list[Reading] = []
    for reading in sorted(readings, key=lambda one: one.t):
        if not out or reading.t > out[-1].t:
            out.append(reading)
    return out


def _step(path: Path, times: Sequence[datetime]) -> timedelta:
    """Return the shortest time between two lines: how long each value stands for."""
    steps = [later - earlier for earlier, later in zip(sorted(times), sorted(times)[1:], strict=False)]
    steps = [step for step in steps if step > timedelta(0)]
    if not steps:
        raise BadTable(f"{path}: no two times to tell how long a value stands for")
    return min(*steps, _HOUR)


def _need_some(paths: Sequence[Path], found: Mapping[str, object]) -> None:
    if not found:
        raise BadTable(f"{', '.join(map(str, paths))}: no readings")
