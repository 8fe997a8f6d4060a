"""Second-order sections of the frequency weightings for any sampling rate."""

from __future__ import annotations

import json
from functools import cache
from typing import Literal

import numpy as np

from edge.sound.curves import FloatArray
from edge.sound.design import DATA, design_weighting

Letter = Literal["A", "C"]


@cache
def sections(letter: Letter, rate_hz: int) -> FloatArray:
    """Return the sections (n, 6) of a weighting: shipped for the usual rates, designed anew for others.

    Raises ``ValueError`` for a rate below 8 kHz.
    """
    shipped = _table().get(str(rate_hz))
    found = np.array(shipped[letter]) if shipped else design_weighting(letter, rate_hz)
    found.setflags(write=False)
    return found


@cache
def _table() -> dict[str, dict[str, list[list[float]]]]:
    return json.loads(DATA.read_text())["sections"]


@cache
def decimator_sections() -> FloatArray:
    """Return the elliptic low-pass (n, 6) that goes before each halving of the rate in the octave cascade."""
    found = np.array(json.loads(DATA.read_text())["decimator"])
    found.setflags(write=False)
    return found
