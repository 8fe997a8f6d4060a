"""Water that households draw, as the register of their meter counts it. Pure.

A day's use is spread over its hours by habit and chance, an hour's over a few draws, and between draws nothing flows.
"""

from __future__ import annotations

from typing import Final

import numpy as np

from app.simulate.draws import Floats, Ints, uniform
from app.simulate.scenario import DAY_S, LOCAL_OFFSET_S, Scenario

_FIRST_DAY: Final = 18_262
"""2020-01-01, when every register stood at its beginning."""
_DRAWS: Final = 4
"""In an hour."""
_HABIT: Final = np.array(
    [1, 0, 0, 0, 0, 1, 5, 9, 8, 5, 4, 5, 6, 5, 4, 4, 5, 7, 9, 9, 8, 7, 5, 3], dtype=float
)
_AT_NIGHT: Final = 0.06
"""Chance of a draw in an hour in which people sleep."""


def used_l(scenario: Scenario, meter: Ints, t: Ints) -> Floats:
    """Return what households have drawn until ``t`` (seconds since 1970), litres; it never falls."""
    day, second = np.divmod(np.asarray(t, np.int64) + LOCAL_OFFSET_S, DAY_S)
    mean_l, swing_l = _household(scenario, meter)
    before = mean_l * (day - _FIRST_DAY) + swing_l * uniform(scenario.seed, 301, meter, day)
    after = mean_l * (day + 1 - _FIRST_DAY) + swing_l * uniform(scenario.seed, 301, meter, day + 1)
    first_l = 20_000.0 * uniform(scenario.seed, 302, meter)
    return first_l + before + (after - before) * _share_of_day(scenario, meter, day, second)


def _household(scenario: Scenario, meter: Ints) -> tuple[Floats, Floats]:
    """Return litres a day, and by how much one day may differ from the next."""
    mean = 180.0 + 420.0 * uniform(scenario.seed, 300, meter) ** 1.5
    return mean, 0.6 * mean


def _share_of_day(scenario: Scenario, meter: Ints, day: Ints, second: Ints) -> Floats:
    hours = np.arange(24)
    chance = uniform(scenario.seed, 303, meter[:, None], day[:, None], hours)
    weight = _HABIT * (0.2 + 1.6 * chance)
    asleep = _HABIT == 0
    weight[:, asleep] = np.where(chance[:, asleep] < _AT_NIGHT, 0.8, 0.0)
    hour, within = np.divmod(second, 3600)
    done = np.where(hours < hour[:, None], weight, 0.0).sum(axis=1)
    now = np.take_along_axis(weight, hour[:, None], axis=1)[:, 0]
    return (done + now * _share_of_hour(scenario, meter, day * 24 + hour, within)) / weight.sum(axis=1)


def _share_of_hour(scenario: Scenario, meter: Ints, hour: Ints, within: Ints) -> Floats:
    draw = np.arange(_DRAWS)
    key = (scenario.seed, 304, meter[:, None], hour[:, None], draw)
    size = 0.1 + uniform(*key, 0)
    lasts_s = 30.0 + 150.0 * uniform(*key, 1)
    begins_s = (3600.0 - lasts_s) * uniform(*key, 2)
    done = np.clip((within[:, None] - begins_s) / lasts_s, 0.0, 1.0)
    return (size * done).sum(axis=1) / size.sum(axis=1)
