"""A TCP proxy that can be cut and mended: what a broker that is out of reach looks like."""

from __future__ import annotations

import contextlib
import select
import socket
import threading


class Proxy:
    """Listens on a port of its own and hands everything on to ``target`` until :meth:`cut`."""

    def __init__(self, target: int):
        self._target = target
        self._server = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._server.getsockname()[1]
        self._up = threading.Event()
        self._up.set()
        self._silent = threading.Event()
        self._stop = threading.Event()
        self.handed_to_target = 0
        """Bytes that went towards the target."""
        self._pairs: list[tuple[socket.socket, socket.socket]] = []
        self._lock = threading.Lock()
        self._thread = threading.Thread(target=self._accept, daemon=True)
        self._thread.start()

    def cut(self) -> None:
        """Break every connection and refuse new ones."""
        self._up.clear()
        with self._lock:
            for pair in self._pairs:
                for end in pair:
                    with contextlib.suppress(OSError):
                        end.shutdown(socket.SHUT_RDWR)

    def mend(self) -> None:
        """Let connections through again."""
        self._silent.clear()
        self._up.set()

    def go_silent(self) -> None:
        """Keep connections open and let nothing through, as a dead mobile link does."""
        self._silent.set()

    def close(self) -> None:
        self._stop.set()
        self.cut()
        self._thread.join(5)
        self._server.close()

    def _accept(self) -> None:
        while not self._stop.is_set():
            readable, _, _ = select.select([self._server], [], [], 0.1)
            if not readable:
                continue
            with contextlib.suppress(OSError):
                self._serve(self._server.accept()[0])

    def _serve(self, near: socket.socket) -> None:
        if not self._up.is_set():
            near.close()
            return
        try:
            far = socket.create_connection(("127.0.0.1", self._target), timeout=2)
        except OSError:
            near.close()
            return
        far.settimeout(None)
        with self._lock:
            self._pairs.append((near, far))
        for source, sink in ((near, far), (far, near)):
            threading.Thread(target=self._pump, args=(source, sink, sink is far), daemon=True).start()

    def _pump(self, source: socket.socket, sink: socket.socket, is_up: bool) -> None:
        with contextlib.suppress(OSError):
            while data := source.recv(65_536):
                while self._silent.is_set() and not self._stop.wait(0.02):
                    pass
                sink.sendall(data)
                if is_up:
                    with self._lock:
                        self.handed_to_target += len(data)
        for end in (source, sink):
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
