"""A unit's own past: the highest value that each statistic reached on ordinary days.

What happened during a leak must not become the measure of what is usual, and neither must the days before the leak
was noticed. So a day waits before it counts, and an alarm strikes out the days that it began in.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta

import msgspec

_DAY = timedelta(days=1)


class DayPeaks(msgspec.Struct, array_like=True):
    """The highest value of each statistic within 24 h from ``start`` on."""

    start: datetime
    peaks: list[float]


class PeakHistory(msgspec.Struct):
    """Daily maxima of ``count`` statistics over the last ``keep_days``, admitted ``wait_days`` later.

    ``highest(i)`` is the measure of what is usual for statistic ``i``; 0 before anything was admitted.
    """

    count: int
    keep_days: int = 60
    wait_days: int = 4
    today: DayPeaks | None = None
    waiting: list[DayPeaks] = []
    admitted: list[DayPeaks] = []
    tops: list[float] = []

    def __post_init__(self) -> None:
        if not self.tops:
            self.tops = [0.0] * self.count

    def highest(self, index: int) -> float:
        """Return the highest admitted value of a statistic."""
        return self.tops[index]

    def add(self, t: datetime, values: Sequence[float]) -> None:
        """Note the statistics as they stand at ``t``."""
        if self.today is None or t - self.today.start >= _DAY:
            self._turn(t)
        assert self.today is not None
        self.today.peaks = list(map(max, self.today.peaks, values))

    def strike(self, since: datetime) -> None:
        """Forget what was noted from ``since`` on and is not admitted yet: it belongs to an alarm."""
        self.waiting = [day for day in self.waiting if day.start + _DAY <= since]
        if self.today is not None:
            self.today.peaks = [0.0] * self.count

    def admit(self, t: datetime, peaks: Sequence[float]) -> None:
        """Count what turned out to be ordinary after all, without waiting."""
        self.admitted.append(DayPeaks(t, list(peaks)))
        self.tops = list(map(max, self.tops, peaks))

    def _turn(self, t: datetime) -> None:
        if self.today is not None:
            self.waiting.append(self.today)
        self.today = DayPeaks(t, [0.0] * self.count)
        ripe, old = t - timedelta(days=self.wait_days), t - timedelta(days=self.keep_days)
        self.admitted += [day for day in self.waiting if day.start <= ripe]
        self.waiting = [day for day in self.waiting if day.start > ripe]
        self.admitted = [day for day in self.admitted if day.start >= old]
        self.tops = [max((day.peaks[i] for day in self.admitted), default=0.0) for i in range(self.count)]
