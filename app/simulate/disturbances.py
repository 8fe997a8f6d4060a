"""What disturbs a quarter: building sites, dancing in the square, horns in a jam, noise at night. Pure.

Each device and local day has its plan, drawn from the scenario's seed.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Final, Literal

import numpy as np

from app.simulate.draws import Floats, Ints, uniform
from app.simulate.scenario import DAY_S, LOCAL_OFFSET_S, Scenario

DisturbanceKind = Literal["construction", "square_dancing", "horns", "night_noise"]
_KEY: Final = 100


@dataclass(frozen=True, slots=True)
class _Sort:
    """How one kind occurs: chance a day on weekdays and at weekends, local hours of the start, length, level."""

    kind: DisturbanceKind
    weekday: float
    weekend: float
    start_h: tuple[float, float]
    length_s: tuple[float, float]
    level_db: tuple[float, float]
    on_s: int
    """Slots of this length are loud or not …"""
    duty: float
    """… with this chance."""


SORTS: Final = (
    _Sort("construction", 0.02, 0.005, (7.0, 12.0), (7_200, 21_600), (68, 78), 20, 0.6),
    _Sort("square_dancing", 0.03, 0.04, (18.8, 19.6), (3_600, 6_600), (65, 74), 1, 1.0),
    _Sort("horns", 0.03, 0.01, (7.0, 18.5), (1_800, 5_400), (78, 88), 2, 0.1),
    _Sort("night_noise", 0.02, 0.035, (22.5, 27.0), (300, 2_400), (58, 70), 5, 0.7),
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Plan:
    """Disturbances in columns, sorted by device: ``sort`` is an index of :data:`SORTS`; half-open in seconds."""

    sort: Ints
    device: Ints
    begin_s: Ints
    end_s: Ints
    level_db: Floats


def local_day(second: int) -> int:
    """Return the number of the local day since 1970 that a second lies in."""
    return (second + LOCAL_OFFSET_S) // DAY_S


def is_weekend(day: int) -> bool:
    """Say whether a day since 1970 (a Thursday) is a Saturday or Sunday."""
    return (day + 3) % 7 >= 5


@lru_cache(maxsize=8)
def plan(scenario: Scenario, day: int) -> Plan:
    """Return what begins on a local day (night noise may begin after its midnight)."""
    devices = np.arange(scenario.devices, dtype=np.int64)
    midnight = day * DAY_S - LOCAL_OFFSET_S
    parts: list[tuple[Ints, Ints, Ints, Ints, Floats]] = []
    for number, sort in enumerate(SORTS):
        key = (scenario.seed, _KEY + number)
        chance = sort.weekend if is_weekend(day) else sort.weekday
        hit = devices[uniform(*key, devices, day, 0) < chance]
        begin = midnight + 3600 * _between(sort.start_h, uniform(*key, hit, day, 1))
        length = _between(sort.length_s, uniform(*key, hit, day, 2))
        level = _between(sort.level_db, uniform(*key, hit, day, 3))
        whole = begin.astype(np.int64)
        parts.append((np.full(len(hit), number), hit, whole, whole + length.astype(np.int64), level))
    columns = [np.concatenate(column) for column in zip(*parts, strict=True)]
    order = np.argsort(columns[1], kind="stable")
    return Plan(*(column[order] for column in columns))


def loudness(scenario: Scenario, device: Ints, t: Ints) -> Floats:
    """Return the energy (10^(L/10)) that disturbances add; ``device`` ascends, ``t`` belongs to it by element."""
    energy = np.zeros(len(t))
    if not len(t):
        return energy
    first, last = int(t.min()), int(t.max())
    for day in range(local_day(first) - 1, local_day(last) + 1):
        one = plan(scenario, day)
        # Slots are drawn by device and kind, so that two disturbances of a day are not in step.
        for at in np.flatnonzero((one.begin_s <= last) & (one.end_s > first)):
            rows = slice(*np.searchsorted(device, (one.device[at], one.device[at] + 1)))
            seconds = t[rows]
            if not len(seconds):
                continue
            number = int(one.sort[at])
            sort = SORTS[number]
            on = uniform(scenario.seed, _KEY + 50 + number, one.device[at], seconds // sort.on_s) < sort.duty
            on &= (seconds >= one.begin_s[at]) & (seconds < one.end_s[at])
            energy[rows] += on * 10.0 ** (one.level_db[at] / 10)
    return energy


def _between(span: tuple[float, float], share: Floats) -> Floats:
    return span[0] + (span[1] - span[0]) * share
