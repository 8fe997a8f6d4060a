"""When devices are out of reach, and when their clocks are wrong. Pure, from the scenario's seed."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final, Literal

import numpy as np

from app.simulate.draws import Ints, uniform
from app.simulate.scenario import DAY_S, Scenario

BLOCK_S: Final = 6 * 3600
OUTAGE_CHANCE: Final = 0.02
"""Of a device in six hours."""
_CLOCK_CHANCE: Final = 0.02
_CLOCK_WITHIN_S: Final = 28 * DAY_S
ClockFaultKind = Literal["clock_unsynced", "clock_offset", "clock_step"]
_CLOCK_KINDS: Final[tuple[ClockFaultKind, ...]] = ("clock_unsynced", "clock_offset", "clock_step")
_OFFSET_MOST_S: Final = 120
"""Below what ingest takes for a reading of the future (five minutes)."""


@dataclass(frozen=True, slots=True)
class Outage:
    """A device without network; half-open, seconds since 1970."""

    device: int
    begin_s: int
    end_s: int


@dataclass(frozen=True, slots=True)
class ClockFault:
    """A clock that is ``offset_s`` ahead of the time (behind: negative) from ``begin_s`` to ``end_s`` of true time.

    ``clock_unsynced`` knows it and flags its seconds; ``clock_offset`` and the short ``clock_step`` do not. A clock
    that goes back does not measure the same second twice, and one that leaps leaves seconds out.
    """

    device: int
    kind: ClockFaultKind
    begin_s: int
    end_s: int
    offset_s: int

    def label(self, true_s: int) -> int | None:
        """Return the second that the device writes down for a true one; ``None`` where it has been there before."""
        ahead = self.offset_s
        if self.begin_s <= true_s < self.end_s:
            return true_s + ahead if ahead >= 0 or true_s + ahead >= self.begin_s else None
        return None if self.end_s <= true_s < self.end_s + ahead else true_s

    def true(self, label: int) -> int | None:
        """Return the true second of a reading that says ``label``; ``None`` where there is no such reading."""
        for candidate in (label - self.offset_s, label):
            if self.label(candidate) == label:
                return candidate
        return None

    def flagged(self, true_s: int) -> bool:
        """Say whether the device flags this second."""
        return self.kind == "clock_unsynced" and self.begin_s <= true_s < self.end_s


def outages(scenario: Scenario, begin_s: int, end_s: int) -> Iterator[Outage]:
    """Yield the outages that touch a span; at most one for a device in each six hours."""
    devices = np.arange(scenario.devices, dtype=np.int64)
    for block in range(begin_s // BLOCK_S - 1, (end_s - 1) // BLOCK_S + 1):
        key = (scenario.seed, 200)
        hit = devices[uniform(*key, devices, block, 0) < OUTAGE_CHANCE]
        begins = block * BLOCK_S + (BLOCK_S * uniform(*key, hit, block, 1)).astype(np.int64)
        lengths = 30 + (2_700 * uniform(*key, hit, block, 2) ** 2).astype(np.int64)
        for device, begin, length in zip(hit.tolist(), begins.tolist(), lengths.tolist(), strict=True):
            if begin < end_s and begin + length > begin_s:
                yield Outage(device, begin, begin + length)


def clock_faults(scenario: Scenario) -> dict[int, ClockFault]:
    """Return the clock fault of each device that has one: at most one in a scenario, most of them early in it."""
    if scenario.right_clocks:
        return {}
    key = (scenario.seed, 210)
    devices: Ints = np.arange(scenario.devices, dtype=np.int64)
    hit = devices[uniform(*key, devices, 0) < _CLOCK_CHANCE]
    columns = (
        hit,
        uniform(*key, hit, 1) * len(_CLOCK_KINDS),
        scenario.start_s + _CLOCK_WITHIN_S * uniform(*key, hit, 2) ** 3,
        uniform(*key, hit, 3),
        (2 * uniform(*key, hit, 4) - 1) * _OFFSET_MOST_S,
    )
    found: dict[int, ClockFault] = {}
    for device, kind, begin, length, offset in zip(*(one.tolist() for one in columns), strict=True):
        name = _CLOCK_KINDS[int(kind)]
        lasts_s = 180 + 420 * length if name == "clock_step" else 600 + 21_000 * length
        found[device] = ClockFault(device, name, int(begin), int(begin + lasts_s), int(offset))
    return found
