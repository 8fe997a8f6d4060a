"""Analysis as a whole: one thread for rules and rollups, one for delivery, started and stopped together."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Final

import structlog

from analysis.alerts.book import AlertBook
from analysis.alerts.snapshot import AlertSnapshot
from analysis.notify.courier import Courier, CourierStats
from analysis.notify.queue import Queue
from analysis.rollups import roll_up
from analysis.rules.watch import Watch
from analysis.shard import EVERY_SITE, Shard, Turn
from contract.clock import Clock
from contract.spans import NO_SPANS, Spans
from store.registry.database import Registry, RegistryUnavailable
from store.series.interface import SeriesStore, StoreUnavailable

log = structlog.get_logger(__name__)

ROUND_S: Final = 1.0
"""Real seconds between the beginnings of two rounds, at least."""
ROLLUP_EVERY_S: Final = 5.0
_STALLED_S: Final = 60.0
_HUNG_S: Final = 600.0
"""A first rollup of a large backlog takes minutes; longer than this no round does."""


@dataclass(slots=True)
class AnalysisStats:
    """Counts since the start; ``last_round_s`` is how long the newest round of rules took, in real seconds."""

    rounds: int = 0
    rules: int = 0
    sightings: int = 0
    transitions: int = 0
    refused: int = 0
    """Sightings that were not written because their site had gone to another process."""
    bad_rules: int = 0
    round_errors: int = 0
    store_waits: int = 0
    hours_rolled_up: int = 0
    rollup_errors: int = 0
    listener_errors: int = 0
    last_round_s: float = 0.0
    delivery: CourierStats = field(default_factory=CourierStats)


class Analysis:
    """Judges the rules, keeps the rollups up to date and tells people.

    ``on_alert`` is called with every alert that made a transition, from the analysis thread, after the commit; what it
    raises is logged. ``base_url`` is where the page is found, for the links in messages. Windows and holds are in the
    clock's time; the pace of the rounds is in real time, so that a fast clock does not mean a busy processor.

    With a ``shard`` only the sites are judged whose leases this process holds, and messages are sent by the one that
    holds theirs; without, everything is this process's.
    """

    def __init__(
        self, series: SeriesStore, registry: Registry, clock: Clock, *,
        on_alert: Callable[[AlertSnapshot], None] | None = None, base_url: str | None = None,
        shard: Shard | None = None, spans: Spans = NO_SPANS,
    ) -> None:  # fmt: skip
        self._series = series
        self._clock = clock
        self._spans = spans
        self._on_alert = on_alert
        self.shard = shard
        self._book = AlertBook(registry, Queue())
        self._watch = Watch(series, registry, self._book)
        may_send = (lambda: shard.has("messages")) if shard else (lambda: True)
        self._courier = Courier(registry, clock, base_url=base_url, may_send=may_send)
        self.stats = AnalysisStats(delivery=self._courier.stats)
        self._stop = threading.Event()
        self._beat = self._turned = self._rolled_up = time.monotonic()
        self._next_rollup = 0.0
        self._failing: set[str] = set()
        self._threads = (
            threading.Thread(target=self._run, name="analysis", daemon=True),
            threading.Thread(target=self._courier.run, args=(self._stop,), name="courier", daemon=True),
        )

    def start(self) -> None:
        """Begin."""
        if self.shard is not None:
            self.shard.keeper.start(working=lambda: self.alive)
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        """Finish the round and the messages under way, then end."""
        self._stop.set()
        self._courier.wake()
        for thread in self._threads:
            if thread.ident is not None:
                thread.join(timeout=30.0)
        self._attempt(
            "keeping the leak detectors", lambda: self._watch.close(self._clock.now(), self._turn())
        )
        if self.shard is not None:
            self.shard.keeper.stop()

    @property
    def healthy(self) -> bool:
        """Whether both threads live, a round has been completed within the last minute, and leases are renewed."""
        if self.shard is not None and self.shard.keeper.trouble is not None:
            return False
        return all(one.is_alive() for one in self._threads) and time.monotonic() - self._beat < _STALLED_S

    @property
    def alive(self) -> bool:
        """Whether both threads live and the rounds go on, also while a store is away."""
        return all(one.is_alive() for one in self._threads) and time.monotonic() - self._turned < _HUNG_S

    @property
    def round_age_s(self) -> float:
        """Real seconds since the newest round of rules that succeeded, or since the start."""
        return time.monotonic() - self._beat

    @property
    def rollup_age_s(self) -> float:
        """Real seconds since the newest rollup that succeeded, or since the start."""
        return time.monotonic() - self._rolled_up

    def round(self) -> None:
        """Judge all rules once and, when due, roll up. Errors are counted and logged, not raised."""
        began = time.monotonic()
        if self._attempt("rules", self._judge_rules):
            self._beat = time.monotonic()
        self.stats.last_round_s = time.monotonic() - began
        if time.monotonic() >= self._next_rollup and self._attempt("rollups", self._roll_up):
            self._next_rollup = time.monotonic() + ROLLUP_EVERY_S

    def _run(self) -> None:
        while not self._stop.is_set():
            began = self._turned = time.monotonic()
            self.round()
            # Work at most half of the time, so that a large site leaves room for the others.
            took = time.monotonic() - began
            self._stop.wait(max(ROUND_S - took, took, 0.05))

    def _turn(self) -> Turn:
        return self.shard.turn() if self.shard is not None else EVERY_SITE

    def _hand_over(self) -> None:
        """Finish the sites that others are to have: what is remembered of them is written down first."""
        if self.shard is not None:
            leaving = self.shard.leaving()
            self._watch.close(self._clock.now(), leaving.turn)
            leaving.give_back()

    def _judge_rules(self) -> None:
        self._hand_over()
        turn = self._turn()
        if self.shard is not None and self.shard.keeper.lapsed:
            # What is remembered of the sites stays: nobody need have taken them.
            raise RegistryUnavailable("the leases could not be renewed")
        report = self._watch.round(self._clock.now(), timedelta(seconds=self._clock.speed), turn)
        self.stats.rounds += 1
        self.stats.rules, self.stats.bad_rules = report.rules, report.bad_rules
        self.stats.sightings += report.sightings
        self.stats.transitions += len(report.changed)
        self.stats.refused = self._book.refused
        if report.changed:
            self._courier.wake()
            self._tell_listener(report.changed)

    def _roll_up(self) -> None:
        before = self._clock.now() - timedelta(seconds=self._clock.speed)
        self.stats.hours_rolled_up += roll_up(self._series, before, sites=lambda: self._turn().sites)
        self._rolled_up = time.monotonic()

    def _tell_listener(self, changed: Sequence[AlertSnapshot]) -> None:
        if self._on_alert is None:
            return
        for one in changed:
            try:
                self._on_alert(one)
            except Exception:
                self.stats.listener_errors += 1
                log.exception("the listener to alerts failed", alert=one.id)

    def _attempt(self, what: str, work: Callable[[], None]) -> bool:
        """Do ``work``; log its first failure and its first success after one."""
        try:
            with self._spans.span(f"analysis {what}"):
                work()
        except Exception as error:
            waits = isinstance(error, StoreUnavailable | RegistryUnavailable)
            if waits:
                self.stats.store_waits += 1
            elif what == "rules":
                self.stats.round_errors += 1
            else:
                self.stats.rollup_errors += 1
            if what not in self._failing:
                self._failing.add(what)
                log.warning(
                    f"{what} cannot be worked out now; trying again", exc_info=not waits, cause=str(error)
                )
            return False
        if what in self._failing:
            self._failing.discard(what)
            log.info(f"{what} are worked out again")
        return True
