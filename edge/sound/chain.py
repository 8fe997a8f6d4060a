"""The filters of the sound level meter: A and C weighting and the time weightings F and S, streaming.

State is kept from call to call, so that how a signal is cut into calls does not matter.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np

from edge.sound.block_filter import BlockFilter
from edge.sound.curves import FloatArray
from edge.sound.smoothing import Smoothed, Smoothing
from edge.sound.weighting import sections

F_TIME_S: Final = 0.125
"""Time constant of the F time weighting (IEC 61672-1:2013, 5.8)."""
S_TIME_S: Final = 1.0
"""Time constant of the S time weighting."""
DC_WINDOW_S: Final = 0.1
"""Time at the start whose mean stands for the offset that the signal had before it began."""


@dataclass(frozen=True, slots=True)
class Weighted:
    """A stretch of sound after the weightings, full scale 1. The arrays hold until the chain's next call."""

    a_energy: float
    """Sum of the squares of the A-weighted samples."""
    f: Smoothed
    s: Smoothed | None
    c: FloatArray | None
    z: FloatArray
    """The samples themselves, with the microphone's response corrected."""


class WeightingChain:
    """Weights sound at one rate.

    Both weightings block DC. They start in the state that the mean of the first tenth of a second would have led to,
    so that an offset costs nothing. ``correction`` are sections that go before both, ``a_only`` leaves out C and S.
    """

    def __init__(self, rate_hz: int, *, correction: FloatArray | None = None, a_only: bool = False) -> None:
        self._correction = None if correction is None else BlockFilter(correction)
        self._a = BlockFilter(sections("A", rate_hz))
        self._c = None if a_only else BlockFilter(sections("C", rate_hz))
        self._f = Smoothing(F_TIME_S, rate_hz)
        self._s = None if a_only else Smoothing(S_TIME_S, rate_hz)
        self._window = max(1, int(DC_WINDOW_S * rate_hz))
        self._fresh = True

    def reset(self) -> None:
        """Forget everything, as at the start."""
        self._fresh = True
        self._f.reset()
        if self._s is not None:
            self._s.reset()

    def restart_filters(self) -> None:
        """Preset the frequency weightings by what comes next, and keep the time weightings: after a short gap."""
        self._fresh = True

    def process(self, samples: FloatArray) -> Weighted:
        """Weight samples (full scale 1, contiguous)."""
        if self._fresh:
            self._preset(float(np.mean(samples[: self._window])))
        if self._correction is not None:
            samples = self._correction.process(samples)
        a = self._a.process(samples)
        squares = np.multiply(a, a, out=a)
        return Weighted(
            a_energy=float(squares.sum()),
            f=self._f.process(squares),
            s=None if self._s is None else self._s.process(squares),
            c=None if self._c is None else self._c.process(samples),
            z=samples,
        )

    def _preset(self, offset: float) -> None:
        if self._correction is not None:
            offset = self._correction.preset(offset)
        self._a.preset(offset)
        if self._c is not None:
            self._c.preset(offset)
        self._fresh = False
