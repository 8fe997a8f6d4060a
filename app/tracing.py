"""Traces for an OpenTelemetry collector, where the environment names one. The one file that imports opentelemetry.

The variables are OpenTelemetry's own: ``OTEL_EXPORTER_OTLP_ENDPOINT`` switches it on, and
``OTEL_EXPORTER_OTLP_HEADERS``, ``OTEL_TRACES_SAMPLER``, ``OTEL_SERVICE_NAME`` and the like mean what they always mean.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

import structlog

from api.version import VERSION
from contract.spans import NO_SPANS, Attribute, Span, Spans

if TYPE_CHECKING:
    from opentelemetry import trace
    from opentelemetry.sdk.trace import TracerProvider

log = structlog.get_logger(__name__)

ENDPOINTS: Final = ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT")
_END_S: Final = 3.0
"""How long a process that ends waits for a collector; by itself the exporter waits for ten seconds and more."""


def start(service: str, environment: Mapping[str, str] = os.environ) -> tuple[Spans, Callable[[], None]]:
    """Return what opens spans, and what ends it; without an address in the environment it does nothing.

    ``service`` is the process' name in the traces unless ``OTEL_SERVICE_NAME`` gives another. Spans wait in a queue of
    2,048 (``OTEL_BSP_MAX_QUEUE_SIZE``); what comes while it is full is lost, and work never waits for a collector.
    """
    endpoint = next((environment[name] for name in ENDPOINTS if environment.get(name)), None)
    if endpoint is None or environment.get("OTEL_SDK_DISABLED", "").lower() == "true":
        return NO_SPANS, _nothing
    try:
        provider = _provider(environment.get("OTEL_SERVICE_NAME") or service)
    except ImportError as error:
        log.warning(
            "there will be no traces: OpenTelemetry is not installed", endpoint=endpoint, missing=error.name,
            cure="pip install 'quietwater[otel]', or take OTEL_EXPORTER_OTLP_ENDPOINT out of the environment",
        )  # fmt: skip
        return NO_SPANS, _nothing
    log.info("traces go to a collector", endpoint=endpoint)
    return _Collected(provider), lambda: _end(provider)


def _provider(service: str) -> TracerProvider:
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
    from opentelemetry.sdk.resources import Resource
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import BatchSpanProcessor

    resource = Resource.create({"service.name": service, "service.version": VERSION})
    provider = TracerProvider(resource=resource, shutdown_on_exit=False)
    provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
    return provider


class _Collected:
    """Spans of one tracer."""

    def __init__(self, provider: TracerProvider) -> None:
        from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

        self._tracer = provider.get_tracer("quietwater", VERSION)
        self._parents = TraceContextTextMapPropagator()

    @contextmanager
    def span(self, name: str, *, parent: str | None = None, **attributes: Attribute) -> Iterator[Span]:
        """Open a span."""
        context = None if parent is None else self._parents.extract({"traceparent": parent})
        with self._tracer.start_as_current_span(name, context, attributes=attributes) as one:
            yield _Open(one)


class _Open:
    """A span as the parts see it."""

    def __init__(self, span: trace.Span) -> None:
        self._span = span

    def name(self, name: str) -> None:
        self._span.update_name(name)

    def set(self, key: str, value: Attribute) -> None:
        self._span.set_attribute(key, value)


def _end(provider: TracerProvider) -> None:
    sending = threading.Thread(target=provider.shutdown, name="traces-end", daemon=True)
    sending.start()
    sending.join(_END_S)
    if sending.is_alive():
        log.warning("the collector did not take the last spans in time")


def _nothing() -> None:
    pass
