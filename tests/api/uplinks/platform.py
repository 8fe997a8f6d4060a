"""A platform of HJ 212 over real TCP: takes packets, answers 9014, asks, and cuts connections where a test says."""

from __future__ import annotations

import socket
import threading
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass, field

from api.uplinks.hj212.frame import BadFrame, Deframer, encode
from api.uplinks.hj212.message import SYSTEM, Message, build, parse

Decide = Callable[[int, Message], str]
"""From the number of the packet and the packet: ``answer``, ``silent``, ``cut_before`` or ``cut_after`` answering."""


@dataclass
class Platform:
    """See the module. ``arrived`` holds the content of every copy of each row, ``heard`` everything."""

    decide: Decide = lambda number, message: "answer"
    arrived: dict[tuple[str, str, str], list[tuple[str, str]]] = field(
        default_factory=lambda: defaultdict(list)
    )
    heard: list[Message] = field(default_factory=list)
    bad: list[BadFrame] = field(default_factory=list)
    connections: int = 0
    cuts: int = 0

    def __post_init__(self) -> None:
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._listener.settimeout(0.1)
        self.port: int = self._listener.getsockname()[1]
        self._stop = threading.Event()
        self._lock = threading.Lock()
        self._current: socket.socket | None = None
        self._number = 0
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self) -> Platform:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join(10)
        self._listener.close()
        assert not self._thread.is_alive()

    def ask(self, cn: str, cp: dict[str, str] | None = None, *, pw: str = "123456", mn: str, qn: str) -> None:
        """Send a request."""
        self.send_raw(encode(build(Message(qn, "23", cn, pw, mn, 5, [cp] if cp else []))))

    def send_raw(self, data: bytes) -> None:
        """Send bytes, whole frames or not."""
        assert self._current is not None
        self._current.sendall(data)

    def of(self, cn: str, qn: str | None = None) -> list[Message]:
        """Return what was heard of a command."""
        with self._lock:
            return [one for one in self.heard if one.cn == cn and qn in (None, one.qn)]

    def _run(self) -> None:
        while not self._stop.is_set():
            try:
                sock, _ = self._listener.accept()
            except TimeoutError:
                continue
            with sock:
                self.connections += 1
                self._current = sock
                self._serve(sock)
                self._current = None

    def _serve(self, sock: socket.socket) -> None:
        sock.settimeout(0.1)
        deframer = Deframer()
        while not self._stop.is_set():
            try:
                data = sock.recv(65_536)
            except TimeoutError:
                continue
            except OSError:
                return
            if not data:
                return
            for one in deframer.feed(data):
                if isinstance(one, BadFrame):
                    self.bad.append(one)
                elif not self._take(sock, parse(one)):
                    self.cuts += 1
                    return

    def _take(self, sock: socket.socket, message: Message) -> bool:
        with self._lock:
            self.heard.append(message)
        if not message.answer_wanted:
            return True
        self._number += 1
        what = self.decide(self._number, message)
        if what == "cut_before":
            return False  # before the platform keeps anything of it
        with self._lock:
            key = (message.mn, message.cn, message.value("DataTime") or "")
            self.arrived[key].append((message.qn, build(message)))
        if what in ("answer", "cut_after_answer"):
            answer = Message(message.qn, SYSTEM, "9014", message.pw, message.mn, 4)
            sock.sendall(encode(build(answer)))
        return what in ("answer", "silent")
