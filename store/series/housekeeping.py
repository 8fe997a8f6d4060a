"""What a store needs done now and then, by itself: retention, and the order of what came in."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import Final

import structlog

from contract.clock import Clock
from store.series.interface import SeriesStore, StoreUnavailable
from store.series.retention import Retention

log = structlog.get_logger(__name__)

_EVERY_S: Final = 60.0
_BUDGET_S: Final = 0.5
_PAUSE_S: Final = 1.0
"""Real seconds: between rounds; that a piece of work may take; between pieces when there is more."""
_LATE: Final = timedelta(minutes=10)
"""An hour is put in order when it has been over for so long: most of what it gets has then arrived."""


@dataclass(slots=True)
class HousekeepingStats:
    """Counts since the start. ``waiting`` are hours that are due to go and have no row yet, at the last look."""

    rounds: int = 0
    deleted: int = 0
    waiting: int = 0
    errors: int = 0


class Housekeeping:
    """Runs in the process that owns the store. Its work is cut into short pieces, so that writers hardly wait.

    Of several processes at one server, the one that is ``due`` does it.
    """

    def __init__(
        self,
        series: SeriesStore,
        retention: Retention,
        clock: Clock,
        *,
        due: Callable[[], bool] = lambda: True,
    ) -> None:
        self._series = series
        self._retention = retention
        self._clock = clock
        self._due = due
        self._stop = threading.Event()
        self._failing = False
        self.stats = HousekeepingStats()
        self._thread = threading.Thread(target=self._run, name="housekeeping", daemon=True)

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def stop(self) -> None:
        """Finish the piece under way, then end."""
        self._stop.set()
        if self._thread.ident is not None:
            self._thread.join(timeout=30.0)

    def round(self) -> bool:
        """Do a piece of each kind of work; return whether some is left. Errors are counted and logged, not raised."""
        try:
            more = self._series.tidy(self._clock.now() - _LATE, budget_s=_BUDGET_S)
            more = self._retain() or more
        except Exception as error:
            self.stats.errors += 1
            if not self._failing:
                self._failing = True
                expected = isinstance(error, StoreUnavailable)
                log.warning("housekeeping waits for the store", cause=str(error), exc_info=not expected)
            return False
        if self._failing:
            self._failing = False
            log.info("housekeeping goes on")
        self.stats.rounds += 1
        return more

    def _retain(self) -> bool:
        done = self._series.retain(self._retention, self._clock.now(), budget_s=_BUDGET_S)
        self.stats.deleted += done.deleted
        if done.deleted and not done.more:
            log.info("readings whose time is over were deleted", readings=self.stats.deleted)
        if bool(done.waiting) != bool(self.stats.waiting):
            log.info("hours that are due to be deleted wait for their rows", hours=done.waiting)
        self.stats.waiting = done.waiting
        return done.more

    def _run(self) -> None:
        while not self._stop.is_set():
            began = time.monotonic()
            more = self.round() if self._due() else False
            # When there is much to do, at most a third of the time goes into it.
            self._stop.wait(max(_PAUSE_S, 2 * (time.monotonic() - began)) if more else _EVERY_S)
