"""Serves simulated meters on a pseudo-terminal or over TCP, with the timing of a slow line."""

from __future__ import annotations

import contextlib
import heapq
import os
import selectors
import socket
import threading
import time
import tty
from collections.abc import Sequence
from pathlib import Path
from random import Random
from typing import Final, Protocol

from contract.clock import Clock
from edge.water.simulator.faults import Fault, apply
from edge.water.simulator.slaves import Answer, Segment

_BITS: Final = 11
"""Of a byte on the line: start, eight, parity, stop."""
_TURNAROUND_BITS: Final = 33
"""How long a meter thinks before it answers."""
_CHUNK: Final = 8
_LOOK_S: Final = 0.2


class Endpoint(Protocol):
    """Where the master's bytes come from and the meters' bytes go."""

    where: str

    def fileno(self) -> int:
        """Return what to wait on."""
        ...

    def read(self) -> bytes:
        """Return what has come."""
        ...

    def write(self, data: bytes) -> None:
        """Send; bytes to nobody are lost, as on a line."""
        ...

    def close(self) -> None:
        """End it."""
        ...


class Pty:
    """A pseudo-terminal; ``where`` is the device that the master opens."""

    def __init__(self, link: Path | None = None) -> None:
        """``link`` is a symbolic link to make for the device."""
        self._master, self._slave = os.openpty()
        tty.setraw(self._slave)
        os.set_blocking(self._master, False)
        self._link = link
        self.where = os.ttyname(self._slave)
        if link is not None:
            link.unlink(missing_ok=True)
            link.symlink_to(self.where)
            self.where = str(link)

    def fileno(self) -> int:
        """Return what to wait on."""
        return self._master

    def read(self) -> bytes:
        """Return what has come."""
        with contextlib.suppress(BlockingIOError, OSError):
            return os.read(self._master, 4096)
        return b""

    def write(self, data: bytes) -> None:
        """Send."""
        with contextlib.suppress(BlockingIOError, OSError):
            os.write(self._master, data)

    def close(self) -> None:
        """End it."""
        if self._link is not None:
            self._link.unlink(missing_ok=True)
        os.close(self._master)
        os.close(self._slave)


class Tcp:
    """A listening TCP port that takes one master at a time, as gateways do; the newest one counts."""

    def __init__(self, host: str, port: int) -> None:
        """Port 0 takes a free one. Raises ``OSError``."""
        self._listener = socket.create_server((host, port))
        self._listener.setblocking(False)
        self._client: socket.socket | None = None
        bound = self._listener.getsockname()
        self.where = f"{bound[0]}:{bound[1]}"

    def fileno(self) -> int:
        """Return what to wait on: the master, or the port while there is none."""
        self._accept()
        return (self._client or self._listener).fileno()

    def read(self) -> bytes:
        """Return what has come."""
        self._accept()
        if self._client is None:
            return b""
        try:
            data = self._client.recv(4096)
        except BlockingIOError:
            return b""
        except OSError:
            data = b""
        if not data:
            self._client.close()
            self._client = None
        return data

    def write(self, data: bytes) -> None:
        """Send."""
        if self._client is not None:
            with contextlib.suppress(OSError):
                self._client.sendall(data)

    def close(self) -> None:
        """End it."""
        if self._client is not None:
            self._client.close()
        self._listener.close()

    def _accept(self) -> None:
        with contextlib.suppress(BlockingIOError):
            client, _address = self._listener.accept()
            if self._client is not None:
                self._client.close()
            client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            client.setblocking(False)
            self._client = client


class Server:
    """Answers in place of the meters of a segment until it is told to stop."""

    def __init__(
        self,
        segment: Segment,
        endpoint: Endpoint,
        clock: Clock,
        *,
        baud: int,
        faults: Sequence[Fault],
        seed: int,
    ) -> None:
        self._segment = segment
        self._endpoint = endpoint
        self._clock = clock
        self._baud = baud
        self._faults = faults
        self._echoes = any(fault.kind == "echo" for fault in faults)
        self._chance = Random(seed)  # noqa: S311 - faults are no secrets
        self._pending: list[tuple[float, int, bytes]] = []
        self._count = 0
        self.answered = 0
        """Requests that a meter answered, or would have but for a fault."""

    def run(self, stop: threading.Event) -> None:
        """Serve until ``stop`` is set."""
        while not stop.is_set():
            self._write_due()
            if self._readable():
                self._take_in(self._endpoint.read())

    def _readable(self) -> bool:
        wait_s = _LOOK_S
        if self._pending:
            wait_s = min(wait_s, max(0.0, self._pending[0][0] - time.monotonic()))
        with selectors.DefaultSelector() as selector:
            selector.register(self._endpoint.fileno(), selectors.EVENT_READ)
            return bool(selector.select(wait_s))

    def _take_in(self, data: bytes) -> None:
        if not data:
            return
        if self._echoes:
            self._endpoint.write(data)
        for answer in self._segment.receive(data, self._clock.now()):
            self.answered += 1
            self._plan(answer)

    def _plan(self, answer: Answer) -> None:
        start_s = time.monotonic() + self._seconds(answer.request_bytes) + _TURNAROUND_BITS / self._baud
        for part in apply(self._faults, answer.meter, answer.data, answer.other, self._chance):
            at_s = start_s + part.after_s
            for place in range(0, len(part.data), _CHUNK):
                chunk = part.data[place : place + _CHUNK]
                at_s += self._seconds(len(chunk))
                self._count += 1
                heapq.heappush(self._pending, (at_s, self._count, chunk))
            start_s += self._seconds(len(part.data))

    def _write_due(self) -> None:
        while self._pending and self._pending[0][0] <= time.monotonic():
            self._endpoint.write(heapq.heappop(self._pending)[2])

    def _seconds(self, count: int) -> float:
        return count * _BITS / self._baud
