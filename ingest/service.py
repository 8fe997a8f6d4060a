"""Ingest as a whole: source and pipeline, started and stopped together."""

from __future__ import annotations

import threading

from contract.clock import Clock
from ingest.pipeline import Pipeline, PipelineStats
from ingest.source_mqtt import MqttSource
from store.registry.database import Registry
from store.series.interface import SeriesStore


class Ingest:
    """Receives from one broker and stores; runs in two threads of its own."""

    def __init__(
        self, broker_url: str, *, username: str | None, password: str | None, series: SeriesStore,
        registry: Registry, clock: Clock,
    ) -> None:  # fmt: skip
        self._source = MqttSource(broker_url, username=username, password=password)
        self._pipeline = Pipeline(self._source, series, registry, clock)
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
        """Whether both threads live and the broker is connected."""
        return self._thread.is_alive() and self._source.connected

    @property
    def stats(self) -> PipelineStats:
        """Counts since the start."""
        return self._pipeline.stats
