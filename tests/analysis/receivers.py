"""Servers on loopback that receive messages as the real ones do, and waiting for them."""

from __future__ import annotations

import json
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from email import message_from_bytes
from email.message import Message
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from aiosmtpd.controller import Controller


def wait_for(condition: Callable[[], Any], timeout_s: float = 90.0) -> Any:
    """Return the condition's value once it is true; fail after ``timeout_s``."""
    deadline = time.monotonic() + timeout_s
    while not (value := condition()):
        assert time.monotonic() < deadline, "waited in vain"
        threading.Event().wait(0.02)
    return value


@dataclass
class Webhook:
    """An HTTP server that keeps what it is sent; answers ``status``, one after the other, then the last for ever."""

    url: str = ""
    statuses: list[int] = field(default_factory=lambda: [200])
    received: list[dict[str, Any]] = field(default_factory=list)
    raw: list[tuple[dict[str, str], bytes]] = field(default_factory=list)
    arrived_at: list[float] = field(default_factory=list)
    tries: int = 0

    def answer(self) -> int:
        self.tries += 1
        return self.statuses.pop(0) if len(self.statuses) > 1 else self.statuses[0]


@contextmanager
def webhook_server() -> Iterator[Webhook]:
    hook = Webhook()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            status = hook.answer()
            if status < 300:
                hook.raw.append(({k.lower(): v for k, v in self.headers.items()}, body))
                hook.arrived_at.append(time.monotonic())
                hook.received.append(json.loads(body))
            self.send_response(status)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, format: str, *args: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    hook.url = f"json://127.0.0.1:{server.server_address[1]}/"
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    yield hook
    server.shutdown()
    server.server_close()
    thread.join()


@dataclass
class Mailbox:
    """An SMTP server that keeps what it is sent."""

    url: str = ""
    received: list[Message] = field(default_factory=list)

    def text(self, index: int = 0) -> str:
        """Return the plain text of a mail."""
        for part in self.received[index].walk():
            if part.get_content_type() == "text/plain":
                return part.get_payload(decode=True).decode()  # type: ignore[union-attr]
        raise AssertionError("the mail has no plain text")


@contextmanager
def mail_server() -> Iterator[Mailbox]:
    box = Mailbox()

    class Handler:
        async def handle_DATA(self, server: Any, session: Any, envelope: Any) -> str:
            box.received.append(message_from_bytes(envelope.content))
            return "250 OK"

    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    controller = Controller(Handler(), hostname="127.0.0.1", port=port)
    controller.start()
    box.url = f"mailto://127.0.0.1:{port}?smtp=127.0.0.1&from=quarter@example.org&to=manager@example.org&mode=insecure"
    yield box
    controller.stop()
