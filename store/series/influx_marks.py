"""Dirty hours in InfluxDB: a log of touched hours, written by ingest, and one of settled hours, written by analysis.

Points cannot be taken back, so a mark is an entry in a log; several processes may write and read it. ``touched``
entries travel in the request of the data that they belong to, in the same database. An hour is dirty while its last
touch is later than the touch that its rollup has settled. The watermark says before which nothing is open any
more, so that a start does not read months of log.
"""

# ruff: noqa: S608  InfluxQL is put together from this package's own names and from quoted texts

from __future__ import annotations

import threading
from collections.abc import Callable, Collection, Sequence
from typing import Final, Literal, cast

from store.series.influx_http import InfluxHttp
from store.series.influx_lines import SETTLED, TOUCHED, WATERMARK, settled
from store.series.influx_ql import S, as_int, ask, values
from store.series.memory import DirtyHours, Mark, Sources

_OVERLAP_NS: Final = 300 * S
"""Clocks of several processes may differ by this much, and a write may take this long to show."""
_WATERMARK_EVERY_NS: Final = 600 * S


class InfluxMarks:
    """What is dirty, as this process has read it."""

    def __init__(self, http: InfluxHttp, wall_ns: Callable[[], int]) -> None:
        """Read through ``http``; ``wall_ns`` tells the time in nanoseconds since 1970."""
        self._http = http
        self._wall_ns = wall_ns
        self._lock = threading.Lock()
        self._sources = Sources()
        self._dirty = DirtyHours()
        self._settled: dict[Mark, int] = {}
        self._read_upto: int | None = None
        self._watermark = 0

    def due(
        self, before_s: int, limit: int, sites: Collection[str] | None = None
    ) -> list[tuple[Mark, str, str]]:
        """Return marks of hours that end at or before ``before_s`` with their site and source, oldest first."""
        with self._lock:
            self._refresh()
            marks = self._dirty.take(before_s, limit, self._sources.of_sites(sites))
            return [(mark, *self._sources.names[mark[1]]) for mark in marks]

    def open(self) -> list[tuple[str, int]]:
        """Return kind and start in seconds of every hour that is dirty, without taking it to be rolled up."""
        with self._lock:
            self._refresh()
            return [(kind, hour_s) for kind, _, hour_s in self._dirty.open()]

    def settle(self, hours: Sequence[tuple[Literal["noise", "water"], str, str, int]]) -> None:
        """Clear the marks of hours (kind, site, source, start in s) that nothing has touched since they were due."""
        with self._lock:
            self._refresh()
            marks = self._dirty.settled(self._mark(*hour) for hour in hours)
            if not marks:
                return
            names = self._sources.names
            upto = {mark: cast(int, self._dirty.touched_by(mark)) for mark in marks}
            now = self._wall_ns()
            log = settled(((mark, *names[mark[1]], upto[mark]) for mark in marks), now)
            for begin in range(0, len(log), 5000):
                self._http.write(self._http.address.minutes, b"\n".join(log[begin : begin + 5000]))
            self._dirty.clear(marks)
            self._settled.update(upto)
            self._advance_watermark(now)

    def _mark(self, kind: Literal["noise", "water"], site: str, source: str, hour_s: int) -> Mark:
        new: dict[tuple[str, str], int] = {}
        number = int(self._sources.number([(site, source)], new)[0])
        self._sources.add(new)
        return kind, number, hour_s

    def _refresh(self) -> None:
        address = self._http.address
        now = self._wall_ns()
        if self._read_upto is None:
            (answer,) = ask(self._http, address.minutes, [f"SELECT last(upto_ns) FROM {WATERMARK}"])
            self._watermark = as_int(values(answer)[0][1]) if answer else 0
            since = self._watermark
        else:
            since = self._read_upto - _OVERLAP_NS
        touched = f"SELECT hour_s FROM {TOUCHED} WHERE time > {since} GROUP BY kind, site, source"
        done = f"SELECT hour_s, upto_ns FROM {SETTLED} WHERE time > {since} GROUP BY kind, site, source"
        (in_seconds,) = ask(self._http, address.seconds, [touched])
        in_minutes, settled_rows = ask(self._http, address.minutes, [touched, done])
        for one in settled_rows:
            for _, hour_s, upto in one.values:
                mark = self._mark_of(one.tags, hour_s)
                self._settled[mark] = max(as_int(upto), self._settled.get(mark, 0))
        for one in (*in_seconds, *in_minutes):
            for t_ns, hour_s in one.values:
                mark = self._mark_of(one.tags, hour_s)
                if t_ns > self._settled.get(mark, 0):
                    self._dirty.touch_at(mark, t_ns)
        self._dirty.clear(
            mark for mark, upto in self._settled.items() if (self._dirty.touched_by(mark) or upto + 1) <= upto
        )
        self._read_upto = now
        self._settled = {mark: upto for mark, upto in self._settled.items() if upto > since - _OVERLAP_NS}

    def _mark_of(self, tags: dict[str, str], hour_s: object) -> Mark:
        kind = cast('Literal["noise", "water"]', tags["kind"])
        return self._mark(kind, tags["site"], tags["source"], as_int(hour_s))

    def _advance_watermark(self, now: int) -> None:
        oldest = self._dirty.oldest_write()
        upto = min(now, oldest if oldest is not None else now) - 2 * _OVERLAP_NS
        if upto - self._watermark >= _WATERMARK_EVERY_NS:
            self._http.write(
                self._http.address.minutes, f"{WATERMARK},kind=all upto_ns={upto}i {now}".encode()
            )
            self._watermark = upto
