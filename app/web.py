"""The HTTP server as a part: uvicorn in a thread with an event loop of its own."""

from __future__ import annotations

import socket
import threading
import time
from typing import Any, Final

import uvicorn

_START_TIMEOUT_S: Final = 20.0
_STOP_TIMEOUT_S: Final = 8.0


class WebFailed(Exception):
    """The HTTP server does not start; the text says why."""


class WebServer:
    """Serves an ASGI application on a socket that is bound at once, so that its port is known and kept."""

    def __init__(self, application: Any, host: str, port: int, *, proxy: str = "127.0.0.1") -> None:
        """Bind; a ``port`` that is taken is told, 0 takes any. Raises :class:`WebFailed`.

        ``proxy`` is the address or network whose word counts for where a request came from.
        """
        self._socket = _bind(host, port)
        self.port: int = self._socket.getsockname()[1]
        # Open event streams never end by themselves: do not wait long for them.
        config = uvicorn.Config(
            application, log_config=None, access_log=False, timeout_graceful_shutdown=2, lifespan="on",
            forwarded_allow_ips=proxy,
        )  # fmt: skip
        self._server = uvicorn.Server(config)
        self._thread = threading.Thread(target=self._run, name="web", daemon=True)

    def start(self) -> None:
        """Start and wait until requests are answered. Raises :class:`WebFailed`."""
        self._thread.start()
        deadline = time.monotonic() + _START_TIMEOUT_S
        while not self._server.started:
            if not self._thread.is_alive() or time.monotonic() > deadline:
                raise WebFailed("the HTTP server did not start; its log lines say why")
            time.sleep(0.02)

    def stop(self) -> None:
        """Stop answering, close what is open, and wait."""
        self._server.should_exit = True
        if self._thread.is_alive():
            self._thread.join(_STOP_TIMEOUT_S)
        self._socket.close()

    @property
    def healthy(self) -> bool:
        """Whether it answers."""
        return self._server.started and self._thread.is_alive()

    def _run(self) -> None:
        self._server.run(sockets=[self._socket])


def _bind(host: str, port: int) -> socket.socket:
    listener = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host, port))
    except OSError as error:
        listener.close()
        raise WebFailed(
            f"cannot listen on {host}:{port}: {error.strerror}; choose another with --port"
        ) from error
    return listener
