"""The series store on an InfluxDB server, for installations that run one."""

# ruff: noqa: S608  InfluxQL is put together from this package's own names and from quoted texts

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Collection, Sequence
from datetime import datetime
from typing import Any, Final, Literal

import msgspec

from store.series import influx_lines as lines
from store.series import influx_noise, influx_rollups, influx_water
from store.series.address import InfluxAddress
from store.series.influx_http import InfluxHttp
from store.series.influx_marks import InfluxMarks
from store.series.influx_ql import S, as_int, ask, by_source, ns, quoted, span, utc, values, where
from store.series.influx_retention import InfluxRetention
from store.series.influx_write import InfluxWriter
from store.series.interface import (
    DirtyHour,
    Entry,
    EventRow,
    LevelPoint,
    NoiseHour,
    NoiseWindow,
    PeriodTable,
    SecondsTable,
    SpectrumMinute,
    WaterHour,
    WaterPoint,
    WriteReport,
)
from store.series.periods import period_table
from store.series.retention import Retained, Retention

_SOURCES_FOR_NS: Final = 60 * S
_LINES_AT_A_TIME: Final = 2_000


class InfluxStore:
    """A :class:`store.series.interface.SeriesStore` on InfluxDB; the databases are made by ``influx_setup``.

    ``wall_ns`` tells the time in nanoseconds since 1970; it orders the marks of dirty hours.
    """

    def __init__(self, address: InfluxAddress, *, wall_ns: Callable[[], int] = time.time_ns) -> None:
        """Prepare to talk to the server; nothing is asked before the first call."""
        self._http = InfluxHttp(address)
        self._address = address
        self._wall_ns = wall_ns
        self._writer = InfluxWriter(self._http, wall_ns)
        self._marks = InfluxMarks(self._http, wall_ns)
        self._retention = InfluxRetention(self._http)
        self._sources_lock = threading.Lock()
        self._sources: tuple[int, list[tuple[str, str]]] = (-_SOURCES_FOR_NS, [])

    def check(self) -> None:
        """Ask each database something small. Raises ``StoreNotSetUp`` or ``StoreUnavailable``."""
        for database in (self._address.seconds, self._address.minutes, self._address.lasting):
            ask(self._http, database, [f"SELECT last(upto_ns) FROM {lines.WATERMARK}"])

    def write(self, entries: Sequence[Entry]) -> WriteReport:
        """Commit a batch durably and say what became of each entry. Idempotent."""
        return self._writer.write(entries)

    # -- noise -------------------------------------------------------------------------------------------------

    def noise_seconds(
        self, site: str, source: str, start: datetime, end: datetime, *, limit: int = 100_000
    ) -> SecondsTable:
        """Return the seconds of a range, at most the first ``limit``."""
        return influx_noise.seconds(self._http, site, source, *span(start, end), limit)

    def noise_series(
        self, site: str, source: str, start: datetime, end: datetime, *, step_s: int
    ) -> list[LevelPoint]:
        """Return the range in steps of ``step_s`` seconds aligned to the epoch; steps without data are left out."""
        start_ns, end_ns = span(start, end)
        if step_s < 1:
            raise ValueError(f"step_s is {step_s}; a step has at least one second")
        return influx_noise.series(self._http, site, source, start_ns, end_ns, step_s)

    def noise_windows(self, start: datetime, end: datetime, *, site: str | None = None) -> list[NoiseWindow]:
        """Return the levels over one window of each source that ever measured, also of one silent in it."""
        start_ns, end_ns = span(start, end)
        known = [name for name in self._noise_sources() if site in (None, name[0])]
        return influx_noise.windows(self._http, site, known, start_ns, end_ns)

    def noise_hours(self, site: str, source: str, start: datetime, end: datetime) -> list[NoiseHour]:
        """Compute the hours that begin within a range; hours without data are left out."""
        return influx_noise.hours(self._http, site, source, *span(start, end))

    def noise_latest(self, *, site: str | None = None) -> list[tuple[str, str, datetime, float, float, int]]:
        """Return (site, source, t, laeq_db, lafmax_db, flags) of each source's newest second."""
        return [row for _, row in sorted(influx_noise.latest(self._http, site).items())]

    def spectrum(self, site: str, source: str, start: datetime, end: datetime) -> list[SpectrumMinute]:
        """Return the 1/3-octave spectra of a range."""
        return influx_noise.spectrum(self._http, site, source, *span(start, end))

    def _noise_sources(self) -> list[tuple[str, str]]:
        """Return every source of noise; asked once a minute, because a new one shows by its data."""
        with self._sources_lock:
            now = self._wall_ns()
            if now - self._sources[0] >= _SOURCES_FOR_NS:
                statements = [
                    f"SELECT last(seq) FROM {m} GROUP BY site, source" for m in lines.MEASUREMENTS["noise"]
                ]
                answers = ask(self._http, self._address.seconds, statements)
                found = {name for answer in answers for name, _ in by_source(answer)}
                self._sources = (now, sorted(found))
            return self._sources[1]

    # -- water -------------------------------------------------------------------------------------------------

    def water_readings(self, site: str, source: str, start: datetime, end: datetime) -> list[WaterPoint]:
        """Return a meter's readings of a range."""
        return influx_water.readings(self._http, site, source, *span(start, end))

    def water_hours(self, site: str, source: str, start: datetime, end: datetime) -> list[WaterHour]:
        """Compute a meter's hours that begin within a range from its readings."""
        return influx_water.hours(self._http, site, source, *span(start, end))

    def water_latest(self, *, site: str | None = None) -> list[tuple[str, str, WaterPoint]]:
        """Return (site, meter, reading) of each meter's newest reading."""
        return influx_water.latest(self._http, site)

    # -- events and counts -------------------------------------------------------------------------------------

    def events(
        self, start: datetime, end: datetime, *, site: str | None = None, device: str | None = None,
        kind: str | None = None, limit: int = 1000,
    ) -> list[EventRow]:  # fmt: skip
        """Return events, newest first."""
        start_ns, end_ns = span(start, end)
        more = "" if kind is None else f"kind = {quoted(kind)}"
        chosen = where(site=site, source=device, start_ns=start_ns, end_ns=end_ns, more=more)
        statement = (
            f"SELECT detail, seq, kind, meter, site, source FROM {lines.EVENT}{chosen} "
            f"ORDER BY time DESC LIMIT {limit}"
        )
        (answer,) = ask(self._http, self._address.lasting, [statement])
        rows = [dict(zip(answer[0].columns, row, strict=True)) for row in values(answer)]
        rows.sort(key=lambda row: (-row["time"], -as_int(row["seq"])))
        return [
            EventRow(row["site"], row["source"], utc(row["time"]), row["kind"], lines.meter_of(row["meter"]),
                     msgspec.json.decode(row["detail"]))
            for row in rows
        ]  # fmt: skip

    def count(
        self, kind: Literal["noise", "spectrum", "water", "event"], *, site: str | None = None,
        source: str | None = None,
    ) -> int:  # fmt: skip
        """Count the stored readings of a kind."""
        chosen = where(site=site, source=source)
        answers = self._of_kind(kind, lambda measurement: f"SELECT count(seq) FROM {measurement}{chosen}")
        return sum(as_int(values(answer)[0][1]) for answer in answers if answer)

    def newest(self) -> datetime | None:
        """Return the newest time of any reading, or ``None`` for an empty store."""
        times = [
            values(answer)[0][0]
            for kind in lines.MEASUREMENTS
            for answer in self._of_kind(kind, lambda measurement: f"SELECT last(seq) FROM {measurement}")
            if answer
        ]
        return utc(max(times)) if times else None

    def _of_kind(self, kind: str, statement: Callable[[str], str]) -> list[list[Any]]:
        database = {"noise": self._address.seconds, "event": self._address.lasting}.get(
            kind, self._address.minutes
        )
        return ask(self._http, database, [statement(measurement) for measurement in lines.MEASUREMENTS[kind]])

    # -- rollups -----------------------------------------------------------------------------------------------

    def dirty_hours(
        self, before: datetime, *, limit: int = 10_000, sites: Collection[str] | None = None
    ) -> list[DirtyHour]:
        """Return hours that end at or before ``before`` and got data since their last rollup, oldest first.

        ``sites`` are those whose hours are wanted; ``None`` for all.
        """
        due = self._marks.due(ns(before) // S, limit, sites)
        return [DirtyHour(kind, site, source, utc(hour_s * S)) for (kind, _, hour_s), site, source in due]

    def write_rollups(self, noise: Sequence[NoiseHour], water: Sequence[WaterHour]) -> None:
        """Store hour rows as a new, higher revision each, then clear their dirty marks.

        A mark stays when its hour got data after :meth:`dirty_hours` had returned it. Rows and marks are two
        requests: a failure between them leaves the hours dirty, and they are computed once more.
        """
        noise = list({(row.site, row.source, row.t): row for row in noise}.values())
        water = list({(row.site, row.source, row.t): row for row in water}.values())
        new = [
            *(
                lines.noise_hour(*one)
                for one in self._next(noise, lines.NOISE_HOUR, influx_rollups.NOISE_KNOWS)
            ),
            *(
                lines.water_hour(*one)
                for one in self._next(water, lines.WATER_HOUR, influx_rollups.WATER_KNOWS)
            ),
        ]
        for piece in lines.chunks(new, _LINES_AT_A_TIME):
            self._http.write(self._address.lasting, b"\n".join(piece))
        self._marks.settle([
            *(("noise", row.site, row.source, int(row.t.timestamp())) for row in noise),
            *(("water", row.site, row.source, int(row.t.timestamp())) for row in water),
        ])  # fmt: skip

    def _next(self, rows: Any, measurement: str, knows: influx_rollups.Knowledge) -> Any:
        return influx_rollups.next_revisions(self._http, rows, measurement, knows) if rows else []

    def noise_rollups(
        self, start: datetime, end: datetime, *, site: str | None = None, source: str | None = None
    ) -> list[NoiseHour]:
        """Return the stored hour rows of a range, the highest revision of each, ascending in time."""
        return influx_rollups.noise(self._http, *span(start, end), site, source)

    def noise_periods(
        self, periods: Sequence[tuple[datetime, datetime]], *, hour_share: float, site: str | None = None
    ) -> PeriodTable:
        """Return levels over periods of whole hours from the hour rows, sorted by site, source and period."""
        return period_table(self.noise_rollups, periods, hour_share, site)

    def water_rollups(
        self, start: datetime, end: datetime, *, site: str | None = None, source: str | None = None
    ) -> list[WaterHour]:
        """Return the stored hour rows of a range, the highest revision of each, ascending in time."""
        return influx_rollups.water(self._http, *span(start, end), site, source)

    def retain(self, retention: Retention, now: datetime, *, budget_s: float) -> Retained:  # noqa: ARG002
        """Tell the server how long to keep readings, and for longer while hours near their end have no row."""
        return self._retention.apply(retention, now, self._marks.open())

    def tidy(self, before: datetime, *, budget_s: float) -> bool:  # noqa: ARG002
        """Do nothing: the server keeps its own order."""
        return False

    def close(self) -> None:
        """Close the connections."""
        self._http.close()
