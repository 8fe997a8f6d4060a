"""1/3-octave bands (IEC 61260-1:2014, base 10, Butterworth of order 4) in a cascade that halves the rate.

The highest bands are filtered at the full rate, the three below them at half of it, the next three at a quarter, and
so on. A stage saves up its samples until it is worth a call, so that the low ones are not asked for a few at a time.
"""

from __future__ import annotations

import math
from typing import Final

import numpy as np

from edge.sound.block_filter import BlockFilter, Scratch, sum_of_squares
from edge.sound.curves import FloatArray, nominal_exact_hz
from edge.sound.design import response_db
from edge.sound.levels import LEVEL_DECIMALS, levels_db
from edge.sound.weighting import decimator_sections

LOWEST_BAND: Final = 11
"""12.5 Hz."""
HIGHEST_BAND: Final = 43
"""20 kHz."""
_HALF_WIDTH: Final = 10.0 ** (1 / 20)
"""Band edge over mid-band frequency: G to the power 1/6 with G = 10^0.3."""
_HIGHEST_EDGE: Final = 0.47
"""Upper edge of the highest band over the sampling rate, at most."""
_COMFORTABLE_EDGE: Final = 0.4
"""The same for the rates that are ours to choose: nearer to half of the rate, a band's flanks grow unlike."""
_ORDER: Final = 4
_WORTH: Final = 16_384
"""Samples that a stage saves up for a call; a few seconds of them in the low stages."""


def highest_band(rate_hz: int) -> int:
    """Return the highest band that a sampling rate can carry whole, at most 20 kHz."""
    return min(HIGHEST_BAND, math.floor(30 + 10 * math.log10(_HIGHEST_EDGE * rate_hz / _HALF_WIDTH / 1000)))


def band_sections(mid_hz: float, rate_hz: float) -> FloatArray:
    """Return the Butterworth band-pass (order 4 in each skirt) of a band as second-order sections (4, 6).

    Raises ``ValueError`` when the upper edge is not below half the rate.
    """
    if mid_hz * _HALF_WIDTH >= rate_hz / 2:
        raise ValueError(f"the band at {mid_hz:.0f} Hz does not fit a sampling rate of {rate_hz:.0f} Hz")
    low, high = (2 * rate_hz * math.tan(math.pi * edge / rate_hz)
                 for edge in (mid_hz / _HALF_WIDTH, mid_hz * _HALF_WIDTH))  # fmt: skip
    angles = np.pi * (2 * np.arange(1, _ORDER + 1) + _ORDER - 1) / (2 * _ORDER)
    prototype = np.exp(1j * angles) * (high - low) / 2
    spread = np.sqrt(prototype**2 - low * high)
    analogue = np.concatenate([prototype + spread, prototype - spread])
    poles = (2 * rate_hz + analogue) / (2 * rate_hz - analogue)
    upper = poles[poles.imag > 0]
    rows = [[1.0, 0.0, -1.0, 1.0, -2 * p.real, abs(p) ** 2] for p in sorted(upper, key=abs)]
    sections = np.array(rows)
    sections[:, :3] *= 10 ** (-response_db(sections, np.array([mid_hz]), rate_hz)[0] / 20 / len(rows))
    return sections


class BandEnergy:
    """Exposure (mean square times seconds, full scale 1) and time of each band from :data:`LOWEST_BAND` on."""

    __slots__ = ("exposure", "seconds")

    def __init__(self) -> None:
        self.exposure = np.zeros(HIGHEST_BAND - LOWEST_BAND + 1)
        self.seconds = np.zeros(HIGHEST_BAND - LOWEST_BAND + 1)

    def add(self, other: BandEnergy) -> None:
        """Add another's."""
        self.exposure += other.exposure
        self.seconds += other.seconds

    def levels_db(self, full_scale_db: float, offsets_db: FloatArray | None = None) -> list[float | None]:
        """Return each band's Leq, dB re 20 µPa, up to the highest that was measured; ``None`` for one without time.

        ``offsets_db`` are added to them, one for each band.
        """
        measured = np.flatnonzero(self.seconds)
        if not len(measured):
            return []
        count = int(measured[-1]) + 1
        means = self.exposure[:count] / np.maximum(self.seconds[:count], 1e-12)
        levels = levels_db(means, full_scale_db) + (0.0 if offsets_db is None else offsets_db[:count])
        return [
            round(float(level), LEVEL_DECIMALS) if time else None
            for level, time in zip(levels, self.seconds[:count], strict=True)
        ]


class _Stage:
    """The bands at one rate, and the way to half of it."""

    def __init__(self, bands: list[int], rate_hz: float, passed_db: list[float], scratch: Scratch) -> None:
        self.bands = bands
        self.rate_hz = rate_hz
        self._filters = [
            BlockFilter(band_sections(nominal_exact_hz(b), rate_hz), scratch=scratch) for b in bands
        ]
        self._gains = [10 ** (-db / 10) for db in passed_db]
        self._decimator = BlockFilter(decimator_sections(), keep=2)
        self._saved: list[FloatArray] = []
        self._saved_samples = 0
        self.energies = np.zeros(len(bands))
        self.samples = 0

    def preset(self, value: float) -> float:
        for one in self._filters:
            one.preset(value)
        self._saved, self._saved_samples = [], 0
        return self._decimator.preset(value)

    def push(self, samples: FloatArray, *, last: bool, at_once: bool) -> FloatArray:
        """Take samples in; return what the stage below gets, in room that holds until the next call."""
        count = self._saved_samples + len(samples)
        even = count - count % 2
        if even < (2 if at_once else _WORTH):
            self._saved.append(samples.copy())
            self._saved_samples = count
            return samples[:0]
        together = np.concatenate([*self._saved, samples]) if self._saved else samples
        self._saved, self._saved_samples = [together[even:].copy()], count - even
        together = together[:even]
        for index, one in enumerate(self._filters):
            self.energies[index] += self._gains[index] * sum_of_squares(one.process(together))
        self.samples += even
        return together[:0] if last else self._decimator.process(together)


class ThirdOctaves:
    """Band energies of a stream, from band 11 (12.5 Hz) to the highest that the rate can carry."""

    def __init__(self, rate_hz: int) -> None:
        self._highest = highest_band(rate_hz)
        scratch = Scratch()
        self._stages: list[_Stage] = []
        band, stage_rate, decimated = self._highest, float(rate_hz), []
        while band >= LOWEST_BAND:
            limit = stage_rate / 2 * _COMFORTABLE_EDGE
            bands = []
            while band >= LOWEST_BAND and nominal_exact_hz(band) * _HALF_WIDTH > limit:
                bands.append(band)
                band -= 1
            passed = [
                sum(
                    float(response_db(decimator_sections(), np.array([nominal_exact_hz(b)]), rate)[0])
                    for rate in decimated
                )
                for b in bands
            ]
            self._stages.append(_Stage(bands, stage_rate, passed, scratch))
            decimated.append(stage_rate)
            stage_rate /= 2
        self._fresh = True
        self._window = max(1, rate_hz // 10)

    @property
    def first_band(self) -> int:
        """The lowest band's number."""
        return LOWEST_BAND

    @property
    def count(self) -> int:
        """Number of bands."""
        return self._highest - LOWEST_BAND + 1

    def restart(self) -> None:
        """Preset the filters by what comes next: after a gap."""
        self._fresh = True

    def push(self, samples: FloatArray) -> None:
        """Take samples in."""
        if self._fresh:
            offset = float(np.mean(samples[: self._window]))
            for stage in self._stages:
                offset = stage.preset(offset)
            self._fresh = False
        self._run(samples, at_once=False)

    def take(self) -> BandEnergy:
        """Return the energy of each band since the last call, and begin anew."""
        self._run(np.empty(0), at_once=True)
        taken = BandEnergy()
        for stage in self._stages:
            for band, energy in zip(stage.bands, stage.energies, strict=True):
                taken.exposure[band - LOWEST_BAND] = energy / stage.rate_hz
                taken.seconds[band - LOWEST_BAND] = stage.samples / stage.rate_hz
            stage.energies[:] = 0.0
            stage.samples = 0
        return taken

    def _run(self, samples: FloatArray, *, at_once: bool) -> None:
        for number, stage in enumerate(self._stages):
            samples = stage.push(samples, last=number == len(self._stages) - 1, at_once=at_once)
            if not len(samples) and not at_once:
                return
