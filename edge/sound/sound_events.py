"""Sound events: what stood out of the background, from when to when and how loud.

An event begins when LAF rises above the running L90 by a margin and stays there for a while, and ends when it has
fallen below for a while. The decision is a pure function of the LAF samples of each second.
"""

from __future__ import annotations

import math
from collections import deque
from dataclasses import dataclass, field
from typing import Final, Literal

import numpy as np
import numpy.typing as npt

from edge.sound.curves import FloatArray
from edge.sound.octaves import BandEnergy
from edge.sound.second import MeteredSecond, laf_step
from edge.sound.settings import SoundEventSettings

_F_TIME_S: Final = 0.125
_LOWEST_BIN: Final = -500
_BINS: Final = 2501
Ending = Literal["faded", "too_long", "interrupted"]


@dataclass(slots=True)
class SoundEvent:
    """An event under way or over. Times in seconds since 1970, levels in dB re 20 µPa."""

    starts: float
    background_db: float
    threshold_db: float
    before_db: float
    step_s: float
    levels_db: list[float] = field(default_factory=list)
    above: int = 0
    below: int = 0
    confirmed: bool = False
    bands: BandEnergy = field(default_factory=BandEnergy)
    ending: Ending = "faded"

    @property
    def heard(self) -> FloatArray:
        """LAF from the start to the last sample above the threshold."""
        return np.array(self.levels_db[: len(self.levels_db) - self.below])

    @property
    def duration_s(self) -> float:
        """From the first to the last sample above the threshold."""
        return len(self.heard) * self.step_s

    @property
    def lafmax_db(self) -> float:
        """Highest LAF sample."""
        return float(self.heard.max())

    @property
    def lae_db(self) -> float:
        """Sound exposure level from the start to the end.

        The F time weighting follows tau dF/dt = p^2 - F, so the exposure is the integral of F, plus tau times
        what F has gained in that time.
        """
        f = 10 ** (self.heard / 10)
        before = 10 ** (self.before_db / 10)
        exposure = (f.sum() - f[-1] / 2 + before / 2) * self.step_s + _F_TIME_S * (f[-1] - before)
        return 10 * math.log10(max(exposure, 1e-5))

    @property
    def onset_db_per_s(self) -> float:
        """Steepest rise of LAF over a tenth of a second."""
        f = np.concatenate([[self.before_db], self.heard])
        step = round(0.1 / self.step_s)
        return float((f[step:] - f[:-step]).max() / (step * self.step_s)) if len(f) > step else 0.0

    @property
    def bursts(self) -> int:
        """How often LAF rose again after a fall of 6 dB: barks, blows, cries."""
        count, low, high, rising = 1, math.inf, -math.inf, True
        for level in self.heard:
            if rising:
                high = max(high, level)
                if level < high - 6:
                    rising, low = False, level
            else:
                low = min(low, level)
                if level > low + 6:
                    rising, high, count = True, level, count + 1
        return count


@dataclass(frozen=True, slots=True)
class Look:
    """What a second means: the event that its sound belongs to, and the one that ended in it."""

    under_way: SoundEvent | None = None
    finished: SoundEvent | None = None


class EventDetector:
    """Finds events in the seconds of one device."""

    def __init__(self, settings: SoundEventSettings, rate_hz: int) -> None:
        self._settings = settings
        self._step_s = laf_step(rate_hz) / rate_hz
        self._background = _Background(settings.background_s)
        self._event: SoundEvent | None = None
        self._last_db = 0.0

    def update(self, second: MeteredSecond, *, valid: bool) -> Look:
        """Take a second. An invalid or incomplete one interrupts an event."""
        if not valid or second.measured_ms < 1000:
            return Look(finished=self._interrupt())
        levels = second.laf_samples_db
        threshold = self._threshold_db()
        if self._event is None and (threshold is None or not len(levels) or levels.max() < threshold):
            finished, touched = None, None
        else:
            touched = self._event
            finished = None
            first_s = second.t + 1 - len(levels) * self._step_s
            for number, level in enumerate(levels.tolist()):
                if self._event is None and threshold is not None and level >= threshold:
                    background = threshold if self._background.l90_db is None else self._background.l90_db
                    before = self._last_db if number else min(self._last_db, threshold)
                    at = first_s + number * self._step_s
                    self._event = SoundEvent(at, background, threshold, before, self._step_s)
                    touched = touched or self._event
                if self._event is not None and self._step(self._event, level):
                    finished = self._close() or finished
                self._last_db = level
            touched = self._event or touched
        if len(levels):
            self._last_db = float(levels[-1])
        self._background.add(second.laf_bins)
        return Look(under_way=touched, finished=finished)

    # -- inside ------------------------------------------------------------------------------------------------

    def _threshold_db(self) -> float | None:
        l90 = self._background.l90_db
        return None if l90 is None else max(l90 + self._settings.margin_db, self._settings.at_least_db)

    def _step(self, event: SoundEvent, level: float) -> bool:
        """Take a sample into an event; say whether the event is over."""
        settings = self._settings
        event.levels_db.append(level)
        if level >= event.threshold_db:
            event.above += 1
            event.below = 0
        else:
            event.below += 1
        event.confirmed |= event.above >= settings.for_s / self._step_s
        if len(event.levels_db) >= settings.longest_s / self._step_s:
            event.ending = "too_long"
            return True
        return event.below >= settings.hold_s / self._step_s

    def _close(self) -> SoundEvent | None:
        event, self._event = self._event, None
        return event if event is not None and event.confirmed else None

    def _interrupt(self) -> SoundEvent | None:
        if self._event is not None:
            self._event.ending = "interrupted"
        return self._close()


class _Background:
    """LAF histogram of the last minutes."""

    def __init__(self, seconds: int) -> None:
        self._most = seconds
        self._least = min(60, seconds)
        self._kept: deque[npt.NDArray[np.int64]] = deque()
        self._counts = np.zeros(_BINS, np.int64)
        self._l90_db: float | None = None

    @property
    def l90_db(self) -> float | None:
        """Level exceeded for 90 % of the time; ``None`` in the first minute."""
        return self._l90_db

    def add(self, bins: npt.NDArray[np.int64]) -> None:
        places = np.clip(bins - _LOWEST_BIN, 0, _BINS - 1)
        self._kept.append(places)
        self._counts += np.bincount(places, minlength=_BINS)
        if len(self._kept) > self._most:
            self._counts -= np.bincount(self._kept.popleft(), minlength=_BINS)
        if len(self._kept) >= self._least:
            reached = np.cumsum(self._counts)
            self._l90_db = (int(np.searchsorted(reached, 0.1 * reached[-1])) + _LOWEST_BIN) / 10
