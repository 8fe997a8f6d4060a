"""Recognising the tone of an acoustic calibrator (IEC 60942) in a second of sound."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np

from edge.sound.curves import FloatArray, a_db

CALIBRATOR_HZ: Final = 1000.0
_NEAR_HZ: Final = 30.0
"""How far a calibrator's frequency may be off; IEC 60942 allows less, sound cards' crystals add nothing to speak of."""
_PURE: Final = 0.95
"""Share of the A-weighted energy that the tone holds at least."""
_MAIN_LOBE: Final = 3


@dataclass(frozen=True, slots=True)
class Tone:
    """The strongest tone of a second: where it is and what share of the A-weighted energy it holds."""

    frequency_hz: float
    share: float

    @property
    def is_calibrator(self) -> bool:
        """Whether it is a pure tone of 1 kHz."""
        return abs(self.frequency_hz - CALIBRATOR_HZ) <= _NEAR_HZ and self.share >= _PURE


def strongest_tone(samples: FloatArray, rate_hz: int) -> Tone:
    """Find the strongest tone by its peak in the A-weighted spectrum (Hann window)."""
    count = len(samples)
    spectrum = np.abs(np.fft.rfft((samples - samples.mean()) * np.hanning(count))) ** 2
    frequencies = np.fft.rfftfreq(count, 1 / rate_hz)
    spectrum[1:] *= 10 ** (a_db(frequencies[1:]) / 10)
    spectrum[0] = 0.0
    total = float(spectrum.sum())
    if total <= 0 or len(spectrum) < 2 * _MAIN_LOBE + 2:
        return Tone(0.0, 0.0)
    peak = int(np.clip(np.argmax(spectrum), _MAIN_LOBE, len(spectrum) - _MAIN_LOBE - 1))
    lobe = slice(peak - _MAIN_LOBE, peak + _MAIN_LOBE + 1)
    weights = spectrum[lobe]
    frequency = float((weights * frequencies[lobe]).sum() / weights.sum()) if weights.sum() > 0 else 0.0
    return Tone(frequency, float(weights.sum()) / total)
