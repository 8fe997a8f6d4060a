"""Time as an argument: what reads the time gets a :class:`Clock`, so that a test or a demo can set it."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Protocol


class Clock(Protocol):
    """Tells the time and how fast it runs."""

    @property
    def speed(self) -> float:
        """Seconds of this clock in a second of the wall, now."""
        ...

    def now(self) -> datetime:
        """Return the time, UTC."""
        ...


@dataclass(frozen=True, slots=True)
class SystemClock:
    """The machine's own clock."""

    speed: float = 1.0

    def now(self) -> datetime:
        """Return the time, UTC."""
        return datetime.now(UTC)


@dataclass(frozen=True, slots=True)
class CatchUpClock:
    """Starts in the past, runs ``factor`` times as fast as the wall, and goes on with it once caught up.

    So a demo's day passes quickly, and still no reading ever lies in the future. ``started_at`` is what this
    clock showed at ``wall_started_at``; both UTC. Several processes with the same three values agree.
    """

    started_at: datetime
    wall_started_at: datetime
    factor: float
    wall: Callable[[], float] = time.time

    def __post_init__(self) -> None:
        if not self.factor >= 1.0:
            raise ValueError(
                f"a clock that catches up runs at least as fast as the wall, not {self.factor} times"
            )

    @property
    def speed(self) -> float:
        """Seconds of this clock in a second of the wall, now."""
        return 1.0 if self._caught_up() else self.factor

    def now(self) -> datetime:
        """Return the time, UTC."""
        wall = datetime.fromtimestamp(self.wall(), UTC)
        if self._caught_up():
            return wall
        return self.started_at + (wall - self.wall_started_at) * self.factor

    def _caught_up(self) -> bool:
        wall = datetime.fromtimestamp(self.wall(), UTC)
        return self.started_at + (wall - self.wall_started_at) * self.factor >= wall


def catch_up(wall_now: datetime, behind: timedelta, factor: float) -> CatchUpClock:
    """Return a clock that starts ``behind`` the wall and catches up at ``factor`` times its speed."""
    return CatchUpClock(wall_now - behind, wall_now, factor)
