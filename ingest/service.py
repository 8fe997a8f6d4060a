"""Ingest as a whole: source and pipeline, started and stopped together."""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass
from typing import Final

from contract.clock import Clock
from contract.spans import NO_SPANS, Spans
from contract.tls import TlsFiles
from ingest.pipeline import Pipeline, PipelineStats
from ingest.source import BrokerAddress, MessageSource, SourceStats
from ingest.source_mqtt import MqttSource
from store.registry.database import Registry
from store.series.interface import SeriesStore

STALLED_S: Final = 180.0
"""A store may think about one batch for long, but not for ever."""


@dataclass(frozen=True, slots=True)
class IngestHealth:
    """How ingest is: connected to the broker, working, how much waits, and since when the store refuses.

    ``working`` says that its loop goes round, also while it waits for a store. ``unacknowledged`` counts the messages
    that wait and those of the batch under way.
    """

    connected: bool
    working: bool
    waiting: int
    store_away_s: float
    queue_bound: int
    unacknowledged: int


class Ingest:
    """Receives from one broker and stores; runs in two threads of its own.

    ``name`` is its session at the broker, one for each process. ``group`` shares the load with the other processes of
    the group, on a broker that speaks MQTT 5 and by JetStream (``nats://``), where every process is in one.
    """

    def __init__(
        self, broker_url: str, *, username: str | None, password: str | None, series: SeriesStore,
        registry: Registry, clock: Clock, name: str = "ingest", group: str | None = None,
        tls_files: TlsFiles = TlsFiles(),  # noqa: B008  it cannot change
        spans: Spans = NO_SPANS,
    ) -> None:  # fmt: skip
        self._source = _source(BrokerAddress(broker_url, username, password, name, group, tls_files))
        self._pipeline = Pipeline(self._source, series, registry, clock, spans=spans)
        self._stop = threading.Event()
        self._thread = threading.Thread(
            target=self._pipeline.run, args=(self._stop,), name="ingest", daemon=True
        )

    def start(self) -> None:
        """Connect and begin to store."""
        self._thread.start()
        self._source.start()

    def stop(self) -> None:
        """Finish the batch under way, then leave; what is not acknowledged stays with the broker."""
        self._stop.set()
        self._thread.join(timeout=10.0)
        self._source.stop()

    @property
    def healthy(self) -> bool:
        """Whether both threads live, the broker is connected and the store takes what arrives."""
        health = self.health()
        return health.working and health.connected and health.store_away_s == 0

    def health(self) -> IngestHealth:
        """Return how ingest is."""
        stats, now_s = self._pipeline.stats, time.monotonic()
        waiting, since = self._source.waiting, stats.waiting_since_s
        return IngestHealth(
            connected=self._source.connected,
            working=self._thread.is_alive() and now_s - stats.turned_s < STALLED_S,
            waiting=waiting,
            store_away_s=0.0 if since is None else now_s - since,
            queue_bound=self._source.queue_bound,
            unacknowledged=waiting + stats.in_hand,
        )

    @property
    def stats(self) -> PipelineStats:
        """Counts of what was stored since the start."""
        return self._pipeline.stats

    @property
    def source_stats(self) -> SourceStats:
        """Counts of what happened at the broker's side since the start."""
        return self._source.stats


def _source(broker: BrokerAddress) -> MessageSource:
    if not broker.is_nats:
        return MqttSource(broker)
    from ingest.source_nats import NatsSource  # a client that most servers never need

    return NatsSource(broker)
