"""The tables that the selftest runs: IEC 61672-1:2013 and IEC 61260-1:2014, class 1.

Limits are on the deviation from the design goal; an infinite one is no limit. All were checked against public
transcriptions of the standards, not against the printed originals.
"""

from __future__ import annotations

import math
from typing import Final

import numpy as np

from edge.sound.curves import FloatArray

INF: Final = float("inf")

# IEC band number: nominal frequency, upper and lower limit of class 1, dB (table 3; the same for A, C and Z).
WEIGHTING_LIMITS: Final[dict[int, tuple[str, float, float]]] = {
    10: ("10", 3.0, -INF), 11: ("12.5", 2.5, -INF), 12: ("16", 2.0, -4.0), 13: ("20", 2.0, -2.0),
    14: ("25", 2.0, -1.5), 15: ("31.5", 1.5, -1.5), 16: ("40", 1.0, -1.0), 17: ("50", 1.0, -1.0),
    18: ("63", 1.0, -1.0), 19: ("80", 1.0, -1.0), 20: ("100", 1.0, -1.0), 21: ("125", 1.0, -1.0),
    22: ("160", 1.0, -1.0), 23: ("200", 1.0, -1.0), 24: ("250", 1.0, -1.0), 25: ("315", 1.0, -1.0),
    26: ("400", 1.0, -1.0), 27: ("500", 1.0, -1.0), 28: ("630", 1.0, -1.0), 29: ("800", 1.0, -1.0),
    30: ("1000", 0.7, -0.7), 31: ("1250", 1.0, -1.0), 32: ("1600", 1.0, -1.0), 33: ("2000", 1.0, -1.0),
    34: ("2500", 1.0, -1.0), 35: ("3150", 1.0, -1.0), 36: ("4000", 1.0, -1.0), 37: ("5000", 1.5, -1.5),
    38: ("6300", 1.5, -2.0), 39: ("8000", 1.5, -2.5), 40: ("10000", 2.0, -3.0), 41: ("12500", 2.0, -5.0),
    42: ("16000", 2.5, -16.0), 43: ("20000", 3.0, -INF),
}  # fmt: skip

# Duration in ms: upper and lower limit of class 1 for LAFmax and LAE, and for LASmax (table 4).
TONEBURST_LIMITS: Final[dict[float, tuple[tuple[float, float], tuple[float, float] | None]]] = {
    1000: ((0.5, -0.5), (0.5, -0.5)), 500: ((0.5, -0.5), (0.5, -0.5)), 200: ((0.5, -0.5), (0.5, -0.5)),
    100: ((1.0, -1.0), (1.0, -1.0)), 50: ((1.0, -1.0), (1.0, -1.0)), 20: ((1.0, -1.0), (1.0, -1.5)),
    10: ((1.0, -1.0), (1.0, -2.0)), 5: ((1.0, -1.0), (1.0, -2.5)), 2: ((1.0, -1.5), (1.0, -3.0)),
    1: ((1.0, -2.0), None), 0.5: ((1.0, -2.5), None), 0.25: ((1.0, -3.0), None),
}  # fmt: skip
TONEBURST_HZ: Final = 4000.0

# Signal: frequency, part of a cycle, LCpeak - LC of the steady signal, limit of class 1 (table 5).
PEAK_CASES: Final = (
    ("one cycle", 31.5, 1.0, 2.5, 2.0),
    ("one cycle", 500.0, 1.0, 3.5, 1.0),
    ("one cycle", 8000.0, 1.0, 3.4, 2.0),
    ("positive half cycle", 500.0, 0.5, 2.4, 1.0),
    ("negative half cycle", 500.0, -0.5, 2.4, 1.0),
)

LINEARITY_DB: Final = 0.8
"""Level linearity, class 1 (5.6); the reference for LAeq is exact, so it is held against the input's own level."""
STEP_LINEARITY_DB: Final = 0.3
"""Linearity of a change of 1 to 10 dB, class 1."""
C_Z_AT_1K_DB: Final = 0.2
"""C and Z against A at 1 kHz (5.5)."""
S_LEQ_AT_1K_DB: Final = 0.1
"""S and Leq against F for a steady 1 kHz tone (5.8)."""
OVERLOAD_SYMMETRY_DB: Final = 1.5
"""Onset of the overload indication for positive against negative half cycles (5.11)."""

F_DECAY_DB_PER_S: Final = 10 / (0.125 * math.log(10))
S_DECAY_DB_PER_S: Final = 10 / math.log(10)
F_DECAY_LIMITS: Final = (3.8, -3.7)
"""Decay after a steady tone stops, F: 34.7 dB/s +3.8, -3.7 (5.8.3)."""
S_DECAY_LIMITS: Final = (0.8, -0.7)
"""S: 4.3 dB/s +0.8, -0.7."""

_G: Final = 10**0.3
# Exponent of the octave ratio: least and most relative attenuation of class 1, dB (IEC 61260-1:2014, table 1).
BAND_MASK: Final = (
    (0.0, -0.4, 0.4), (1 / 8, -0.4, 0.5), (1 / 4, -0.4, 0.7), (3 / 8, -0.4, 1.4), (1 / 2, -0.4, 5.3),
    (1 / 2, 1.2, INF), (1.0, 16.6, INF), (2.0, 40.5, INF), (3.0, 60.0, INF), (4.0, 70.0, INF),
)  # fmt: skip
_INSIDE: Final = 5
"""Rows of the mask within the band's edges."""


def breakpoint_ratio(exponent: float) -> float:
    """Return f/fm of a 1/3-octave breakpoint above the band (formula 9); below it is the inverse."""
    return 1 + (_G ** (1 / 6) - 1) / (_G**0.5 - 1) * (_G**exponent - 1)


def mask_limits(ratio: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Return the least and the most relative attenuation at ratios f/fm, between breakpoints as formula 10 says."""
    above = np.log(np.maximum(ratio, 1 / ratio))
    points = np.log([breakpoint_ratio(row[0]) for row in BAND_MASK])
    least, most = np.array([row[1] for row in BAND_MASK]), np.array([row[2] for row in BAND_MASK])
    inside = above < points[_INSIDE]
    lowest = np.where(inside, least[0], np.interp(above, points[_INSIDE:], least[_INSIDE:]))
    highest = np.where(inside, np.interp(above, points[:_INSIDE], most[:_INSIDE]), INF)
    return lowest, highest
