"""Energies to levels and back."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Final

import numpy as np
import numpy.typing as npt

from contract.messages import LEVEL_FLOOR_DB
from edge.sound.curves import FloatArray

LEVEL_DECIMALS: Final = 3
"""Decimals with which a level leaves the device: rounding may never show in an average."""
LEVEL_CEILING_DB: Final = 200.0
"""The contract's highest level: what lies above is no sound, but a recording that is not of full scale 1."""


def level_db(mean_square: float, full_scale_db: float) -> float:
    """Return the level of a mean square (full scale 1), dB re 20 µPa, within the contract's range."""
    if mean_square <= 0:
        return LEVEL_FLOOR_DB
    return min(LEVEL_CEILING_DB, max(LEVEL_FLOOR_DB, full_scale_db + 10 * math.log10(mean_square)))


def levels_db(mean_square: npt.ArrayLike, full_scale_db: float) -> FloatArray:
    """Return the levels of an array of mean squares, as :func:`level_db`."""
    least, most = (10 ** ((limit - full_scale_db) / 10) for limit in (LEVEL_FLOOR_DB, LEVEL_CEILING_DB))
    return full_scale_db + 10 * np.log10(np.clip(mean_square, least, most))


def energy_mean_db(levels: Sequence[float], weights: Sequence[float] | None = None) -> float:
    """Return the energetic average of levels, weighted if weights are given."""
    return float(
        10 * np.log10(np.average(10 ** (np.asarray(levels, dtype=np.float64) / 10), weights=weights))
    )
