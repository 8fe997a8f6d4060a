"""Flow rows into whole days of 24 hourly means, as a district's inflow is compared."""

from __future__ import annotations

from datetime import date, datetime, timedelta
from typing import Final

import msgspec
import numpy as np

from analysis.leaks.rows import HourRow

_HOUR: Final = timedelta(hours=1)
_LEAST_COVERED_H: Final = 0.75
"""An hour of which less is known does not count."""
_LONGEST_ROW_H: Final = 2.0
"""What flowed in a longer row is known only in sum, and not at night or by day."""
LEAST_HOURS: Final = 20
"""A day of which fewer hours are known does not count."""


class Day(msgspec.Struct, frozen=True, array_like=True):
    """One day (its proleptic ordinal, ``date.toordinal``) and its 24 hourly mean flows, L/h.

    Where an hour is missing it stands between its neighbours.
    """

    ordinal: int
    lph: list[float]

    @property
    def weekday(self) -> int:
        """0 for Monday … 6 for Sunday."""
        return (self.ordinal - 1) % 7


class DayBook(msgspec.Struct):
    """The day that is being filled."""

    ordinal: int = 0
    volume_l: list[float] = msgspec.field(default_factory=lambda: [0.0] * 24)
    covered_h: list[float] = msgspec.field(default_factory=lambda: [0.0] * 24)

    def add(self, row: HourRow, start: datetime) -> Day | None:
        """Take a row that starts at local time ``start``; return the day that it completes, or finds completed."""
        finished = self._turn(start.date()) if start.date().toordinal() != self.ordinal else None
        if row.volume_l is None or row.duration_h > _LONGEST_ROW_H:
            return finished
        at, left_h = start, row.duration_h
        while left_h > 1e-6:
            here_h = min(left_h, (at.replace(minute=0, second=0, microsecond=0) + _HOUR - at) / _HOUR)
            if at.date().toordinal() != self.ordinal:
                finished = self._turn(at.date()) or finished
            self.volume_l[at.hour] += row.volume_l * here_h / row.duration_h
            self.covered_h[at.hour] += here_h
            at, left_h = at + timedelta(hours=here_h), left_h - here_h
        if at.date().toordinal() != self.ordinal and self.covered_h[23] >= _LEAST_COVERED_H:
            finished = self._turn(at.date()) or finished
        return finished

    def _turn(self, today: date) -> Day | None:
        """Begin another day and return the one before, if enough of it is known."""
        covered = np.array(self.covered_h)
        known = np.flatnonzero(covered >= _LEAST_COVERED_H)
        day = None
        if len(known) >= LEAST_HOURS:
            flows = np.array(self.volume_l)[known] / covered[known]
            day = Day(self.ordinal, np.interp(np.arange(24), known, flows).tolist())
        self.ordinal = today.toordinal()
        self.volume_l, self.covered_h = [0.0] * 24, [0.0] * 24
        return day
