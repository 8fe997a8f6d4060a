"""Energies to levels and back."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from contract.messages import LEVEL_FLOOR_DB
from edge.sound.curves import FloatArray

__all__ = ["LEVEL_DECIMALS", "LEVEL_FLOOR_DB", "energy_mean_db", "level_db", "levels_db"]

LEVEL_DECIMALS = 3
"""Decimals with which a level leaves the device: rounding may never show in an average."""


def level_db(mean_square: float, full_scale_db: float) -> float:
    """Return the level of a mean square (full scale 1), dB re 20 µPa, not below the contract's floor."""
    if mean_square <= 0:
        return LEVEL_FLOOR_DB
    return max(LEVEL_FLOOR_DB, full_scale_db + 10 * math.log10(mean_square))


def levels_db(mean_square: npt.ArrayLike, full_scale_db: float) -> FloatArray:
    """Return the levels of an array of mean squares, as :func:`level_db`."""
    least = 10 ** ((LEVEL_FLOOR_DB - full_scale_db) / 10)
    return full_scale_db + 10 * np.log10(np.maximum(mean_square, least))


def energy_mean_db(levels: Sequence[float], weights: Sequence[float] | None = None) -> float:
    """Return the energetic average of levels, weighted if weights are given."""
    return float(
        10 * np.log10(np.average(10 ** (np.asarray(levels, dtype=np.float64) / 10), weights=weights))
    )
