"""Measuring a recording: every second of it, and a summary."""

from __future__ import annotations

import math
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Final

import numpy as np
import numpy.typing as npt

from contract.flags import NOISE_EXCLUDED, names
from edge.sound.curves import FloatArray
from edge.sound.levels import LEVEL_DECIMALS
from edge.sound.meter import Limits, SoundLevelMeter
from edge.sound.octaves import LOWEST_BAND, BandEnergy
from edge.sound.second import MeteredSecond
from edge.sound.sources.base import Gap, Source, SourceError
from edge.sound.spectrum import SpectrumLedger
from edge.sound.wiring import HALF_ZERO_WARNING, half_zero

EXCEEDED_PERCENT: Final = (5, 10, 50, 90, 95)
_LOWEST_BIN: Final = -500
_BINS: Final = 2501
""":class:`contract.messages.NoiseMinute` allows bins from -50 to 200 dB."""


def measure(
    source: Source, *, full_scale_db: float, start: int = 0, limits: Limits | None = None,
    correction: FloatArray | None = None, stop: threading.Event | None = None,
    on_warning: Callable[[str], object] = lambda _text: None,
) -> Iterator[MeteredSecond]:  # fmt: skip
    """Yield each second of a source, the last one even if it is not whole.

    ``on_warning`` hears of what makes the result doubtful: a wiring fault, sound that was lost. Raises
    :class:`SourceError` when a device cannot be opened in the first place.
    """
    meter = SoundLevelMeter(
        source.rate_hz, full_scale_db=full_scale_db, start=start, correction=correction,
        limits=limits or Limits(clip=source.clip),
    )  # fmt: skip
    heard = checked = False
    for item in source.stream(stop or threading.Event()):
        if isinstance(item, Gap):
            if item.lost and not heard:
                raise SourceError(item.reason)
            on_warning(item.reason)
            yield from meter.skip(item.samples or 1)  # how much it was only a clock could tell
            meter.restart(held=not item.lost)
            continue
        heard = True
        if not checked and item.samples.any():
            checked = True
            if half_zero(item.samples):
                on_warning(HALF_ZERO_WARNING)
        yield from meter.push(item.samples)
    yield from meter.finish()


@dataclass(slots=True)
class Summary:
    """Levels over all that was added. ``spectrum_rate_hz`` is the rate where bands are wanted.

    Who measures a recording asks for that recording, silence between two sounds and clipped peaks included; flags say
    what is doubtful, and ``laeq_valid_db`` is the average without the seconds that a station would leave out.
    """

    full_scale_db: float
    spectrum_rate_hz: int | None = None
    seconds: int = 0
    measured_ms: int = 0
    valid_ms: int = 0
    flagged_s: dict[str, int] = field(default_factory=dict)
    _energy: float = 0.0
    _valid_energy: float = 0.0
    _lafmax_db: float = -math.inf
    _lafmin_db: float = math.inf
    _lcpeak_db: float = -math.inf
    _counts: npt.NDArray[np.int64] = field(default_factory=lambda: np.zeros(_BINS, np.int64))
    _ledger: SpectrumLedger | None = None
    _bands: BandEnergy = field(default_factory=BandEnergy)

    def __post_init__(self) -> None:
        if self.spectrum_rate_hz is not None:
            self._ledger = SpectrumLedger(self.spectrum_rate_hz)

    def add(self, second: MeteredSecond) -> None:
        """Add a second."""
        self.seconds += 1
        self.measured_ms += second.measured_ms
        for name in names(second.flags):
            self.flagged_s[name] = self.flagged_s.get(name, 0) + 1
        if self._ledger is not None:
            self._ledger.add(second, (self._bands,))
        energy = second.measured_ms * 10 ** (second.laeq_db / 10)
        self._energy += energy
        if not second.flags & NOISE_EXCLUDED:
            self.valid_ms += second.measured_ms
            self._valid_energy += energy
        self._lafmax_db = max(self._lafmax_db, second.lafmax_db)
        self._lafmin_db = min(self._lafmin_db, second.lafmin_db)
        self._lcpeak_db = max(self._lcpeak_db, second.lcpeak_db or -math.inf)
        self._counts += np.bincount(np.clip(second.laf_bins - _LOWEST_BIN, 0, _BINS - 1), minlength=_BINS)

    def result(self) -> dict[str, object]:
        """Return the summary; levels are ``None`` where nothing was measured."""
        any_sound = self.measured_ms > 0
        laeq_db = 10 * math.log10(self._energy / self.measured_ms) if any_sound else None
        levels = {
            "laeq_db": laeq_db,
            "laeq_valid_db": 10 * math.log10(self._valid_energy / self.valid_ms) if self.valid_ms else None,
            "lae_db": None if laeq_db is None else laeq_db + 10 * math.log10(self.measured_ms / 1000),
            "lafmax_db": self._lafmax_db if any_sound else None,
            "lafmin_db": self._lafmin_db if any_sound else None,
            "lcpeak_db": self._lcpeak_db if any_sound else None,
            **self._exceeded(),
        }
        return {
            "seconds": self.seconds,
            "duration_s": self.measured_ms / 1000,
            "valid_s": self.valid_ms / 1000,
            **{key: None if value is None else round(value, LEVEL_DECIMALS) for key, value in levels.items()},
            "flagged_s": self.flagged_s,
            **self._spectrum(),
        }

    def _spectrum(self) -> dict[str, object]:
        if self._ledger is None:
            return {}
        self._ledger.settle()
        return {"first_band": LOWEST_BAND, "bands_db": self._bands.levels_db(self.full_scale_db)}

    def _exceeded(self) -> dict[str, float | None]:
        return {f"l{n}_db": exceeded_db(self._counts, n) for n in EXCEEDED_PERCENT}


def exceeded_db(counts: npt.NDArray[np.int64], percent: float) -> float | None:
    """Return the level exceeded for ``percent`` of the LAF samples, interpolated within its 0.1 dB bin.

    ``counts`` are the samples in each bin from -50 dB on.
    """
    total = int(counts.sum())
    if not total:
        return None
    below = np.cumsum(counts)
    wanted = total * (1 - percent / 100)
    index = int(np.searchsorted(below, wanted, side="left")) if wanted > 0 else int(np.flatnonzero(counts)[0])
    within = (wanted - (below[index] - counts[index])) / counts[index]
    return float((index + _LOWEST_BIN + within) / 10)
