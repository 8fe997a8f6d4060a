"""InfluxDB deletes by itself, whole shards, and asks nobody: here is seen to it that it deletes nothing too early.

While hours near their end have no row yet, the server is told to keep everything; once they have, what was wished.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Final

from store.series.influx_http import InfluxHttp
from store.series.influx_setup import init_store
from store.series.retention import Retained, Retention

_NEAR_THE_END: Final = timedelta(days=7)
"""Shards are as long as that at most, but for the hour rows, which stay for ever."""


class InfluxRetention:
    """Sets what a server is to keep, whenever that changes."""

    def __init__(self, http: InfluxHttp) -> None:
        self._http = http
        self._set: Retention | None = None

    def apply(self, wished: Retention, now: datetime, dirty: Sequence[tuple[str, int]]) -> Retained:
        """Set the retention; ``dirty`` are kind and start (seconds since 1970) of the hours without a row up to date.

        Raises ``StoreNotSetUp`` where the login may not, and ``StoreUnavailable``.
        """
        seconds = _waiting(wished.seconds_before(now), dirty, ("noise",))
        minutes = _waiting(wished.minutes_before(now), dirty, ("noise", "water"))
        safe = Retention(
            None if seconds else wished.seconds_days, None if minutes else wished.minutes_days
        )  # fmt: skip
        if safe != self._set and self._http.version().generation != "other":
            init_store(self._http.address, safe)
            self._set = safe
        return Retained(waiting=max(seconds, minutes))


def _waiting(before: datetime | None, dirty: Sequence[tuple[str, int]], kinds: tuple[str, ...]) -> int:
    if before is None:
        return 0
    end_s = (before + _NEAR_THE_END).timestamp()
    return sum(1 for kind, hour_s in dirty if kind in kinds and hour_s < end_s)
