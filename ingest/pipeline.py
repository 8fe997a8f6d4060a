"""From arrivals to the store: judge, commit, quarantine, acknowledge, answer; one thread, one batch at a time.

The order is the promise. A message is acknowledged to the broker, and ``stored`` goes back to the device, only after
the store and then the quarantine have committed. Whatever stops it in between, the broker still has the message, and
doing all of it again changes nothing: a reading is stored once, a quarantined copy counts up. If a store cannot take a
batch, the pipeline waits and tries the same batch again; meanwhile nothing is taken from the source, so memory stays
bounded.
"""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Final, Protocol

import structlog

from contract.clock import Clock
from contract.messages import Stored
from contract.spans import NO_SPANS, Spans
from ingest.batch import Batch, Owed, bad_status, judge_all
from ingest.commit import EveryReadingFails, write_or_isolate
from ingest.replay import replay_if_asked
from ingest.source import Arrival
from store.registry.database import Registry, RegistryUnavailable
from store.registry.device_state import record_statuses
from store.registry.known import KnownDevices
from store.registry.quarantine import hold
from store.series.interface import SeriesStore, StoreUnavailable

log = structlog.get_logger(__name__)

LATE: Final = timedelta(minutes=2)
"""A minute's row comes after its minute; what is older than this was kept back by an outage."""
_ANSWERS_PER_S: Final = 1_000
_ANSWERS_LATEST_S: Final = 5.0
_RETRY_FIRST_S: Final = 0.5
_RETRY_MOST_S: Final = 15.0
_IDLE_S: Final = 0.2
_REPLAY_EVERY_S: Final = 1.0
_COMPANY: Final = 200
"""Messages taken along when every reading fails: if the others succeed, those that fail are to blame."""


class Source(Protocol):
    """What the pipeline needs of a source of messages."""

    def take(self, timeout_s: float) -> Arrival | None:
        """Return the next message or ``None``."""
        ...

    def acknowledge(self, arrival: Arrival) -> None:
        """Tell the broker that the message is dealt with."""
        ...

    def answer(self, site: str, device: str, stored: Stored) -> None:
        """Tell the device."""
        ...


def answer_pause_s(devices: int, least_s: float) -> float:
    """Return how long after the last answers the next ones go out, by how many devices wait for them.

    An answer costs as much as a reading. A device waits for thirty seconds before it sends again, so many devices are
    told of several readings at once, and the processor is left to what they send.
    """
    return (
        min(_ANSWERS_LATEST_S, max(least_s, devices / _ANSWERS_PER_S))
        if devices > _ANSWERS_PER_S
        else least_s
    )


@dataclass(slots=True)
class PipelineStats:
    """Counts since the start."""

    messages: int = 0
    readings_in: int = 0
    readings_stored: int = 0
    readings_late: int = 0
    """Stored more than ``LATE`` after their time: the backlog of an outage."""
    quarantined: int = 0
    statuses: int = 0
    batches: int = 0
    batch_seconds: float = 0.0
    """Time spent on batches that were committed."""
    batch_readings: int = 0
    """Readings in the newest batch."""
    in_hand: int = 0
    """Messages of the batch under way."""
    by_kind: Counter[str] = field(default_factory=Counter)
    by_code: Counter[str] = field(default_factory=Counter)
    """Quarantined, by reason."""
    newest_stored: datetime | None = None
    turned_s: float = field(default_factory=time.monotonic)
    """When (monotonic) the loop last went round."""
    store_retries: int = 0
    errors: int = 0
    waiting_since_s: float | None = None
    """Since when (monotonic) a batch waits for a store that does not take it."""


class Pipeline:
    """Drains a source into the stores. ``max_readings`` and ``max_wait_s`` close a batch; so does a pause.

    Devices are told once in ``answer_every_s`` while much arrives (many of them more seldom, see
    :func:`answer_pause_s`), and at once when nothing waits.
    """

    def __init__(
        self, source: Source, series: SeriesStore, registry: Registry, clock: Clock, *,
        max_readings: int = 10_000, max_wait_s: float = 0.2, pause_s: float = 0.02, answer_every_s: float = 1.0,
        spans: Spans = NO_SPANS,
    ) -> None:  # fmt: skip
        self._source = source
        self._series = series
        self._registry = registry
        self._clock = clock
        self._spans = spans
        self._known = KnownDevices(registry)
        self._max_readings = max_readings
        self._max_wait_s = max_wait_s
        self._pause_s = pause_s
        self._answer_every_s = answer_every_s
        self._owed = Owed()
        self._answered_at = float("-inf")
        self._replay_looked_at = float("-inf")
        self.stats = PipelineStats()

    def run(self, stop: threading.Event) -> None:
        """Work until ``stop``. No exception ends it: it is logged, counted, and the batch is tried again."""
        while not stop.is_set():
            self.stats.turned_s = time.monotonic()
            try:
                arrivals = self._collect(stop)
                if arrivals:
                    self._process_until_done(arrivals, stop)
                else:
                    self.answer()
                self._replay(stop)
            except Exception:
                self.stats.errors += 1
                log.exception("ingest failed and goes on")
                stop.wait(_RETRY_FIRST_S)
        self.answer()

    def process(self, arrivals: Sequence[Arrival]) -> None:
        """Judge and commit one batch, then acknowledge and (when it is time) answer.

        Raises ``StoreUnavailable`` or ``RegistryUnavailable`` with nothing acknowledged; calling it again with the same
        batch is safe.
        """
        began = time.monotonic()
        with self._spans.span("ingest batch", messages=len(arrivals)) as span:
            with self._spans.span("judge"):
                batch = judge_all(arrivals, self._clock.now(), self._known)
            span.set("readings", len(batch.entries))
            with self._spans.span("commit"):
                self._commit_series(batch)
                self._commit_registry(batch)
            span.set("quarantined", len(batch.rejected))
            with self._spans.span("acknowledge"):
                self._acknowledge(batch)
        self._count(batch)
        self.stats.batch_seconds += time.monotonic() - began

    def answer(self) -> None:
        """Tell the devices what is stored; what a crash keeps untold they send again, and it changes nothing."""
        self._answered_at = time.monotonic()
        for site, device, stored in self._owed.take():
            self._source.answer(site, device, stored)

    # -- inside ------------------------------------------------------------------------------------------------

    def _acknowledge(self, batch: Batch) -> None:
        for arrival in batch.arrivals:
            self._source.acknowledge(arrival)
        batch.tell(self._owed)
        if time.monotonic() - self._answered_at >= answer_pause_s(len(self._owed), self._answer_every_s):
            self.answer()

    def _collect(self, stop: threading.Event) -> list[Arrival]:
        first = self._source.take(_IDLE_S)
        if first is None:
            return []
        arrivals, size = [first], len(first.payload)
        deadline = time.monotonic() + self._max_wait_s
        # A reading takes some 150 bytes: the size is a good enough count before anything is decoded.
        while size < self._max_readings * 150 and len(arrivals) < self._max_readings and not stop.is_set():
            left_s = deadline - time.monotonic()
            # The broker sends only so much without acknowledgement: a pause means that it waits for us.
            arrival = self._source.take(min(self._pause_s, left_s)) if left_s > 0 else None
            if arrival is None:
                break
            arrivals.append(arrival)
            size += len(arrival.payload)
        return arrivals

    def _process_until_done(self, arrivals: list[Arrival], stop: threading.Event) -> None:
        wait_s, tries = _RETRY_FIRST_S, 0
        while not stop.is_set():
            self.stats.turned_s, self.stats.in_hand = time.monotonic(), len(arrivals)
            try:
                self.process(arrivals)
                self.stats.in_hand = 0
                break
            except (StoreUnavailable, RegistryUnavailable) as error:
                tries += 1
                self.stats.store_retries += 1
                if self.stats.waiting_since_s is None:
                    self.stats.waiting_since_s = time.monotonic()
                    log.warning(
                        "the store does not answer; ingest waits", cause=str(error), messages=len(arrivals)
                    )
                if isinstance(error, EveryReadingFails) and len(arrivals) < _COMPANY:
                    arrivals += self._at_hand(_COMPANY - len(arrivals))
            stop.wait(wait_s)
            wait_s = min(_RETRY_MOST_S, wait_s * 2)
        if self.stats.waiting_since_s is not None and not stop.is_set():
            waited_s = time.monotonic() - self.stats.waiting_since_s
            log.info("the store answers again", after_s=round(waited_s, 1), tries=tries)
            self.stats.waiting_since_s = None

    def _at_hand(self, most: int) -> list[Arrival]:
        taken: list[Arrival] = []
        while len(taken) < most and (arrival := self._source.take(0.0)) is not None:
            taken.append(arrival)
        return taken

    def _commit_series(self, batch: Batch) -> None:
        if batch.entries:
            for index, (code, reason) in write_or_isolate(self._series, batch.entries).items():
                batch.refuse(index, code, reason)

    def _commit_registry(self, batch: Batch) -> None:
        if not batch.rejected and not batch.statuses:
            return
        with self._registry.session() as session:
            unknown = record_statuses(session, [report for _, report in batch.statuses])
            strangers = [
                bad_status(arrival, "the registry does not know the device")
                for arrival, report in batch.statuses
                if (report.site, report.device) in unknown
            ]
            hold(session, [*batch.rejected, *strangers], self._clock.now())
        batch.rejected += strangers

    def _replay(self, stop: threading.Event) -> None:
        now_s = time.monotonic()
        if now_s - self._replay_looked_at < _REPLAY_EVERY_S:
            return
        self._replay_looked_at = now_s
        try:
            replay_if_asked(self._registry, self._series, self._clock, stop)
        except (StoreUnavailable, RegistryUnavailable) as error:
            log.warning("the replay waits", cause=str(error))

    def _count(self, batch: Batch) -> None:
        self.stats.batches += 1
        self.stats.messages += len(batch.arrivals)
        self.stats.readings_in += len(batch.entries) + len(batch.rejected)
        self.stats.readings_stored += len(batch.entries) - len(batch.refused_by_store)
        late = LATE * max(1.0, self._clock.speed)
        self.stats.readings_late += sum(one.received_at - one.reading.t > late for one in batch.entries)
        self.stats.batch_readings = len(batch.entries)
        for judged in batch.judged:
            if judged.topic is not None:
                self.stats.by_kind[judged.topic.kind] += len(judged.entries)
        self.stats.by_code.update(one.code for one in batch.rejected)
        self._note_newest(batch)
        self.stats.quarantined += len(batch.rejected)
        self.stats.statuses += len(batch.statuses)

    def _note_newest(self, batch: Batch) -> None:
        # One device whose clock is ahead must not hide that everybody else's readings are late.
        times = [one.reading.t for one in batch.entries if one.reading.t <= one.received_at]
        if times:
            newest = max(times)
            known = self.stats.newest_stored
            self.stats.newest_stored = newest if known is None else max(known, newest)
