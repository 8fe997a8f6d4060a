"""Noticing that a calibrator is on the microphone while it measures. Nothing is calibrated by that: it is told."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

import numpy as np

from edge.sound.calibrating import LEVELS_DB
from edge.sound.levels import energy_mean_db
from edge.sound.second import MeteredSecond
from edge.sound.tone import strongest_tone

_NEAR_DB: Final = 5.0
_SAME_DB: Final = 0.5
_AFTER_S: Final = 1
_TOLD_FROM_S: Final = 3


@dataclass(frozen=True, slots=True)
class CheckReading:
    """What the device read while a calibrator was on it."""

    t: int
    seconds: int
    reading_db: float
    calibrator_db: float


@dataclass(slots=True)
class CalibratorWatch:
    """Follows the seconds of a live device at one rate."""

    rate_hz: int
    _levels: list[float] = field(default_factory=list)
    _since: int = 0
    _left: int = 0

    def update(self, second: MeteredSecond) -> tuple[bool, CheckReading | None]:
        """Say whether a calibrator is on, or came off just now; and what was read once it is off."""
        if self._is_calibrator(second):
            if not self._levels:
                self._since = second.t
            self._levels.append(second.laeq_db)
            self._left = _AFTER_S
            return True, None
        reading = self._reading()
        self._levels = []
        self._left, after = max(0, self._left - 1), self._left > 0
        return after, reading

    def _reading(self) -> CheckReading | None:
        if len(self._levels) < _TOLD_FROM_S:
            return None
        level = energy_mean_db(self._levels[1:-1])
        nominal = min(LEVELS_DB, key=lambda one: abs(level - one))
        return CheckReading(self._since, len(self._levels), level, nominal)

    def _is_calibrator(self, second: MeteredSecond) -> bool:
        """At 1 kHz the weightings agree: the spectrum is looked at only where they do, near 94 or 114 dB."""
        level = second.laeq_db
        if min(abs(level - nominal) for nominal in LEVELS_DB) > _NEAR_DB:
            return False
        if second.lceq_db is None or abs(second.lceq_db - level) > _SAME_DB:
            return False
        return strongest_tone(np.concatenate(second.sound), self.rate_hz).is_calibrator
