"""How long readings are kept, and what deleting the others says."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta


@dataclass(frozen=True, slots=True)
class Retention:
    """Days that readings are kept; ``None`` for ever. Hour rows and events are kept for ever.

    ``seconds_days`` is for the seconds of noise, ``minutes_days`` for its minutes and for the water readings.
    """

    seconds_days: int | None = 90
    minutes_days: int | None = 3 * 365

    def seconds_before(self, now: datetime) -> datetime | None:
        """Return before when seconds go, ``None`` for never."""
        return None if self.seconds_days is None else now - timedelta(days=self.seconds_days)

    def minutes_before(self, now: datetime) -> datetime | None:
        """Return before when minutes and water readings go, ``None`` for never."""
        return None if self.minutes_days is None else now - timedelta(days=self.minutes_days)


@dataclass(frozen=True, slots=True)
class Retained:
    """What a call has done: readings ``deleted`` (where the store counts them); hours of sources that are ``waiting``.

    An hour waits while it has no hour row, or a row from before its newest data. ``more`` says that time ran out.
    """

    deleted: int = 0
    waiting: int = 0
    more: bool = False
