"""The embedded series store: one DuckDB file, owned by the process that opens it."""

# ruff: noqa: S608  SQL is put together from this package's own names and from integers; values are bound

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final, Literal

from store.series import (
    duckdb_copy,
    duckdb_events,
    duckdb_hours,
    duckdb_noise,
    duckdb_retention,
    duckdb_rollups,
    duckdb_water,
)
from store.series.columns import split
from store.series.duckdb_file import Connection, DuckDbFile
from store.series.duckdb_recall import recall
from store.series.duckdb_schema import prepare
from store.series.duckdb_tidy import Tidying
from store.series.duckdb_values import rounded, utc
from store.series.duckdb_write import TABLES, clear_marks, write_batch, write_sources
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
from store.series.memory import Mark, Memory
from store.series.retention import Retained, Retention

_US: Final = 1_000_000
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


class DuckDbStore:
    """A :class:`store.series.interface.SeriesStore` in one file; see :mod:`store.series.duckdb_file` for its locks.

    ``memory_mb`` bounds what the database holds in memory; larger queries spill beside the file.
    """

    def __init__(self, path: Path, *, memory_mb: int = 512, threads: int | None = None) -> None:
        """Open or make the file.

        Raises ``StoreUnavailable`` when another process has it open or the disk is full, and ``UnusableStoreFile``
        when it is damaged or from a newer version.
        """
        path.parent.mkdir(parents=True, exist_ok=True)
        self._file = DuckDbFile(path, memory_mb=memory_mb, threads=threads)
        try:
            prepare(self._file)
            with self._file.read() as connection:
                self._memory = recall(connection)
        except BaseException:
            self._file.close()
            raise
        self._generation = self._file.generation
        self._tidying = Tidying(self._file, time.monotonic)

    # -- writing -----------------------------------------------------------------------------------------------

    def write(self, entries: Sequence[Entry]) -> WriteReport:
        """Commit a batch durably and say what became of each entry. Idempotent."""
        batch = split(entries)
        if batch.families:
            with self._file.write() as connection:
                memory = self._recalled(connection)
                written = write_batch(connection, memory, batch)
                connection.after_commit(lambda: written.remember(memory))
        return WriteReport(len(entries) - len(batch.rejected), tuple(sorted(batch.rejected)))

    def write_rollups(self, noise: Sequence[NoiseHour], water: Sequence[WaterHour]) -> None:
        """Store hour rows as a new, higher revision each and clear their dirty marks, in one commit.

        A mark stays when its hour got data after :meth:`dirty_hours` had returned it.
        """
        noise = list({(row.site, row.source, row.t): row for row in noise}.values())
        water = list({(row.site, row.source, row.t): row for row in water}.values())
        if not noise and not water:
            return
        with self._file.write() as connection:
            memory = self._recalled(connection)
            new: dict[tuple[str, str], int] = {}
            noise_numbers = memory.sources.number([(row.site, row.source) for row in noise], new).tolist()
            water_numbers = memory.sources.number([(row.site, row.source) for row in water], new).tolist()
            write_sources(connection, new)
            if noise:
                duckdb_rollups.write_noise(connection, noise_numbers, noise)
            if water:
                duckdb_rollups.write_water(connection, water_numbers, water)
            settled = memory.dirty.settled(
                [*_marks("noise", noise_numbers, noise), *_marks("water", water_numbers, water)]
            )
            clear_marks(connection, settled)
            connection.after_commit(lambda: _settle(memory, new, settled))

    # -- noise -------------------------------------------------------------------------------------------------

    def noise_seconds(
        self, site: str, source: str, start: datetime, end: datetime, *, limit: int = 100_000
    ) -> SecondsTable:
        """Return the seconds of a range, at most the first ``limit``."""
        start_s, end_s = _range_s(start, end)
        number = self._number(site, source)
        if number is None:
            return SecondsTable([], [], [], [], [], [], [], [], [])
        with self._file.read() as connection:
            return duckdb_noise.seconds(connection, number, start_s, end_s, limit)

    def noise_series(
        self, site: str, source: str, start: datetime, end: datetime, *, step_s: int
    ) -> list[LevelPoint]:
        """Return the range in steps of ``step_s`` seconds aligned to the epoch; steps without data are left out.

        Steps of whole minutes are also answered from the minutes' histograms where the seconds are gone.
        """
        start_s, end_s = _range_s(start, end)
        if step_s < 1:
            raise ValueError(f"step_s is {step_s}; a step has at least one second")
        number = self._number(site, source)
        if number is None:
            return []
        with self._file.read() as connection:
            return duckdb_noise.series(connection, number, start_s, end_s, step_s)

    def noise_windows(self, start: datetime, end: datetime, *, site: str | None = None) -> list[NoiseWindow]:
        """Return the levels over one window of each source that ever measured, also of one silent in it."""
        start_s, end_s = _range_s(start, end)
        memory = self._known()
        with memory.lock:
            wanted = memory.newest["noise"].present(memory.sources.select(site))
        with self._file.read() as connection:
            return duckdb_noise.windows(
                connection, memory.sources, wanted, start_s, end_s, (end - start).total_seconds()
            )

    def noise_hours(self, site: str, source: str, start: datetime, end: datetime) -> list[NoiseHour]:
        """Compute the hours that begin within a range from seconds and histograms; hours without data are left out."""
        start_s, end_s = _range_s(start, end)
        number = self._number(site, source)
        if number is None:
            return []
        with self._file.read() as connection:
            return duckdb_hours.hours(connection, number, site, source, start_s, end_s)

    def noise_latest(self, *, site: str | None = None) -> list[tuple[str, str, datetime, float, float, int]]:
        """Return (site, source, t, laeq_db, lafmax_db, flags) of each source's newest second."""
        memory = self._known()
        with memory.lock:
            newest = memory.newest["noise"]
            numbers = newest.present(memory.sources.select(site))
            columns = [newest.t[numbers].tolist()]
            columns += [rounded(newest.values[key][numbers]) for key in ("laeq_db", "lafmax_db")]
            columns.append(newest.values["flags"][numbers].tolist())
            names = [memory.sources.names[number] for number in numbers]
        return [
            (name, source, utc(t), laeq, top, flags)
            for (name, source), t, laeq, top, flags in zip(names, *columns, strict=True)
        ]

    def spectrum(self, site: str, source: str, start: datetime, end: datetime) -> list[SpectrumMinute]:
        """Return the 1/3-octave spectra of a range."""
        start_s, end_s = _range_s(start, end)
        number = self._number(site, source)
        if number is None:
            return []
        with self._file.read() as connection:
            return duckdb_noise.spectrum(connection, number, start_s, end_s)

    # -- water -------------------------------------------------------------------------------------------------

    def water_readings(self, site: str, source: str, start: datetime, end: datetime) -> list[WaterPoint]:
        """Return a meter's readings of a range."""
        start_us, end_us = _range_us(start, end)
        number = self._number(site, source)
        if number is None:
            return []
        with self._file.read() as connection:
            return duckdb_water.readings(connection, number, start_us, end_us)

    def water_hours(self, site: str, source: str, start: datetime, end: datetime) -> list[WaterHour]:
        """Compute a meter's hours that begin within a range from its readings."""
        start_us, end_us = _range_us(start, end)
        number = self._number(site, source)
        if number is None:
            return []
        with self._file.read() as connection:
            return duckdb_water.hours(connection, number, site, source, start_us, end_us)

    def water_latest(self, *, site: str | None = None) -> list[tuple[str, str, WaterPoint]]:
        """Return (site, meter, reading) of each meter's newest reading."""
        memory = self._known()
        with memory.lock:
            newest = memory.newest["water"]
            numbers = newest.present(memory.sources.select(site))
            return [(*memory.sources.names[n], duckdb_water.newest_point(newest, n)) for n in numbers]

    # -- events and counts -------------------------------------------------------------------------------------

    def events(
        self, start: datetime, end: datetime, *, site: str | None = None, device: str | None = None,
        kind: str | None = None, limit: int = 1000,
    ) -> list[EventRow]:  # fmt: skip
        """Return events, newest first."""
        start_us, end_us = _range_us(start, end)
        memory = self._known()
        with memory.lock:
            numbers = memory.sources.select(site, device)
        with self._file.read() as connection:
            return duckdb_events.events(connection, memory.sources, start_us, end_us, numbers, kind, limit)

    def count(
        self, kind: Literal["noise", "spectrum", "water", "event"], *, site: str | None = None,
        source: str | None = None,
    ) -> int:  # fmt: skip
        """Count the stored readings of a kind."""
        memory = self._known()
        with memory.lock:
            numbers = memory.sources.select(site, source)
        if numbers is not None and not numbers:
            return 0
        chosen = "" if numbers is None else f" WHERE source IN ({', '.join(map(str, numbers))})"
        with self._file.read() as connection:
            return connection.rows(f"SELECT count(*) FROM {TABLES[kind].name}{chosen}")[0][0]

    def newest(self) -> datetime | None:
        """Return the newest time of any reading, or ``None`` for an empty store."""
        memory = self._known()
        with memory.lock:
            times = [
                int(newest.t.max()) * (_US // TABLES[family].per_second)
                for family, newest in memory.newest.items()
                if newest.present(None)
            ]
        return _EPOCH + timedelta(microseconds=max(times)) if times else None

    # -- rollups -----------------------------------------------------------------------------------------------

    def dirty_hours(
        self, before: datetime, *, limit: int = 10_000, sites: Collection[str] | None = None
    ) -> list[DirtyHour]:
        """Return hours that end at or before ``before`` and got data since their last rollup, oldest first.

        ``sites`` are those whose hours are wanted; ``None`` for all.
        """
        memory = self._known()
        before_s = _us(before) // _US
        with memory.lock:
            marks = memory.dirty.take(before_s, limit, memory.sources.of_sites(sites))
            return [DirtyHour(kind, *memory.sources.names[n], utc(t)) for kind, n, t in marks]

    def noise_rollups(
        self, start: datetime, end: datetime, *, site: str | None = None, source: str | None = None
    ) -> list[NoiseHour]:
        """Return the stored hour rows of a range, the highest revision of each, ascending in time."""
        start_s, end_s = _range_s(start, end)
        memory = self._known()
        with memory.lock:
            numbers = memory.sources.select(site, source)
        with self._file.read() as connection:
            return duckdb_rollups.read_noise(connection, memory.sources, start_s, end_s, numbers)

    def noise_periods(
        self, periods: Sequence[tuple[datetime, datetime]], *, hour_share: float, site: str | None = None
    ) -> PeriodTable:
        """Return levels over periods of whole hours from the hour rows, sorted by site, source and period."""
        spans = [_range_s(start, end) for start, end in periods]
        memory = self._known()
        with memory.lock:
            numbers = memory.sources.select(site)
        with self._file.read() as connection:
            return duckdb_rollups.read_periods(connection, memory.sources, spans, numbers, hour_share)

    def water_rollups(
        self, start: datetime, end: datetime, *, site: str | None = None, source: str | None = None
    ) -> list[WaterHour]:
        """Return the stored hour rows of a range, the highest revision of each, ascending in time."""
        start_s, end_s = _range_s(start, end)
        memory = self._known()
        with memory.lock:
            numbers = memory.sources.select(site, source)
        with self._file.read() as connection:
            return duckdb_rollups.read_water(connection, memory.sources, start_s, end_s, numbers)

    # -- housekeeping ------------------------------------------------------------------------------------------

    def retain(self, retention: Retention, now: datetime, *, budget_s: float) -> Retained:
        """Delete readings that are older than they are to be kept, and whose hours have their rows."""
        return duckdb_retention.retain(self._file, retention, now, budget_s, time.monotonic)

    def tidy(self, before: datetime, *, budget_s: float) -> bool:
        """Sort the hours that ended before ``before``; return whether some are left."""
        return self._tidying.run(_us(before) // _US, budget_s)

    def rows(self) -> dict[str, int]:
        """Return how many rows each table has."""
        with self._file.read() as connection:
            return duckdb_copy.counts(connection)

    def copy_to(self, path: Path, progress: Callable[[float], None]) -> dict[str, int]:
        """Copy the store as it is at this moment into a new file, while it is used; return the rows of each table.

        ``progress`` takes the share that is done. Raises ``FileExistsError`` and ``StoreUnavailable``.
        """
        return duckdb_copy.copy_to(self._file, path, progress)

    def close(self) -> None:
        """Finish what is under way and release the file."""
        self._file.close()

    # -- memory ------------------------------------------------------------------------------------------------

    def _number(self, site: str, source: str) -> int | None:
        return self._known().sources.find(site, source)

    def _known(self) -> Memory:
        if self._generation != self._file.generation:
            with self._file.write() as connection:
                self._recalled(connection)
        return self._memory

    def _recalled(self, connection: Connection) -> Memory:
        """Return the memory, read anew when the file had to be opened again; only a writer may call this."""
        if self._generation != self._file.generation:
            self._memory = recall(connection)
            self._generation = self._file.generation
        return self._memory


def _marks(
    kind: Literal["noise", "water"], numbers: Sequence[int], rows: Sequence[NoiseHour] | Sequence[WaterHour]
) -> list[Mark]:
    return [(kind, number, _ceil_s(row.t)) for number, row in zip(numbers, rows, strict=True)]


def _settle(memory: Memory, new: Mapping[tuple[str, str], int], settled: Sequence[Mark]) -> None:
    with memory.lock:
        memory.sources.add(new)
        memory.dirty.clear(settled)


def _range_s(start: datetime, end: datetime) -> tuple[int, int]:
    _range_us(start, end)
    return _ceil_s(start), _ceil_s(end)


def _range_us(start: datetime, end: datetime) -> tuple[int, int]:
    if end < start:
        raise ValueError(f"the range ends ({end.isoformat()}) before it starts ({start.isoformat()})")
    return _us(start), _us(end)


def _us(t: datetime) -> int:
    if t.tzinfo is None:
        raise ValueError(f"{t.isoformat()} has no time zone")
    return (t - _EPOCH) // timedelta(microseconds=1)


def _ceil_s(t: datetime) -> int:
    return -(-_us(t) // _US)
