"""Score alarms against labelled leaks, beside what chance would reach with as many alarms.

An alarm counts for the leak within which (or up to 24 h after which) it falls; alarms of a unit less than 24 h apart
are one. A leak is found if its first alarm comes in time: 4 days for a household or a quarter, 7 for a district.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

import numpy as np

Alarms = list[tuple[str, datetime]]
Spans = Mapping[str, tuple[datetime, datetime]]
WITHIN_D: Final = {"household": 4.0, "quarter": 4.0, "district": 7.0}
_GRACE: Final = timedelta(hours=24)
_DRAWS: Final = 200


@dataclass(frozen=True, slots=True)
class Leak:
    """One labelled leak; times are the file's clock times."""

    unit: str
    kind: str
    start: datetime
    end: datetime


@dataclass(frozen=True, slots=True)
class Score:
    """What a list of alarms reached."""

    leaks: int
    found: int
    false: int
    years: float
    median_h: float | None

    @property
    def recall(self) -> float:
        return self.found / max(1, self.leaks)

    @property
    def precision(self) -> float:
        return self.found / max(1, self.found + self.false)

    @property
    def f1(self) -> float:
        return 2 * self.found / max(1, 2 * self.found + self.false + self.leaks - self.found)

    @property
    def false_a_year(self) -> float:
        return self.false / self.years


def score(alarms: Alarms, leaks: Sequence[Leak], spans: Spans, within_d: float) -> Score:
    """Score the alarms of all units."""
    first_h: dict[Leak, float] = {}
    false = 0
    for unit, t in _merged(alarms):
        hit = next((x for x in leaks if x.unit == unit and x.start <= t <= x.end + _GRACE), None)
        if hit is None:
            false += 1
        elif hit not in first_h:
            first_h[hit] = (t - hit.start) / timedelta(hours=1)
    in_time = [hours for hours in first_h.values() if hours <= 24.0 * within_d]
    years = sum((end - start).total_seconds() for start, end in spans.values()) / 86400 / 365.25
    median = float(np.median(in_time)) if in_time else None
    return Score(len(leaks), len(in_time), false, years, median)


def by_chance(alarms: Alarms, leaks: Sequence[Leak], spans: Spans, within_d: float) -> float:
    """Return the mean F1 of as many alarms at random times of random units."""
    rng = np.random.default_rng(1)
    units, count = sorted(spans), len(_merged(alarms))
    reached: list[float] = []
    for _ in range(_DRAWS):
        drawn: Alarms = []
        for _ in range(count):
            unit = units[rng.integers(len(units))]
            start, end = spans[unit]
            drawn.append((unit, start + (end - start) * float(rng.random())))
        reached.append(score(drawn, leaks, spans, within_d).f1)
    return float(np.mean(reached))


def _merged(alarms: Alarms) -> Alarms:
    out: Alarms = []
    for unit, t in sorted(alarms):
        if not out or out[-1][0] != unit or t - out[-1][1] >= _GRACE:
            out.append((unit, t))
    return out
