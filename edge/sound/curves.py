"""The frequency weightings A, C and Z of IEC 61672-1:2013, Annex E, as exact functions of frequency."""

from __future__ import annotations

from typing import Final

import numpy as np
import numpy.typing as npt

FloatArray = npt.NDArray[np.float64]

POLES_HZ: Final = (20.598997, 107.65265, 737.86223, 12194.217)
"""Poles f1 to f4 of the analogue weightings (IEC 61672-1:2013, Annex E)."""


def _c_power(f_hz: FloatArray) -> FloatArray:
    f1, _, _, f4 = POLES_HZ
    f2 = f_hz**2
    return (f4**2 * f2 / ((f2 + f1**2) * (f2 + f4**2))) ** 2


def _a_power(f_hz: FloatArray) -> FloatArray:
    _, p2, p3, _ = POLES_HZ
    f2 = f_hz**2
    return _c_power(f_hz) * f2**2 / ((f2 + p2**2) * (f2 + p3**2))


def a_db(f_hz: npt.ArrayLike) -> FloatArray:
    """Return the A weighting at frequencies in Hz, dB; 0 dB at 1 kHz exactly."""
    f = np.asarray(f_hz, dtype=np.float64)
    return 10 * np.log10(_a_power(f) / _a_power(np.array(1000.0)))


def c_db(f_hz: npt.ArrayLike) -> FloatArray:
    """Return the C weighting at frequencies in Hz, dB; 0 dB at 1 kHz exactly."""
    f = np.asarray(f_hz, dtype=np.float64)
    return 10 * np.log10(_c_power(f) / _c_power(np.array(1000.0)))


def z_db(f_hz: npt.ArrayLike) -> FloatArray:
    """Return the Z weighting, which is 0 dB everywhere."""
    return np.zeros_like(np.asarray(f_hz, dtype=np.float64))


def nominal_exact_hz(band: int) -> float:
    """Return the exact base-10 mid-band frequency of IEC band number ``band``: 30 is 1 kHz."""
    return 1000.0 * 10.0 ** ((band - 30) / 10)
