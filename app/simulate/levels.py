"""A day of noise at a microphone: the hours of a road or a quiet yard, weekday and weekend, and chance. Pure.

A second's levels are a function of (scenario, device, second) alone.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np

from app.simulate.disturbances import loudness
from app.simulate.draws import Floats, Ints, normal, smooth, uniform
from app.simulate.scenario import DAY_S, LOCAL_OFFSET_S, Scenario

_ROAD_SHARE: Final = 0.3
_LOWEST_DB, _HIGHEST_DB = 20.0, 120.0

# Typical LAeq of each local hour, dB: weekday and weekend, first a quiet yard, then beside a road.
_HOURS_DB: Final = np.array(
    [
        [
            [37, 36, 35, 35, 36, 39, 44, 49, 50, 49, 49, 50, 49, 48, 48, 49, 50, 51, 52, 51, 49, 46, 42, 39],
            [38, 37, 36, 35, 35, 37, 41, 45, 48, 49, 50, 50, 49, 48, 49, 50, 51, 51, 52, 52, 50, 47, 44, 41],
        ],
        [
            [54, 52, 51, 50, 52, 56, 61, 65, 66, 65, 64, 64, 64, 64, 64, 65, 66, 67, 66, 65, 63, 61, 59, 56],
            [55, 53, 52, 51, 51, 54, 57, 61, 63, 64, 64, 64, 64, 64, 64, 65, 65, 65, 65, 64, 63, 61, 60, 58],
        ],
    ],
    dtype=float,
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Levels:
    """Levels of seconds in columns, dB with one decimal."""

    laeq_db: Floats
    lafmax_db: Floats
    lafmin_db: Floats
    laf_db: Floats
    lceq_db: Floats
    lcpeak_db: Floats


def beside_road(scenario: Scenario, device: Ints) -> np.ndarray:
    """Say which devices stand beside a road; the others hear a quiet yard."""
    return uniform(scenario.seed, 1, device) < _ROAD_SHARE


def levels(scenario: Scenario, device: Ints, t: Ints) -> Levels:
    """Return the levels of seconds ``t`` (since 1970) at devices, element by element; ``device`` ascends."""
    seed = scenario.seed
    road = beside_road(scenario, device)
    usual = _usual(road, t) + 1.5 * normal(seed, 2, device)
    swing = 1.6 * smooth(seed + 3, device, t, 300) + 1.1 * smooth(seed + 4, device, t, 9)
    passing = np.clip(smooth(seed + 5, device, t, 25), 0.0, None) ** 2 * np.where(road, 2.0, 0.6)
    laeq = usual + swing + passing + 0.5 * normal(seed, 6, device, t)
    disturbed = loudness(scenario, device, t)
    laeq = np.where(disturbed > 0, 10.0 * np.log10(10.0 ** (laeq / 10) + disturbed), laeq)
    laeq = np.clip(laeq, _LOWEST_DB + 5, _HIGHEST_DB - 15)
    up, down, end = (uniform(seed, 7, device, t, n) for n in (0, 1, 2))
    lafmax = laeq + 0.6 + 6.0 * up**3
    lafmin = laeq - 0.5 - 3.5 * down**2
    laf = lafmin + (lafmax - lafmin) * end
    lceq = laeq + np.where(road, 7.0, 9.0) + 2.0 * down
    lcpeak = np.maximum(lafmax, lceq) + 11.0 + 3.0 * up
    return Levels(*(np.round(one, 1) for one in (laeq, lafmax, lafmin, laf, lceq, lcpeak)))


def _usual(road: np.ndarray, t: Ints) -> Floats:
    local = t + LOCAL_OFFSET_S
    day, second = np.divmod(local, DAY_S)
    hour, within = np.divmod(second, 3600)
    weekend = ((day + 3) % 7 >= 5).astype(int)
    place = road.astype(int)
    before = _HOURS_DB[place, weekend, hour]
    return before + (_HOURS_DB[place, weekend, (hour + 1) % 24] - before) * (within / 3600)
