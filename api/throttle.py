"""How often a login may fail: a bounded memory of failures, by account and address."""

from __future__ import annotations

import math
import threading
from collections import OrderedDict
from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True)
class Allowance:
    """After ``free`` failures each further one doubles the wait, from ``first_wait_s`` to ``longest_wait_s``.

    A failure is forgotten ``memory_s`` after the last one.
    """

    free: int
    first_wait_s: float = 2.0
    longest_wait_s: float = 900.0
    memory_s: float = 3600.0

    def wait_s(self, failures: int) -> float:
        """Return how long after its last failure a key with so many must wait."""
        over = failures - self.free
        if over < 0:
            return 0.0
        return min(self.longest_wait_s, self.first_wait_s * 2.0 ** min(over, 30))


@dataclass(slots=True)
class _Record:
    failures: int
    last_s: float


ACCOUNT_AT_ADDRESS: Final = Allowance(free=5)
ACCOUNT: Final = Allowance(free=50, longest_wait_s=60.0)
"""Lenient: strangers who guess must not be able to lock an account's owner out for long."""
ADDRESS: Final = Allowance(free=30)
_MOST_KEYS: Final = 20_000


class LoginThrottle:
    """Remembers failed logins; the oldest keys go when there are too many. Safe from any thread."""

    def __init__(self, *, most_keys: int = _MOST_KEYS) -> None:
        self._records: OrderedDict[tuple[str, ...], _Record] = OrderedDict()
        self._most_keys = most_keys
        self._lock = threading.Lock()

    def begin(self, name: str, address: str, now_s: float) -> float:
        """Ask for a try; return 0.0 and count it as failed until it succeeds, or the seconds that it must wait.

        Counting before the password is looked at means that a hundred tries at once are a hundred tries.
        ``now_s`` is monotonic.
        """
        with self._lock:
            wait_s = max(self._wait_of(key, rule, now_s) for key, rule in _keys(name, address))
            if wait_s == 0.0:
                self._count(name, address, now_s)
            return wait_s

    def succeeded(self, name: str, address: str) -> None:
        """Take back the try that succeeded, and forget the failures of this account at this address."""
        with self._lock:
            both, *others = (key for key, _ in _keys(name, address))
            self._records.pop(both, None)
            for key in others:
                record = self._records.get(key)
                if record:
                    record.failures -= 1

    def _count(self, name: str, address: str, now_s: float) -> None:
        for key, rule in _keys(name, address):
            old = self._records.pop(key, None)
            fresh = old is not None and now_s - old.last_s < rule.memory_s
            self._records[key] = _Record(old.failures + 1 if fresh and old else 1, now_s)
        while len(self._records) > self._most_keys:
            self._records.popitem(last=False)

    def _wait_of(self, key: tuple[str, ...], rule: Allowance, now_s: float) -> float:
        record = self._records.get(key)
        if record is None or now_s - record.last_s >= rule.memory_s:
            return 0.0
        return max(0.0, math.ceil(record.last_s + rule.wait_s(record.failures) - now_s))


def _keys(name: str, address: str) -> list[tuple[tuple[str, ...], Allowance]]:
    folded = name.lower()[:80]
    return [
        (("both", folded, address), ACCOUNT_AT_ADDRESS),
        (("name", folded), ACCOUNT),
        (("address", address), ADDRESS),
    ]
