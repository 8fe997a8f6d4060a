"""What the leak detectors are fed: one row an hour, in ascending time."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta

import msgspec


class HourRow(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """What one register gained over one interval, usually an hour.

    ``t`` is the interval's start and carries a zone (UTC in the live product). ``volume_l`` is the gain in litres,
    negative where the register went back, ``None`` where it is not known. A gap of several hours between two readings
    is one row with a longer ``duration_h``: what flowed in it is known, though not when. For a district the register
    is its net inflow.
    """

    t: datetime
    volume_l: float | None
    duration_h: float = 1.0

    @property
    def end(self) -> datetime:
        """The instant from which on the row can be known."""
        return self.t + timedelta(hours=self.duration_h)


class QuarterRow(msgspec.Struct, frozen=True, kw_only=True):
    """What a quarter's master meter and its sub-meters gained over the same hour, litres.

    ``subs_l`` holds every sub-meter by name, with ``None`` for one that is known to be silent. One that repeats its
    last reading while its radio is out is given as it is, with 0: the detector finds it. ``backlog_l`` is for a meter
    that was ``None`` before: what it gained since it was last known, this hour included, where that came to be known.
    """

    t: datetime
    master_l: float | None
    subs_l: Mapping[str, float | None]
    backlog_l: Mapping[str, float] = {}
    duration_h: float = 1.0

    @property
    def end(self) -> datetime:
        """The instant from which on the row can be known."""
        return self.t + timedelta(hours=self.duration_h)
