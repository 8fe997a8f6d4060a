"""Counts for Prometheus. The one file that imports prometheus_client.

Requests are timed by operation here; live push and the registry are looked at when somebody asks; each further part of
the server gives its own numbers (``ApiContext.metrics``). A number whose name ends with ``_total`` is a counter.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Any, Final

import structlog
from prometheus_client import CollectorRegistry, Histogram, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector
from sqlalchemy import func, select
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from api import registry_reads as reads
from api.context import ApiContext
from store.registry import quarantine
from store.registry.models import Alert, Device, DeviceState, Site

log = structlog.get_logger(__name__)

PREFIX: Final = "quietwater_"
MEDIA_TYPE: Final = "text/plain; version=0.0.4"
_BUCKETS_S: Final = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0)
_HELP: Final[Mapping[str, str]] = {
    "live_clients": "Open event streams.",
    "live_messages_total": "Messages put into the queues of event streams.",
    "live_dropped_total": "Messages that slow event streams did not get.",
    "live_events_dropped_total": "Live events that came faster than they could be sent.",
    "sites": "Quarters.",
    "outbox_depth_sum": "Readings that wait in devices' outboxes, as the devices last told.",
    "outbox_depth_max": "The fullest outbox, readings.",
    "newest_reading_lag_seconds": "Time of the data minus that of the newest stored reading.",
    "ingest_messages_total": "Messages received from the broker and dealt with.",
    "ingest_readings_in_total": "Readings in these messages, good and bad.",
    "ingest_readings_stored_total": "Readings committed to the series store.",
    "ingest_readings_late_total": "Readings stored more than two minutes after their time: backlogs of outages.",
    "ingest_quarantined_total": "Messages and readings put into quarantine.",
    "ingest_waiting": "Messages in ingest's queue.",
    "ingest_store_away_seconds": "For how long the store has not taken what arrived; 0 while it does.",
    "ingest_store_retries_total": "Batches that had to be tried again.",
    "ingest_errors_total": "Failures of ingest that it survived.",
    "analysis_rule_round_seconds": "Duration of the newest round over all rules.",
    "analysis_rules": "Rules in the newest round.",
    "analysis_rounds_total": "Rounds over all rules.",
    "analysis_transitions_total": "Changes of state of alerts.",
    "analysis_rule_errors_total": "Rounds that failed.",
    "analysis_hours_rolled_up_total": "Hour rows written.",
    "analysis_messages_sent_total": "Messages to people that were sent.",
    "analysis_messages_given_up_total": "Messages to people that were given up.",
}


class ServerMetrics:
    """The numbers of one application. Safe from any thread."""

    def __init__(self, context: ApiContext) -> None:
        self._registry = CollectorRegistry()
        self._requests = Histogram(
            f"{PREFIX}http_request_seconds", "Duration of requests by operation and class of status.",
            ["operation", "status"], buckets=_BUCKETS_S, registry=self._registry,
        )  # fmt: skip
        self._registry.register(_Parts(context))

    def observe(self, operation: str, status: int, seconds: float) -> None:
        """Note one request."""
        self._requests.labels(operation, f"{status // 100}xx").observe(seconds)

    def page(self) -> bytes:
        """Return what a scrape gets, in Prometheus' text format."""
        return generate_latest(self._registry)


class MeasureRequests:
    """ASGI middleware that times requests of operations; event streams are open for hours and are left out."""

    def __init__(self, app: ASGIApp, *, metrics: ServerMetrics) -> None:
        self._app = app
        self._metrics = metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve a request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        started, status = time.perf_counter(), 500

        async def sent(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        try:
            await self._app(scope, receive, sent)
        finally:
            operation = getattr(scope.get("endpoint"), "__name__", "")
            if operation not in ("", "stream_live"):
                self._metrics.observe(operation, status, time.perf_counter() - started)


class _Parts(Collector):
    """Looks at live push, registry, store and the further parts when asked."""

    def __init__(self, context: ApiContext) -> None:
        self._context = context

    def describe(self) -> list[Metric]:
        """Say nothing beforehand, so that registering does not collect."""
        return []

    def collect(self) -> Iterator[Metric]:
        """Yield every number; a part that cannot count does not take the others' along."""
        live = self._context.live.stats
        yield from _families(
            "", {"live_clients": live.clients, "live_messages_total": live.sent, "live_dropped_total": live.dropped,
                 "live_events_dropped_total": live.events_dropped},
        )  # fmt: skip
        for name, count in {"registry": self._registry_counts, "series": self._lag}.items():
            try:
                yield from count()
            except Exception as error:
                _tell(name, error)
        for part, numbers in self._context.metrics.items():
            try:
                told = numbers()
            except Exception as error:
                _tell(part, error)
                continue
            yield from _families(f"{part}_", told)

    def _registry_counts(self) -> list[Metric]:
        with self._context.registry.reader() as session:
            online = Counter[str]()
            for one in reads.online_counts(session).values():
                online["online"] += one.online
                online["offline"] += one.total - one.online
            depths = [
                int(status.get("outbox_depth") or 0) for status in session.scalars(_statuses_of_enabled())
            ]
            alerts = session.execute(select(Alert.state, func.count()).group_by(Alert.state))
            numbers = {
                "sites": session.scalar(select(func.count()).select_from(Site)) or 0,
                "outbox_depth_sum": sum(depths), "outbox_depth_max": max(depths, default=0),
            }  # fmt: skip
            return [
                *_families("", numbers),
                _by("devices", "Enabled devices by state.", "state", dict(online)),
                _by("alerts", "Alerts by state.", "state", dict(alerts.all())),
                _by("quarantined", "What lies in quarantine, by reason.", "code", quarantine.counts(session)),
            ]

    def _lag(self) -> list[Metric]:
        newest: datetime | None = self._context.series.newest()
        if newest is None:
            return []
        return list(
            _families(
                "",
                {"newest_reading_lag_seconds": (self._context.clock.now() - newest).total_seconds()},
            )
        )


def _statuses_of_enabled() -> Any:
    same = (DeviceState.site == Device.site) & (DeviceState.device == Device.name)
    return select(DeviceState.status).join(Device, same).where(Device.enabled)


def _families(prefix: str, numbers: Mapping[str, float]) -> Iterator[Metric]:
    for name, value in numbers.items():
        full = prefix + name
        told = _HELP.get(full, full.replace("_", " "))
        if full.endswith("_total"):
            yield CounterMetricFamily(PREFIX + full.removesuffix("_total"), told, value=float(value))
        else:
            yield GaugeMetricFamily(PREFIX + full, told, value=float(value))


def _by(name: str, told: str, label: str, numbers: Mapping[str, float]) -> Metric:
    family = GaugeMetricFamily(PREFIX + name, told, labels=[label])
    for key, value in sorted(numbers.items()):
        family.add_metric([key], float(value))
    return family


def _tell(part: str, error: Exception) -> None:
    log.warning("a part has no metrics", part=part, cause=f"{type(error).__name__}: {error}")
