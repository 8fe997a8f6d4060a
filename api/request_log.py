"""A name for every request, and a log line for those that are slow or fail.

The name (``X-Request-Id``) is the client's or the proxy's where it is well formed, else made here. Every log line of
the request carries it, and so does every error that is answered. What proves who somebody is (query, headers, the
tokens in links) is in no line.
"""

from __future__ import annotations

import re
import secrets
import time
from typing import Final

import structlog
from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from api.problems import ApiProblem, problem_response
from contract.spans import NO_SPANS, Spans

log = structlog.get_logger(__name__)

HEADER: Final = "X-Request-Id"
SLOW_S: Final = 1.0
"""Requests that take longer are told at the level info, as those that fail; the others at debug."""
_WELL_FORMED: Final = re.compile(r"[A-Za-z0-9._-]{8,64}")
_LINKS: Final = re.compile(r"(/(?:ack|survey)/)[^/]+")
"""Paths with a token: whoever has it may do what the link is for."""
_PATH_MOST: Final = 200
_STREAMS: Final = frozenset({"stream_live"})
"""Operations that are open for as long as somebody looks."""


class RequestLog:
    """ASGI middleware that names requests, tells of them, and answers with a problem where nobody else did."""

    def __init__(self, app: ASGIApp, *, slow_s: float = SLOW_S, spans: Spans = NO_SPANS) -> None:
        self._app = app
        self._spans = spans
        self._slow_s = slow_s

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve a request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        name, method = request_id(headers.get(HEADER)), scope["method"]
        with (
            structlog.contextvars.bound_contextvars(request_id=name),
            self._spans.span(method, parent=headers.get("traceparent"), request_id=name) as span,
        ):
            status = await self._serve(scope, receive, send, name)
            span.name(f"{method} {operation_of(scope)}".rstrip())
            span.set("http.response.status_code", status)

    async def _serve(self, scope: Scope, receive: Receive, send: Send, name: str) -> int:
        """Serve the request called ``name`` and return the status of its answer."""
        status, began = 0, time.perf_counter()

        async def sent(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                MutableHeaders(scope=message)[HEADER] = name
            await send(message)

        try:
            await self._app(scope, receive, sent)
        except Exception as error:
            log.error("a request failed", method=scope["method"], path=path_of(scope), exc_info=error)
            if status:  # half an answer is out: the server has to break off the connection
                raise
            await problem_response(_INTERNAL)(scope, receive, sent)
        finally:
            self._tell(scope, status, time.perf_counter() - began)
        return status

    def _tell(self, scope: Scope, status: int, seconds: float) -> None:
        operation = operation_of(scope)
        slow = seconds > self._slow_s and operation not in _STREAMS
        tell = log.info if slow or status >= 500 else log.debug
        tell(
            "request", method=scope["method"], path=path_of(scope), operation=operation, status=status,
            duration_ms=round(seconds * 1000, 1),
        )  # fmt: skip


_INTERNAL: Final = ApiProblem(500, "internal", "the server failed at this request; the cause is in its log")


def request_id(given: str | None) -> str:
    """Return the name that a request came with where it is well formed, else a new one."""
    return given if given is not None and _WELL_FORMED.fullmatch(given) else secrets.token_hex(8)


def operation_of(scope: Scope) -> str:
    """Return the name of the operation that a request has reached, or an empty text."""
    return getattr(scope.get("endpoint"), "__name__", "")


def path_of(scope: Scope) -> str:
    """Return a request's path as a log line may show it."""
    return _LINKS.sub(r"\1…", scope["path"])[:_PATH_MOST]
