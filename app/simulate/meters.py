"""Registers of meters: what households draw, and leaks, bursts, meters that stick or run backwards. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal

import numpy as np

from app.simulate.draws import Ints, uniform
from app.simulate.household import used_l
from app.simulate.scenario import DAY_S, Scenario

MeterFaultKind = Literal["drip", "toilet", "burst", "stuck", "reversed"]
STEP_ML: Final = 1_000
_WITHIN_S: Final = 28 * DAY_S
# Chance of a meter, litres an hour, hours that it lasts.
_SORTS: Final[dict[MeterFaultKind, tuple[float, tuple[float, float], tuple[float, float]]]] = {
    "drip": (0.02, (2, 10), (96, 1_000)),
    "toilet": (0.02, (15, 80), (48, 500)),
    "burst": (0.005, (300, 1_500), (1, 12)),
    "stuck": (0.005, (0, 0), (48, 700)),
    "reversed": (0.002, (0, 0), (24, 300)),
}


@dataclass(frozen=True, slots=True)
class MeterFault:
    """What goes wrong behind or in a meter; half-open, seconds since 1970. ``flow_lph`` is that of a leak."""

    meter: int
    kind: MeterFaultKind
    begin_s: int
    end_s: int
    flow_lph: float


def meter_faults(scenario: Scenario) -> dict[int, MeterFault]:
    """Return the fault of each meter that has one: at most one in a scenario, within four weeks, most of them early."""
    meters: Ints = np.arange(scenario.meters, dtype=np.int64)
    share = uniform(scenario.seed, 400, meters)
    found: dict[int, MeterFault] = {}
    reached = 0.0
    for kind, (chance, flow, length) in _SORTS.items():
        hit = meters[(share >= reached) & (share < reached + chance)]
        reached += chance
        begins = scenario.start_s + _WITHIN_S * uniform(scenario.seed, 401, hit) ** 3
        flows = flow[0] + (flow[1] - flow[0]) * uniform(scenario.seed, 402, hit) ** 2
        lasts_s = 3600 * (length[0] + (length[1] - length[0]) * uniform(scenario.seed, 403, hit) ** 2)
        for meter, begin, size, lasts in zip(
            hit.tolist(), begins.tolist(), flows.tolist(), lasts_s.tolist(), strict=True
        ):
            found[meter] = MeterFault(meter, kind, int(begin), int(begin + lasts), round(size, 1))
    return found


class Registers:
    """The registers of a scenario's meters. ``faults`` are :func:`meter_faults` of it."""

    def __init__(self, scenario: Scenario) -> None:
        self.faults = meter_faults(scenario)
        self._scenario = scenario
        self._begin, self._end = (np.zeros(scenario.meters, np.int64) for _ in range(2))
        self._flow, self._lost = (np.zeros(scenario.meters) for _ in range(2))
        for fault in self.faults.values():
            self._begin[fault.meter], self._end[fault.meter] = fault.begin_s, fault.end_s
            self._flow[fault.meter] = fault.flow_lph
            self._lost[fault.meter] = {"stuck": 1.0, "reversed": 2.0}.get(fault.kind, 0.0)

    def litres(self, meter: Ints, t: Ints) -> Ints:
        """Return the registers at ``t`` (seconds since 1970), element by element, whole litres."""
        begin = self._begin[meter]
        during = np.clip(t, begin, np.maximum(begin, self._end[meter]))
        total = used_l(self._scenario, meter, t) + self._flow[meter] * (during - begin) / 3600.0
        wrong = np.flatnonzero(self._lost[meter])
        if len(wrong):
            one = meter[wrong]
            within = used_l(self._scenario, one, during[wrong]) - used_l(self._scenario, one, begin[wrong])
            total[wrong] -= self._lost[one] * within
        return np.floor(total).astype(np.int64)
