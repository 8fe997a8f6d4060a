"""An HTTP proxy in front of the store that does what a store in trouble does."""

from __future__ import annotations

import http.client
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Literal
from urllib.parse import urlsplit

Mode = Literal["well", "refuses", "hangs", "mute"]
"""``refuses``: every request is answered 503. ``hangs``: it is neither handed on nor answered. ``mute``: the store does
what it is asked, and nobody is told so."""
_DROPPED = {"connection", "keep-alive", "transfer-encoding", "content-length", "host"}


class StoreProxy:
    """Hands HTTP requests on to ``target``, unless :attr:`mode` says otherwise."""

    def __init__(self, target: str):
        where = urlsplit(target)
        self.mode: Mode = "well"
        self.troubled = 0
        """Requests that met trouble."""
        self._stop = threading.Event()
        self._server = _QuietServer(("127.0.0.1", 0), _handler(self, where.hostname, where.port))
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.1,), daemon=True)
        self._thread.start()

    def close(self) -> None:
        self._stop.set()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join(5)

    def wait_out(self, mode: Mode) -> None:
        """Wait until the trouble is over."""
        while self.mode == mode and not self._stop.wait(0.05):
            pass


class _QuietServer(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, request: object, client_address: object) -> None:
        """Say nothing: a client that is killed breaks its connection."""


def _handler(proxy: StoreProxy, host: str | None, port: int | None) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        timeout = 60

        def _serve(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            mode = proxy.mode
            proxy.troubled += mode != "well"
            if mode == "refuses":
                self._answer(503, {}, b"service unavailable\n")
                return
            if mode != "hangs":
                try:
                    status, headers, answer = self._ask(body)
                except (OSError, http.client.HTTPException):
                    self.close_connection = True
                    return
                if mode == "well":
                    self._answer(status, headers, answer)
                    return
            proxy.wait_out(mode)
            self.close_connection = True

        do_GET = do_POST = _serve

        def _ask(self, body: bytes) -> tuple[int, dict[str, str], bytes]:
            store = http.client.HTTPConnection(host or "", port, timeout=60)
            try:
                headers = {key: value for key, value in self.headers.items() if key.lower() not in _DROPPED}
                store.request(self.command, self.path, body, headers)
                response = store.getresponse()
                return response.status, dict(response.getheaders()), response.read()
            finally:
                store.close()

        def _answer(self, status: int, headers: dict[str, str], body: bytes) -> None:
            try:
                self.send_response(status)
                for key, value in headers.items():
                    if key.lower() not in _DROPPED:
                        self.send_header(key, value)
                if status != 204:
                    self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)
            except OSError:
                self.close_connection = True

        def log_message(self, *_: object) -> None:
            pass

    return Handler
