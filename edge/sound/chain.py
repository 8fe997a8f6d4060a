"""The filters of the sound level meter: A and C weighting and the time weightings F and S, streaming.

State is kept from call to call, so that how a signal is cut into calls does not matter.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from scipy import signal

from edge.sound.curves import FloatArray
from edge.sound.weighting import sections

F_TIME_S: Final = 0.125
"""Time constant of the F time weighting (IEC 61672-1:2013, 5.8)."""
S_TIME_S: Final = 1.0
"""Time constant of the S time weighting."""
DC_WINDOW_S: Final = 0.1
"""Time at the start whose mean stands for the offset that the signal had before it began."""


@dataclass(frozen=True, slots=True)
class Weighted:
    """A stretch of sound after the weightings, one value a sample, full scale 1."""

    a_squared: FloatArray
    c: FloatArray
    f_mean_square: FloatArray
    s_mean_square: FloatArray


class WeightingChain:
    """Weights sound at one rate. Both weightings block DC, so the offset is taken off before them: it costs nothing."""

    def __init__(self, rate_hz: int) -> None:
        self._a = sections("A", rate_hz).copy()
        self._c = sections("C", rate_hz).copy()
        self._window = max(1, int(DC_WINDOW_S * rate_hz))
        self._f_decay = float(np.exp(-1 / (F_TIME_S * rate_hz)))
        self._s_decay = float(np.exp(-1 / (S_TIME_S * rate_hz)))
        self.reset()

    def reset(self) -> None:
        """Forget everything, as at the start."""
        self.restart_filters()
        self._f_state = np.zeros(1)
        self._s_state = np.zeros(1)

    def restart_filters(self) -> None:
        """Preset the frequency weightings by what comes next, and keep the time weightings: after a short gap."""
        self._offset: float | None = None
        self._a_state = np.zeros((len(self._a), 2))
        self._c_state = np.zeros((len(self._c), 2))

    def process(self, samples: FloatArray) -> Weighted:
        """Weight samples (full scale 1)."""
        if self._offset is None:
            self._offset = float(np.mean(samples[: self._window]))
        centred = samples - self._offset
        a, self._a_state = signal.sosfilt(self._a, centred, zi=self._a_state)
        c, self._c_state = signal.sosfilt(self._c, centred, zi=self._c_state)
        squared = a * a
        f, self._f_state = _smooth(squared, self._f_decay, self._f_state)
        s, self._s_state = _smooth(squared, self._s_decay, self._s_state)
        return Weighted(squared, c, f, s)


def _smooth(squared: FloatArray, decay: float, state: FloatArray) -> tuple[FloatArray, FloatArray]:
    return signal.lfilter([1 - decay], [1, -decay], squared, zi=state)
