"""How many requests one user, or one address without a login, may make: a bucket that refills."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Hashable
from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True)
class Rate:
    """``per_s`` requests a second in the long run, ``burst`` at once."""

    per_s: float
    burst: float


USER_RATE: Final = Rate(per_s=100.0, burst=400.0)
ADDRESS_RATE: Final = Rate(per_s=20.0, burst=100.0)
_MOST_KEYS: Final = 20_000


class RateLimit:
    """Buckets by key; the least used go when there are too many. Safe from any thread."""

    def __init__(self, *, most_keys: int = _MOST_KEYS) -> None:
        self._buckets: OrderedDict[Hashable, tuple[float, float]] = OrderedDict()
        self._most_keys = most_keys
        self._lock = threading.Lock()

    def take(self, key: Hashable, rate: Rate, now_s: float) -> float:
        """Take one request from a key's bucket; return 0.0, or the seconds until there is one again."""
        with self._lock:
            level, at_s = self._buckets.pop(key, (rate.burst, now_s))
            level = min(rate.burst, level + max(0.0, now_s - at_s) * rate.per_s)
            allowed = level >= 1.0
            self._buckets[key] = (level - 1.0 if allowed else level, now_s)
            while len(self._buckets) > self._most_keys:
                self._buckets.popitem(last=False)
            return 0.0 if allowed else (1.0 - level) / rate.per_s
