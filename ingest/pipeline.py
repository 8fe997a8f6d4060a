"""From arrivals to the store: judge, quarantine, commit, acknowledge, answer; one thread, one batch at a time.

The order is the promise. A message is acknowledged to the broker, and ``stored`` goes back to the device, only after
the store (and the quarantine) have committed. If the store cannot take a batch, the pipeline waits and tries the same
batch again; meanwhile nothing is taken from the source, so memory stays bounded.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final, Protocol

import msgspec
import structlog

from contract.clock import Clock
from contract.codec import decode_status, encode
from contract.messages import Stored
from contract.seqranges import to_ranges
from contract.topics import parse
from ingest.known import KnownDevices
from ingest.source_mqtt import Arrival
from ingest.validate import Judged, judge
from store.registry.database import Registry
from store.registry.device_state import record_status
from store.registry.quarantine import Rejected, hold
from store.series.interface import Entry, SeriesStore, StoreUnavailable

log = structlog.get_logger(__name__)

_RETRY_FIRST_S: Final = 0.5
_RETRY_MOST_S: Final = 15.0


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


@dataclass(slots=True)
class PipelineStats:
    """Counts since the start."""

    messages: int = 0
    readings_stored: int = 0
    quarantined: int = 0
    statuses: int = 0
    batches: int = 0
    store_retries: int = 0
    errors: int = 0


@dataclass(slots=True)
class _Batch:
    arrivals: list[Arrival] = field(default_factory=list)
    judged: list[Judged] = field(default_factory=list)
    statuses: list[Arrival] = field(default_factory=list)
    entries: list[Entry] = field(default_factory=list)
    rejected: list[Rejected] = field(default_factory=list)
    refused_by_store: set[int] = field(default_factory=set)
    """Indices into ``entries``."""


class Pipeline:
    """Drains a source into the stores. ``max_readings`` and ``max_wait_s`` close a batch."""

    def __init__(
        self, source: Source, series: SeriesStore, registry: Registry, clock: Clock, *,
        max_readings: int = 5_000, max_wait_s: float = 0.2,
    ) -> None:  # fmt: skip
        self._source = source
        self._series = series
        self._registry = registry
        self._clock = clock
        self._known = KnownDevices(registry)
        self._max_readings = max_readings
        self._max_wait_s = max_wait_s
        self.stats = PipelineStats()

    def run(self, stop: threading.Event) -> None:
        """Work until ``stop``. No exception ends it: it is logged, counted, and the batch is tried again."""
        while not stop.is_set():
            arrivals = self._collect(stop)
            if arrivals:
                self._process_until_done(arrivals, stop)

    def process(self, arrivals: Sequence[Arrival]) -> None:
        """Judge and commit one batch, then acknowledge and answer.

        Raises ``StoreUnavailable`` with nothing acknowledged; calling it again with the same batch is safe.
        """
        batch = self._judge(arrivals)
        self._commit_series(batch)
        self._commit_registry(batch)
        for arrival in arrivals:
            self._source.acknowledge(arrival)
        self._answer(batch)
        self._count(batch)

    # -- collecting --------------------------------------------------------------------------------------------

    def _collect(self, stop: threading.Event) -> list[Arrival]:
        first = self._source.take(0.2)
        if first is None:
            return []
        arrivals, size = [first], len(first.payload)
        deadline = time.monotonic() + self._max_wait_s
        # A reading takes some 200 bytes: the size is a good enough count before anything is decoded.
        while size < self._max_readings * 200 and len(arrivals) < self._max_readings and not stop.is_set():
            arrival = self._source.take(max(0.0, deadline - time.monotonic()))
            if arrival is None:
                break
            arrivals.append(arrival)
            size += len(arrival.payload)
        return arrivals

    def _process_until_done(self, arrivals: list[Arrival], stop: threading.Event) -> None:
        wait_s = _RETRY_FIRST_S
        while not stop.is_set():
            try:
                self.process(arrivals)
            except StoreUnavailable as error:
                self.stats.store_retries += 1
                if wait_s == _RETRY_FIRST_S:
                    log.warning(
                        "the store does not answer; ingest waits", cause=str(error), messages=len(arrivals)
                    )
                stop.wait(wait_s)
                wait_s = min(_RETRY_MOST_S, wait_s * 2)
            except Exception:
                self.stats.errors += 1
                log.exception("a batch failed", messages=len(arrivals))
                if len(arrivals) == 1:
                    stop.wait(wait_s)
                    wait_s = min(_RETRY_MOST_S, wait_s * 2)
                    continue
                for arrival in arrivals:  # find the one that does it; the others must not wait for it
                    self._process_until_done([arrival], stop)
                return
            else:
                return

    # -- one batch ---------------------------------------------------------------------------------------------

    def _judge(self, arrivals: Sequence[Arrival]) -> _Batch:
        batch = _Batch(arrivals=list(arrivals))
        known = self._known.current()
        now = self._clock.now()
        for arrival in arrivals:
            if arrival.topic.endswith("/status"):
                batch.statuses.append(arrival)
                continue
            judged = judge(arrival.topic, arrival.payload, arrival.size_bytes, now, known)
            batch.judged.append(judged)
            batch.entries += judged.entries
            batch.rejected += judged.rejected
        return batch

    def _commit_series(self, batch: _Batch) -> None:
        if not batch.entries:
            return
        report = self._series.write(batch.entries)
        if report.retry:
            raise StoreUnavailable(f"{len(report.retry)} readings were not committed: {report.retry[0][1]}")
        for index, reason in report.rejected:
            entry = batch.entries[index]
            batch.refused_by_store.add(index)
            raw = encode(entry.reading)
            topic = f"qw/v1/{entry.site}/{entry.device}/"
            batch.rejected.append(Rejected(topic, "refused_by_store", reason, raw, len(raw)))

    def _commit_registry(self, batch: _Batch) -> None:
        if not batch.rejected and not batch.statuses:
            return
        now = self._clock.now()
        with self._registry.session() as session:
            for arrival in batch.statuses:
                try:
                    topic = parse(arrival.topic)
                    status = decode_status(arrival.payload)
                except (ValueError, msgspec.DecodeError) as error:
                    batch.rejected.append(_bad_status(arrival, str(error)))
                    continue
                if not record_status(session, topic.site, topic.device, status, now):
                    batch.rejected.append(_bad_status(arrival, "the registry does not know the device"))
            hold(session, batch.rejected, now)

    def _answer(self, batch: _Batch) -> None:
        stored: dict[tuple[str, str], list[int]] = {}
        refused: dict[tuple[str, str], list[int]] = {}
        for index, entry in enumerate(batch.entries):
            answers = refused if index in batch.refused_by_store else stored
            answers.setdefault((entry.site, entry.device), []).append(entry.reading.seq)
        for judged in batch.judged:
            if judged.topic and judged.refused:
                refused.setdefault((judged.topic.site, judged.topic.device), []).extend(judged.refused)
        for site, device in stored.keys() | refused.keys():
            kept = set(stored.get((site, device), ()))
            # One seq may name both a good and a bad reading of a broken device: the stored one decides.
            gone = set(refused.get((site, device), ())) - kept
            self._source.answer(site, device, Stored(stored=to_ranges(kept), refused=to_ranges(gone)))

    def _count(self, batch: _Batch) -> None:
        self.stats.batches += 1
        self.stats.messages += len(batch.arrivals)
        self.stats.readings_stored += len(batch.entries) - len(batch.refused_by_store)
        self.stats.quarantined += len(batch.rejected)
        self.stats.statuses += len(batch.statuses)


def _bad_status(arrival: Arrival, reason: str) -> Rejected:
    return Rejected(arrival.topic, "bad_payload", reason, arrival.payload, arrival.size_bytes)
