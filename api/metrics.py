"""Counts for Prometheus. The one file that imports prometheus_client.

Requests are timed by operation here; live push and the registry are looked at when somebody asks; each further part of
the server gives its own numbers (``ApiContext.metrics``). ``api.metric_table`` says what each number is.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from datetime import datetime
from typing import Any, Final, get_args

import structlog
from prometheus_client import CollectorRegistry, Histogram, ProcessCollector, generate_latest
from prometheus_client import Counter as PrometheusCounter
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector
from sqlalchemy import func, select
from sqlalchemy.orm import Session
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from analysis.alerts.machine import State
from analysis.notify import queue
from api import registry_reads as reads
from api.context import ApiContext
from api.fleet_numbers import fleet_numbers
from api.metric_table import METRICS, PREFIX, Labelled, Numbers, kind_of
from api.version import VERSION
from store.registry import certificates, quarantine
from store.registry.models import Alert, Device, DeviceState, Site

log = structlog.get_logger(__name__)

MEDIA_TYPE: Final = "text/plain; version=0.0.4"
_BUCKETS_S: Final = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0)
_TOO_MANY: Final = 429
_NO_ALERTS: Final = dict.fromkeys(get_args(State), 0)
"""A state without alerts is told as 0: a panel that is empty could mean anything."""

Parts = Mapping[str, Callable[[], Numbers]]
"""What each part of a process counts; the names of its numbers begin with its own."""


class PartMetrics:
    """The numbers of a process without an API: those of its parts, and memory and time of the process."""

    def __init__(self, parts: Parts) -> None:
        self._registry = CollectorRegistry()
        _register_process(self._registry)
        self._registry.register(_Parts(parts))

    def page(self) -> bytes:
        """Return what a scrape gets, in Prometheus' text format."""
        return generate_latest(self._registry)


class ServerMetrics:
    """The numbers of one application. Safe from any thread."""

    def __init__(self, context: ApiContext) -> None:
        self._registry = CollectorRegistry()
        self._requests = Histogram(
            PREFIX + "http_request_seconds", METRICS["http_request_seconds"].meaning,
            METRICS["http_request_seconds"].labels, buckets=_BUCKETS_S, registry=self._registry,
        )  # fmt: skip
        self._refused = PrometheusCounter(
            PREFIX + "http_refused", METRICS["http_refused_total"].meaning, METRICS["http_refused_total"].labels,
            registry=self._registry,
        )  # fmt: skip
        _register_process(self._registry)
        own = {"live": lambda: _live(context), "registry": lambda: _registry_numbers(context),
               "series": lambda: _lag(context)}  # fmt: skip
        self._registry.register(_Parts(own, prefixed=False))
        self._registry.register(_Parts(context.metrics))

    def observe(self, operation: str, status: int, seconds: float) -> None:
        """Note one request."""
        self._requests.labels(operation, f"{status // 100}xx").observe(seconds)
        if status == _TOO_MANY:
            self._refused.labels(operation).inc()

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
    """Asks each part when somebody scrapes."""

    def __init__(self, parts: Parts, *, prefixed: bool = True) -> None:
        self._parts = parts
        self._prefixed = prefixed

    def describe(self) -> list[Metric]:
        """Say nothing beforehand, so that registering does not collect."""
        return []

    def collect(self) -> Iterator[Metric]:
        """Yield every number; a part that cannot count does not take the others' along."""
        for part, numbers in self._parts.items():
            try:
                families = [
                    _family(f"{part}_{name}" if self._prefixed else name, value)
                    for name, value in numbers().items()
                ]
            except Exception as error:
                log.warning("a part has no metrics", part=part, cause=f"{type(error).__name__}: {error}")
                continue
            yield from families


def _live(context: ApiContext) -> Numbers:
    live = context.live.stats
    return {
        "live_clients": live.clients, "live_messages_total": live.sent, "live_dropped_total": live.dropped,
        "live_events_dropped_total": live.events_dropped,
    }  # fmt: skip


def _registry_numbers(context: ApiContext) -> Numbers:
    with context.registry.reader() as session:
        online = Counter[str]()
        for one in reads.online_counts(session).values():
            online["online"] += one.online
            online["offline"] += one.total - one.online
        depths = [int(status.get("outbox_depth") or 0) for status in session.scalars(_statuses_of_enabled())]
        alerts = session.execute(select(Alert.state, func.count()).group_by(Alert.state))
        return {
            "sites": session.scalar(select(func.count()).select_from(Site)) or 0,
            "outbox_depth_sum": sum(depths), "outbox_depth_max": max(depths, default=0),
            "devices": _by(online), "alerts": _by({**_NO_ALERTS, **dict(alerts.all())}),
            "quarantined": _by(quarantine.counts(session)), "deliveries": _by(queue.counts(session)),
            **fleet_numbers(session), **_certificates(session),
        }  # fmt: skip


def _certificates(session: Session) -> Numbers:
    first = certificates.first_expiry(session)
    return {} if first is None else {"certificate_first_expiry_timestamp_seconds": first.timestamp()}


def _lag(context: ApiContext) -> Numbers:
    newest: datetime | None = context.series.newest()
    if newest is None:
        return {}
    return {"newest_reading_lag_seconds": (context.clock.now() - newest).total_seconds()}


def _statuses_of_enabled() -> Any:
    same = (DeviceState.site == Device.site) & (DeviceState.device == Device.name)
    return select(DeviceState.status).join(Device, same).where(Device.enabled)


def _by(numbers: Mapping[str, float]) -> Labelled:
    return {(key,): float(value) for key, value in sorted(numbers.items())}


def _family(name: str, value: float | Labelled) -> Metric:
    known = METRICS[name]
    if kind_of(name) == "counter":
        family: CounterMetricFamily | GaugeMetricFamily = CounterMetricFamily(
            PREFIX + name.removesuffix("_total"), known.meaning, labels=known.labels
        )
    else:
        family = GaugeMetricFamily(PREFIX + name, known.meaning, labels=known.labels)
    for labels, one in (value if isinstance(value, Mapping) else {(): value}).items():
        family.add_metric(list(labels), float(one))
    return family


def _register_process(registry: CollectorRegistry) -> None:
    ProcessCollector(registry=registry)
    registry.register(_Parts({"build": lambda: {"build_info": {(VERSION,): 1.0}}}, prefixed=False))
