"""``/metrics``, ``/healthz`` and ``/readyz`` of a process that has no API: a small HTTP server on a port of its own."""

from __future__ import annotations

import hmac
import ipaddress
import json
import os
import threading
from collections.abc import Callable, Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Final

import structlog

from api.metrics import MEDIA_TYPE

log = structlog.get_logger(__name__)

TOKEN_VARIABLE: Final = "QUIETWATER_METRICS_TOKEN"  # noqa: S105  the name of a variable
_READ_TIMEOUT_S: Final = 10.0

Probe = Callable[[], str | None]
"""Returns why a part does not work, or ``None``; what it raises is a reason too."""


def given_token() -> str | None:
    """Return the token that the environment holds, or the file that it names. Raises ``OSError``."""
    if name := os.environ.get(f"{TOKEN_VARIABLE}_FILE"):
        return Path(name).read_text().strip() or None
    return os.environ.get(TOKEN_VARIABLE) or None


class NeedsToken(OSError):
    """The metrics would be open to other machines; the text names the cure."""


class ObservePort:
    """Answers on ``host`` and ``port`` from :meth:`start` to :meth:`stop`; port 0 takes any.

    ``alive`` and ``ready`` are probes by the name of their part. With a ``token`` the metrics and the reasons are for
    those who send it; without one nothing but this machine may be listened to. Raises :class:`NeedsToken`, and
    ``OSError`` for a port that is taken.
    """

    def __init__(
        self, host: str, port: int, *, page: Callable[[], bytes], alive: Mapping[str, Probe],
        ready: Mapping[str, Probe], token: str | None = None,
    ) -> None:  # fmt: skip
        if token is None and not _is_loopback(host):
            raise NeedsToken(
                f"--metrics-host {host} can be reached from other machines: put a long random text into "
                f"{TOKEN_VARIABLE}, or into a file that {TOKEN_VARIABLE}_FILE names, and give it to Prometheus as "
                "its bearer token"
            )
        self._page, self._alive, self._ready, self._token = page, alive, ready, token
        self._states: dict[str, bool] = {}
        self._server = self._bind(host, port)
        self.port: int = self._server.server_address[1]
        self._thread = threading.Thread(target=self._server.serve_forever, name="metrics", daemon=True)

    def start(self) -> None:
        """Begin to answer."""
        self._thread.start()

    def stop(self) -> None:
        """Stop answering."""
        if self._thread.is_alive():
            self._server.shutdown()
            self._thread.join(5.0)
        self._server.server_close()

    def answer(self, path: str, authorization: str) -> tuple[int, str, bytes]:
        """Return status, media type and body of a request."""
        trusted = self._token is None or hmac.compare_digest(
            authorization.encode(), f"Bearer {self._token}".encode()
        )
        match path.partition("?")[0]:
            case "/metrics":
                if not trusted:
                    return 401, "text/plain; charset=utf-8", b"send the token as Authorization: Bearer ...\n"
                return 200, MEDIA_TYPE, self._page()
            case "/healthz":
                return self._judge("alive", self._alive, trusted)
            case "/readyz":
                return self._judge("ready", self._ready, trusted)
            case _:
                return 404, "text/plain; charset=utf-8", b"there are /metrics, /healthz and /readyz\n"

    def _judge(self, word: str, probes: Mapping[str, Probe], trusted: bool) -> tuple[int, str, bytes]:
        reasons = {name: reason for name, probe in probes.items() if (reason := _reason(probe)) is not None}
        self._tell(word, reasons)
        told: dict[str, object] = {
            word: not reasons,
            "parts": {name: name not in reasons for name in probes},
        }
        if trusted:
            told["reasons"] = reasons
        return 503 if reasons else 200, "application/json", json.dumps(told).encode()

    def _tell(self, word: str, reasons: Mapping[str, str]) -> None:
        if self._states.get(word, True) == (not reasons):
            return
        self._states[word] = not reasons
        if reasons:
            log.warning(
                f"the process is not {word}", **{f"because_of_{key}": why for key, why in reasons.items()}
            )
        else:
            log.info(f"the process is {word} again")

    def _bind(self, host: str, port: int) -> ThreadingHTTPServer:
        try:
            return ThreadingHTTPServer((host, port), _handler(self.answer))
        except OSError as error:
            raise OSError(
                f"cannot listen on {host}:{port} for metrics: {error.strerror}; choose another with --metrics-port"
            ) from error


def _handler(
    answer: Callable[[str, str], tuple[int, str, bytes]],
) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        timeout = _READ_TIMEOUT_S

        def do_GET(self) -> None:
            try:
                status, media_type, body = answer(self.path, self.headers.get("Authorization", ""))
            except Exception:  # a scrape must not end the thread without a word
                log.exception("the metrics could not be told", path=self.path[:200])
                status, media_type, body = 500, "text/plain; charset=utf-8", b"the cause is in the log\n"
            self.send_response(status)
            self.send_header("Content-Type", media_type)
            self.send_header("Content-Length", str(len(body)))
            self.send_header("Cache-Control", "no-store")
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:
            log.debug("metrics request", what=format % args)

    return Handler


def _reason(probe: Probe) -> str | None:
    try:
        return probe()
    except Exception as error:  # whatever a part raises, it does not work
        return f"{type(error).__name__}: {error}"


def _is_loopback(host: str) -> bool:
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
