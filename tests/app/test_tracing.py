"""Traces: off and not even imported, or at a real OTLP receiver; and never a reason for work to stop."""

from __future__ import annotations

import gzip
import re
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import httpx
import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import Span
from structlog.testing import capture_logs

from app import tracing
from contract.codec import encode, encode_array
from contract.messages import NoiseSecond
from contract.spans import NO_SPANS
from tests.app.commands import running, wait_for
from tests.broker import BareClient, quarter

TRACE = "0af7651916cd43dd8448eb211c80319c"


class Receiver:
    """Takes what an exporter sends by OTLP over HTTP."""

    def __init__(self) -> None:
        self.requests: list[ExportTraceServiceRequest] = []
        self.answers = threading.Event()
        self.answers.set()
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                if self.headers.get("Content-Encoding") == "gzip":
                    body = gzip.decompress(body)
                outer.answers.wait(90)
                outer.requests.append(ExportTraceServiceRequest.FromString(body))
                self.send_response(200)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, format: str, *args: object) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.address = f"http://127.0.0.1:{self.server.server_address[1]}"

    def spans(self) -> list[Span]:
        return [
            span for one in list(self.requests) for resource in one.resource_spans
            for scope in resource.scope_spans for span in scope.spans
        ]  # fmt: skip

    def named(self, name: str) -> list[Span]:
        return [span for span in self.spans() if span.name == name]

    def service(self) -> str:
        resource = self.requests[0].resource_spans[0].resource
        return next(one.value.string_value for one in resource.attributes if one.key == "service.name")


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    one = Receiver()
    thread = threading.Thread(target=one.server.serve_forever, daemon=True)
    thread.start()
    yield one
    one.server.shutdown()
    one.server.server_close()
    thread.join(60)


@pytest.mark.system
def test_a_server_sends_the_spans_of_its_parts(
    receiver: Receiver, tmp_path: Path, free_port: Callable[[], int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", receiver.address)
    monkeypatch.setenv("OTEL_BSP_SCHEDULE_DELAY", "200")
    data, port = tmp_path / "data", free_port()
    town = quarter(data, devices=1, meters=1)
    town.registry.close()
    with running("up", "--data", str(data), "--port", "0", "--mqtt-port", str(port)) as server:
        address = server.until(r"page 页面\s+(http://127\.0\.0\.1:\d+)")[1]
        device = BareClient(port, town.login("s1", "d1"), name="device")
        now = datetime.now(UTC).replace(microsecond=0) - timedelta(seconds=5)
        one = NoiseSecond(seq=1, t=now, laeq_db=48.0, lafmax_db=50.0, lafmin_db=46.0, laf_db=48.0)
        device.publish("qw/v1/s1/d1/noise", encode_array([encode(one)]))
        device.settle()
        device.close()
        asked = {"traceparent": f"00-{TRACE}-b7ad6b7169203331-01"}
        answer = httpx.get(f"{address}/api/v1/session", headers=asked, timeout=60)
        for name in ("ingest batch", "analysis rules", "GET get_session"):
            wait_for(lambda name=name: receiver.named(name), name, 90)
    [batch, *_] = receiver.named("ingest batch")
    told = {one.key: one.value.int_value for one in batch.attributes}
    assert told == {"messages": 1, "readings": 1, "quarantined": 0}
    parts = [one.name for one in receiver.spans() if one.parent_span_id == batch.span_id]
    assert parts == ["judge", "commit", "acknowledge"]
    [request] = receiver.named("GET get_session")
    assert request.trace_id.hex() == TRACE
    assert answer.headers["x-request-id"] in str(request.attributes) and "200" in str(request.attributes)
    assert receiver.service() == "quietwater-broker-ingest-analysis-serve"


def test_a_failure_is_noted_and_goes_on(receiver: Receiver, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", receiver.address)
    spans, end = tracing.start("tests")
    with pytest.raises(ValueError, match="no idea"), spans.span("work"):
        raise ValueError("no idea")
    end()
    [span] = receiver.named("work")
    assert span.status.code == span.status.STATUS_CODE_ERROR and span.events[0].name == "exception"


def test_a_collector_that_hangs_does_not_keep_a_process_that_ends(
    receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", receiver.address)
    monkeypatch.setattr(tracing, "_END_S", 0.1)
    receiver.answers.clear()
    spans, end = tracing.start("tests")
    with spans.span("work"):
        pass
    with capture_logs() as lines:
        end()
    assert not receiver.requests and lines[0]["event"] == "the collector did not take the last spans in time"
    receiver.answers.set()


@pytest.mark.parametrize(
    "environment",
    [
        {},
        {"OTEL_EXPORTER_OTLP_ENDPOINT": ""},
        {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://h", "OTEL_SDK_DISABLED": "true"},
    ],
)
def test_without_an_address_nothing_is_collected(environment: dict[str, str]) -> None:
    spans, end = tracing.start("tests", environment)
    assert spans is NO_SPANS
    with spans.span("work", parent="x", n=1) as one:
        one.name("other")
        one.set("n", 2)
    end()


def test_without_an_address_nothing_of_it_is_imported() -> None:
    code = "import sys, app.system, app.tracing; app.tracing.start('x', {}); "
    code += "print([one for one in sys.modules if one.startswith(('opentelemetry.sdk', 'opentelemetry.exporter'))])"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=90, check=True
    )
    assert done.stdout == "[]\n"  # FastAPI imports the bare API by itself


def test_a_missing_package_is_told_with_its_cure(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [one for one in sys.modules if one.startswith("opentelemetry.exporter")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "opentelemetry.exporter.otlp.proto.http.trace_exporter", None)
    with capture_logs() as lines:
        spans, _ = tracing.start("tests", {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:4318"})
    assert spans is NO_SPANS
    [told] = lines
    assert told["log_level"] == "warning" and re.search(r"pip install 'quietwater\[otel\]'", told["cure"])
