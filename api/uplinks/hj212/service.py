"""One platform as a part of the server: a thread that puts rows into the queue, and one that sends them."""

from __future__ import annotations

import threading
import time
from datetime import datetime, timedelta
from pathlib import Path
from typing import Final

import structlog

from analysis.exclusions import spans_of
from api.uplinks.config import Hj212Config
from api.uplinks.hj212.answers import Talk
from api.uplinks.hj212.client import PlatformClient
from api.uplinks.hj212.message import Group
from api.uplinks.hj212.profile import profile_of
from api.uplinks.hj212.queue import Row, UplinkQueue
from api.uplinks.hj212.rows import Station, day_rows, hour_rows, live_groups, minute_row, time_text
from contract.clock import Clock
from contract.sitetime import floor_hour
from store.registry.database import Registry
from store.registry.models import Site
from store.series.interface import SeriesStore

log = structlog.get_logger(__name__)

FEED_EVERY_S: Final = 20.0
_DEEP_EVERY_S: Final = 1800.0
_RECENT: Final = timedelta(hours=3)
_DEEP: Final = timedelta(days=15)
"""A day longer than an outbox holds: what a device sends after an outage is found as late as this."""
_DEEP_DAYS: Final = 15
_A_DAY: Final = timedelta(days=1)
_SETTLE: Final = timedelta(minutes=1)
_MINUTES_BACK: Final = timedelta(hours=1)
_FORGET: Final = timedelta(days=40)
_LIVE_WINDOW: Final = timedelta(seconds=30)


class Hj212Uplink:
    """See the module. ``name`` names the queue's file; ``feed_every_s`` is for tests."""

    def __init__(
        self, name: str, config: Hj212Config, folder: Path, series: SeriesStore, registry: Registry, clock: Clock, *,
        feed_every_s: float = FEED_EVERY_S, over_time_s: float = 10.0, backoff_s: float = 1.0,
    ) -> None:  # fmt: skip
        self._name = name
        self._profile = profile_of(config.profile)
        self._stations = config.station_list()
        self._series = series
        self._registry = registry
        self._clock = clock
        self._feed_every_s = feed_every_s
        self._deep_at_s = float("-inf")
        self._failing = False
        self.queue = UplinkQueue(folder / "uplinks" / f"{name}.sqlite3")
        self.client = PlatformClient(
            (config.host, config.port), self._profile, self.queue, tuple(one.mn for one in self._stations),
            pw=config.password, now=clock.now, live=self._live,
            talk=Talk(config.live_interval_s, config.minute_interval_min, config.live), over_time_s=over_time_s,
            backoff_s=backoff_s,
        )  # fmt: skip
        self._stop = threading.Event()
        self._threads = (
            threading.Thread(target=self._feed_loop, name=f"hj212-feed-{name}", daemon=True),
            threading.Thread(target=self.client.run, args=(self._stop,), name=f"hj212-{name}", daemon=True),
        )

    def start(self) -> None:
        """Begin."""
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        """End; what is not acknowledged stays in the file."""
        self._stop.set()
        for thread in self._threads:
            if thread.ident is not None:
                thread.join(15.0)
        self.queue.close()

    def numbers(self) -> dict[str, float]:
        """Return counts for ``/metrics``."""
        counts, stats = self.queue.counts(), self.client.stats
        return {
            "waiting": counts["waiting"], "acknowledged_total": counts["acknowledged"],
            "dropped_total": counts["dropped"], "connected": float(self.client.connected),
            "resent_total": stats.resent, "bad_frames_total": stats.bad_frames,
        }  # fmt: skip

    def feed(self, *, deep: bool) -> int:
        """Put what is new into the queue; ``deep`` looks for late hours and days too. Returns how many rows."""
        now = self._clock.now()
        added = 0
        for station in self._stations:
            rows = self._rows(station, now, _DEEP if deep else _RECENT, deep)
            added += self.queue.put(rows)
        if deep:
            self.queue.forget(time_text(self._profile, now - _FORGET))
        return added

    # -- inside ------------------------------------------------------------------------------------------------

    def _rows(self, station: Station, now: datetime, back: timedelta, deep: bool) -> list[Row]:
        end = floor_hour(now - _SETTLE)
        with self._registry.reader() as session:
            site = session.get(Site, station.site)
            left_out = spans_of(session, self._series, station.site, end - back - _A_DAY, now)
        rows = list(hour_rows(self._profile, self._series, station, end - back, end, left_out))
        rows += self._minutes(station, now)
        if deep and site is not None:
            rows += day_rows(self._profile, self._series, station, site, now - _SETTLE, _DEEP_DAYS, left_out)
        return rows

    def _minutes(self, station: Station, now: datetime) -> list[Row]:
        """Return the periods of the last hour that are over and not known yet."""
        minutes = self.client.talk.minute_interval_min
        step = timedelta(minutes=minutes)
        start = floor_hour(now - _MINUTES_BACK)
        command = self._profile.commands["minute"]
        known = self.queue.known(station.mn, command, time_text(self._profile, start))
        rows: list[Row] = []
        while start + step + timedelta(seconds=10) <= now:
            if time_text(self._profile, start) not in known:
                row = minute_row(self._profile, self._series, station, start, minutes)
                rows += [row] if row else []
            start += step
        return rows

    def _live(self, mn: str) -> list[Group] | None:
        station = next(one for one in self._stations if one.mn == mn)
        groups = live_groups(self._profile, self._series, station, self._clock.now(), _LIVE_WINDOW)
        return list(groups) if groups else None

    def _feed_loop(self) -> None:
        while not self._stop.is_set():
            deep = time.monotonic() - self._deep_at_s >= _DEEP_EVERY_S
            try:
                self.feed(deep=deep)
                if deep:
                    self._deep_at_s = time.monotonic()
                self._failing = False
            except Exception as error:  # a store that is away now answers in the next round
                if not self._failing:
                    log.warning(
                        "rows for the platform cannot be made now", uplink=self._name, cause=str(error)
                    )
                self._failing = True
            self._stop.wait(self._feed_every_s)
