"""What each sub-meter of a quarter usually draws, hour by hour of the day, and how likely it is silent.

A radio that is out often repeats the last reading, which looks like a household that draws nothing. Which of the two
it is follows from how seldom this household stops drawing at those hours, and is settled when the meter reports again:
litres that had piled up come all at once.
"""

from __future__ import annotations

from typing import Final, NamedTuple

import msgspec
import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]

_MEMORY_DAYS: Final = 21.0
_LONGEST_RUN_H: Final = 240
_OUTAGE_PER_H: Final = 1.0 / 2000.0
"""How often a radio falls out: once in three months."""
_AWAY_PER_H: Final = 1.0 / 700.0
"""How often a household leaves for a day or more: once a month."""
_LEAST_IDLE: Final = 0.05
_MOST_IDLE: Final = 0.98
_RESTS: Final = 0.4
"""A household without an hour of the day that is idle on more days than this does not fall quiet by going away."""
_WORTH_LOOKING: Final = 1.5
_STRANGE: Final = 5.0
"""A stretch without use of a chance below exp(-5), 1 in 150: what comes after it is taken for piled up."""
_LEAST_PEAK_L: Final = 50.0


class Silence(NamedTuple):
    """Of the newest hours, oldest first: the chance that each was silent, and what is then drawn unseen.

    ``idle`` is the chance that nothing is drawn in the hour, ``mean_l`` its average use in litres.
    """

    chance: Floats
    idle: Floats
    mean_l: Floats


class Ended(NamedTuple):
    """What is now known of the newest hours, oldest first, of which the last ended a silence.

    ``shares_l`` is how the litres that came all at once in the last hour spread over them, with its variance. Where
    the litres of a silence stay unknown the shares are 0, and ``hidden`` says what may have been drawn.
    """

    shares_l: Floats
    variances_l2: Floats
    hidden: Silence | None = None


def _of_hours(value: float) -> list[float]:
    return [value] * 24


class SubMeter(msgspec.Struct):
    """One sub-meter's habits by hour of the day, and the stretch without use that it is in."""

    seen: list[int] = msgspec.field(default_factory=lambda: [0] * 24)
    mean_l: list[float] = msgspec.field(default_factory=lambda: _of_hours(0.0))
    square_l2: list[float] = msgspec.field(default_factory=lambda: _of_hours(0.0))
    idle: list[float] = msgspec.field(default_factory=lambda: _of_hours(0.5))
    """Share of days on which the hour passed without use."""
    stays_idle: list[float] = msgspec.field(default_factory=lambda: _of_hours(0.7))
    """The same, of days on which the hour before passed without use."""
    peak_l: float = 0.0
    """The most drawn in one hour, slowly forgotten."""
    was_idle: bool = False
    run: list[int] = []
    """Hours of the day of the stretch without use that is going on."""
    strangeness: float = 0.0
    """Minus the logarithm of the stretch's chance."""
    known_silent: bool = False

    @property
    def silent_h(self) -> int:
        """For how many hours the meter is known, or more likely than not, to be silent; 0 if it is not."""
        silence = self.silence()
        return int((silence.chance > 0.5).sum()) if silence is not None else 0

    def take(self, hour: int, volume_l: float | None, backlog_l: float | None = None) -> Ended | None:
        """Take an hour's gain; return what it tells about the hours before it, if they were silent or seemed so.

        ``None`` is an hour known to be silent. ``backlog_l`` is what the meter gained from a known silence on, this
        hour included, where that came to be known.
        """
        if volume_l is None or (volume_l <= 0.0 and not self.known_silent):
            self.known_silent = volume_l is None
            self.strangeness -= float(np.log(np.clip(self.stays_idle[hour], _LEAST_IDLE, _MOST_IDLE)))
            self.run = [*self.run[-_LONGEST_RUN_H + 1 :], hour]
            return None
        run, known, strange = self.run, self.known_silent, self.strangeness > _STRANGE
        hidden = self.silence()
        self.run, self.strangeness, self.known_silent = [], 0.0, False
        if known:
            self.was_idle = False
            return self._stay_hidden(hidden) if backlog_l is None else self._spread([*run, hour], backlog_l)
        if run and (strange or volume_l > 1.5 * max(self.peak_l, _LEAST_PEAK_L)):
            self.was_idle = False
            return self._spread([*run, hour], volume_l)
        for idle_hour in run:
            self._learn(idle_hour, 0.0)
        self._learn(hour, volume_l)
        return None

    def silence(self) -> Silence | None:
        """Return how likely the hours of the stretch that goes on are silent, or ``None`` where hardly at all."""
        if not self.run or (not self.known_silent and self.strangeness < _WORTH_LOOKING):
            return None
        hours = np.array(self.run)
        chance = np.ones(len(hours)) if self.known_silent else self._chance_silent(hours)
        idle = np.clip(np.array(self.idle)[hours], 1.0 - _MOST_IDLE, _MOST_IDLE)
        return Silence(chance, idle, np.array(self.mean_l)[hours])

    def _chance_silent(self, hours: npt.NDArray[np.int_]) -> Floats:
        """Weigh three accounts of the stretch: no use by chance, away since hour s, silent since hour s."""
        idle = np.clip(np.array(self.stays_idle)[hours], _LEAST_IDLE, _MOST_IDLE)
        strange_from = np.exp(np.minimum(np.cumsum(-np.log(idle)[::-1])[::-1], 300.0))
        out = _OUTAGE_PER_H * strange_from
        away = _AWAY_PER_H * float(strange_from.sum()) if max(self.idle) > _RESTS else 0.0
        return np.cumsum(out) / (1.0 + away + out.sum())

    def _stay_hidden(self, silence: Silence | None) -> Ended | None:
        if silence is None:
            return None
        now = Silence(
            *(np.append(column, value) for column, value in zip(silence, (0.0, 1.0, 0.0), strict=True))
        )
        nothing = np.zeros(len(now.chance))
        return Ended(nothing, nothing, now)

    def _spread(self, hours: list[int], volume_l: float) -> Ended:
        """Share a backlog out as the household usually draws; after an absence it is small, and so is the doubt."""
        mean = np.array(self.mean_l)[hours] + 0.1
        variance = np.maximum(1.0, np.array(self.square_l2)[hours] - np.array(self.mean_l)[hours] ** 2)
        return Ended(volume_l * mean / mean.sum(), variance * min(1.0, volume_l / float(mean.sum())))

    def _learn(self, hour: int, volume_l: float) -> None:
        idle = float(volume_l <= 0.0)
        self.seen[hour] += 1
        rate = max(1.0 / _MEMORY_DAYS, 1.0 / (self.seen[hour] + 1))
        self.mean_l[hour] += rate * (volume_l - self.mean_l[hour])
        self.square_l2[hour] += rate * (volume_l * volume_l - self.square_l2[hour])
        self.idle[hour] += rate * (idle - self.idle[hour])
        if self.was_idle:
            self.stays_idle[hour] += rate * (idle - self.stays_idle[hour])
        self.was_idle = bool(idle)
        self.peak_l = max(volume_l, self.peak_l * 0.9995)
