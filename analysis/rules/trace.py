"""A register's readings in little memory: a day of ten thousand meters must fit."""

from __future__ import annotations

from array import array
from bisect import bisect_left, bisect_right
from collections.abc import Iterable
from dataclasses import dataclass, field

from store.series.interface import WaterPoint


@dataclass(slots=True)
class Trace:
    """Times (seconds since 1970) and registers (ml), ascending in time; ``step_ml`` is that of the newest reading."""

    step_ml: int
    t_s: array[float] = field(default_factory=lambda: array("d"))
    volume_ml: array[int] = field(default_factory=lambda: array("q"))

    @classmethod
    def of(cls, points: Iterable[WaterPoint]) -> Trace:
        """Take readings, ascending in time."""
        trace = cls(step_ml=1)
        for point in points:
            trace.append(point)
        return trace

    def __len__(self) -> int:
        return len(self.t_s)

    def append(self, point: WaterPoint) -> None:
        """Take the next reading."""
        self.t_s.append(point.t.timestamp())
        self.volume_ml.append(point.volume_ml)
        self.step_ml = point.step_ml

    def drop_before(self, t_s: float) -> None:
        """Forget the readings before a time."""
        first = bisect_left(self.t_s, t_s)
        if first:
            del self.t_s[:first]
            del self.volume_ml[:first]

    def last_at_or_before(self, t_s: float) -> int:
        """Return the index of the last reading at or before a time, 0 where all are later."""
        return max(0, bisect_right(self.t_s, t_s) - 1)
