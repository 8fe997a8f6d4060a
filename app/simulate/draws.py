"""Random numbers without a state: each is a function of a key, so that any second can be computed again, alone.

The mixing is SplitMix64's finaliser over the parts of the key, one after the other.
"""

from __future__ import annotations

from typing import Final

import numpy as np
import numpy.typing as npt

Bits = npt.NDArray[np.uint64]
Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

_GOLDEN: Final = np.uint64(0x9E3779B97F4A7C15)
_FIRST: Final = np.uint64(0xBF58476D1CE4E5B9)
_SECOND: Final = np.uint64(0x94D049BB133111EB)
_S27, _S30, _S31, _S11, _S16 = (np.uint64(n) for n in (27, 30, 31, 11, 16))
_LOW: Final = np.uint64(0xFFFF)


def bits(*key: npt.ArrayLike) -> Bits:
    """Return 64 random bits for each element of the parts of the key, which broadcast."""
    mixed = np.zeros(1, np.uint64)
    for part in key:
        whole = np.atleast_1d(np.asarray(part, np.int64)).view(np.uint64)
        mixed = (mixed ^ whole) + _GOLDEN
        mixed = (mixed ^ (mixed >> _S30)) * _FIRST
        mixed = (mixed ^ (mixed >> _S27)) * _SECOND
        mixed = mixed ^ (mixed >> _S31)
    return mixed


def uniform(*key: npt.ArrayLike) -> Floats:
    """Return numbers from 0 (with) to 1 (without)."""
    return (bits(*key) >> _S11).astype(np.float64) * 2.0**-53


def normal(*key: npt.ArrayLike) -> Floats:
    """Return numbers of mean 0 and variance 1, between −3.5 and 3.5 (four uniform ones added up)."""
    left = bits(*key)
    total = np.zeros(left.shape)
    for _ in range(4):
        total += left & _LOW
        left = left >> _S16
    return (total / 65_536 - 2.0 + 2.0 / 65_536) * 3.0**0.5


def smooth(key: int, unit: Ints, t: Ints, period_s: int) -> Floats:
    """Return a slow random curve of each unit at the seconds ``t``: neighbours within ``period_s`` are alike."""
    shifted = t + (bits(key, unit) % np.uint64(period_s)).astype(np.int64)
    knot = shifted // period_s
    share = (shifted - knot * period_s) / period_s
    share = share * share * (3.0 - 2.0 * share)
    before = normal(key, unit, knot)
    return before + (normal(key, unit, knot + 1) - before) * share
