"""Tell systemd that the agent is ready and alive (the protocol of sd_notify: a datagram to a socket it names)."""

from __future__ import annotations

import os
import socket
from collections.abc import Callable, Mapping
from typing import Final

_NOTIFY: Final = "NOTIFY_SOCKET"
_INTERVAL: Final = "WATCHDOG_USEC"


class Watchdog:
    """Says READY once and WATCHDOG as often as systemd wants it; does nothing where systemd does not ask for it."""

    def __init__(self, environment: Mapping[str, str] | None = None) -> None:
        given = os.environ if environment is None else environment
        self._address = given.get(_NOTIFY, "")
        interval_us = given.get(_INTERVAL, "")
        self._every_s = int(interval_us) / 2e6 if interval_us.isdecimal() else None
        self._due_s = 0.0

    def ready(self, words: str) -> None:
        """Say that the start is over, and what runs."""
        self._tell(f"READY=1\nSTATUS={words}")

    def stopping(self) -> None:
        """Say that the end has begun."""
        self._tell("STOPPING=1")

    def alive(self, now_s: float, healthy: Callable[[], bool]) -> None:
        """Feed the watchdog when it is due and all is ``healthy``, else systemd restarts us; ``now_s`` is monotonic."""
        if self._every_s is not None and now_s >= self._due_s and healthy():
            self._tell("WATCHDOG=1")
            self._due_s = now_s + self._every_s

    def _tell(self, text: str) -> None:
        if not self._address:
            return
        address = "\0" + self._address[1:] if self._address.startswith("@") else self._address
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as teller:
            teller.sendto(text.encode(), address)
