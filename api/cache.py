"""Answers that many pages ask for at once: computed once, kept for a moment."""

from __future__ import annotations

import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Hashable
from typing import Generic, TypeVar

Value = TypeVar("Value")


class TimedCache(Generic[Value]):
    """Keeps up to ``most`` values for ``keep_s`` wall seconds. One thread computes a key, the others wait for it."""

    def __init__(
        self, keep_s: float, *, most: int = 2_000, monotonic: Callable[[], float] = time.monotonic
    ) -> None:
        self._keep_s = keep_s
        self._most = most
        self._monotonic = monotonic
        self._lock = threading.Lock()
        self._values: OrderedDict[Hashable, tuple[float, Value]] = OrderedDict()
        self._busy: dict[Hashable, threading.Lock] = {}

    def get(self, key: Hashable, compute: Callable[[], Value]) -> Value:
        """Return the value of a key, computing it when there is none or it is old. Exceptions are not kept."""
        fresh = self._fresh(key)
        if fresh:
            return fresh[0]
        with self._lock:
            busy = self._busy.setdefault(key, threading.Lock())
        with busy:
            fresh = self._fresh(key)
            if fresh:
                return fresh[0]
            value = compute()
            self._keep(key, value)
            return value

    def clear(self) -> None:
        """Forget everything: what it was computed from has changed."""
        with self._lock:
            self._values.clear()

    def _fresh(self, key: Hashable) -> tuple[Value] | None:
        with self._lock:
            kept = self._values.get(key)
            if kept is None or self._monotonic() - kept[0] > self._keep_s:
                return None
            return (kept[1],)

    def _keep(self, key: Hashable, value: Value) -> None:
        with self._lock:
            self._values[key] = (self._monotonic(), value)
            self._values.move_to_end(key)
            while len(self._values) > self._most:
                self._values.popitem(last=False)
            self._busy.pop(key, None)
