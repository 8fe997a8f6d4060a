"""Answers that many pages ask for at once: computed once, kept for a moment."""

from __future__ import annotations

import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Hashable
from typing import Any, Generic, TypeVar

from starlette.requests import Request

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
        self._cleared = 0

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
            cleared = self._cleared
            try:
                value = compute()
                self._keep(key, value, cleared)
                return value
            finally:
                with self._lock:
                    self._busy.pop(key, None)

    def clear(self) -> None:
        """Forget everything, what is being computed too: what it is computed from has changed."""
        with self._lock:
            self._cleared += 1
            self._values.clear()

    def _fresh(self, key: Hashable) -> tuple[Value] | None:
        with self._lock:
            kept = self._values.get(key)
            if kept is None or self._monotonic() - kept[0] > self._keep_s:
                return None
            return (kept[1],)

    def _keep(self, key: Hashable, value: Value, cleared: int) -> None:
        with self._lock:
            if cleared != self._cleared:
                return
            self._values[key] = (self._monotonic(), value)
            self._values.move_to_end(key)
            while len(self._values) > self._most:
                self._values.popitem(last=False)


class Caches:
    """The answers that one application keeps, by what they are about."""

    def __init__(self) -> None:
        self.sites: TimedCache[bytes] = TimedCache(1.0)
        self.standings: TimedCache[Any] = TimedCache(60.0, most=50)
        self.days: TimedCache[Any] = TimedCache(20.0, most=200)
        self.trends: TimedCache[Any] = TimedCache(120.0)  # its steps are ten minutes long
        self.water: TimedCache[Any] = TimedCache(10.0)
        self.dossiers: TimedCache[Any] = TimedCache(60.0, most=100)
        self.pdf_check: TimedCache[str] = TimedCache(60.0)

    def forget_judged(self) -> None:
        """Forget what is judged: borders, limits, settings or the times left out of a quarter have changed."""
        for one in (self.sites, self.standings, self.days, self.water, self.dossiers):
            one.clear()


def caches_of(request: Request) -> Caches:
    """Return what the application of a request keeps."""
    caches = request.app.state.caches
    assert isinstance(caches, Caches)
    return caches
