"""What every series store can do. DuckDB (embedded) and InfluxDB pass one conformance suite over this.

Times are timezone-aware UTC. A *source* is what a series belongs to within a site: the device of a noise
reading, the meter of a water reading. A reading's identity is (site, source, kind, t): writing it again changes
nothing. Averages are energetic and leave out seconds with a flag of ``contract.flags.NOISE_EXCLUDED``;
every second weighs with the time that it measured.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal, Protocol

from contract.messages import Reading
from store.series.retention import Retained, Retention

RollupInterval = Literal["hour"]


class StoreUnavailable(Exception):
    """The store cannot answer now; the same call may succeed later. Nothing of the call was committed."""


class StoreNotSetUp(StoreUnavailable):
    """The store answers, but a person has to do something first: make its databases, give a login."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One reading to be written, with where it came from and when it was received (UTC)."""

    site: str
    device: str
    reading: Reading
    received_at: datetime


@dataclass(frozen=True, slots=True)
class WriteReport:
    """What became of a batch, by index into it.

    ``accepted`` counts entries that are in the store now, new or already there. ``rejected`` will never be
    stored (index, reason). ``retry`` was not committed and may be written again (index, reason).
    """

    accepted: int
    rejected: Sequence[tuple[int, str]] = ()
    retry: Sequence[tuple[int, str]] = ()


@dataclass(frozen=True, slots=True)
class NoiseWindow:
    """Levels over any window, dB re 20 µPa.

    ``laeq_db`` and ``lafmax_db`` are ``None`` without valid time. ``valid_s`` is valid measured time, in seconds;
    ``valid_share`` is its share of the window (0 to 1). ``last_t`` is the start of the newest second.
    """

    site: str
    source: str
    laeq_db: float | None
    lafmax_db: float | None
    valid_s: float
    valid_share: float
    last_t: datetime | None


@dataclass(slots=True)  # not frozen: that makes a year of rows three times as slow to come by
class NoiseHour:
    """One hour of noise at one source; ``t`` is the hour's start. To be left as it is.

    LN is the level exceeded for N % of the valid time, interpolated to 0.1 dB bins of LAF: from the minutes'
    merged histograms, else (``ln_from`` = ``seconds``) from the LAF samples of the seconds. ``lafmax_db`` is over
    valid seconds. ``revision`` counts how often the hour was computed from then more data.
    """

    site: str
    source: str
    t: datetime
    laeq_db: float | None
    l5_db: float | None
    l10_db: float | None
    l50_db: float | None
    l90_db: float | None
    l95_db: float | None
    lafmax_db: float | None
    lafmin_db: float | None
    sd_db: float | None
    valid_s: float
    valid_share: float
    measured_s: float
    seconds: int
    ln_from: Literal["histogram", "seconds", "none"] = "none"
    laf_bins: Sequence[int] = ()
    """Merged LAF histogram (bins of 0.1 dB, see ``contract.messages.NoiseMinute``), to merge on into a day."""
    laf_counts: Sequence[int] = ()
    excluded_s: Mapping[str, float] = field(default_factory=dict)
    """Measured seconds with each flag that was set, by flag name: why an hour counts for less, or not at all."""
    revision: int = 0


@dataclass(frozen=True, slots=True)
class PeriodTable:
    """Noise of many sources over given periods, from their hour rows, in columns of one length.

    A row is a source and a period (its index in what was asked) in which something was measured. ``laeq_db`` is the
    energy mean over the valid time of the ``counted`` hours, NaN without any; ``lafmax_db`` is over all valid time.
    """

    site: Sequence[str]
    source: Sequence[str]
    period: Sequence[int]
    laeq_db: Sequence[float]
    lafmax_db: Sequence[float]
    counted: Sequence[int]


@dataclass(frozen=True, slots=True)
class WaterHour:
    """One hour of one meter; ``t`` is the hour's start.

    ``volume_l`` is the register's gain within the hour, interpolated linearly between the readings around its borders;
    ``None`` where no two readings enclose the hour. ``readings`` counts those inside.
    """

    site: str
    source: str
    t: datetime
    volume_l: float | None
    readings: int
    flags: int = 0
    revision: int = 0


@dataclass(frozen=True, slots=True)
class SecondsTable:
    """Seconds of one source in columns of one length, ascending in time; levels in dB, ``None`` where not sent."""

    t: Sequence[datetime]
    laeq_db: Sequence[float]
    lafmax_db: Sequence[float]
    lafmin_db: Sequence[float]
    laf_db: Sequence[float]
    lceq_db: Sequence[float | None]
    lcpeak_db: Sequence[float | None]
    measured_ms: Sequence[int]
    flags: Sequence[int]


@dataclass(frozen=True, slots=True)
class LevelPoint:
    """One step of a thinned-out level series: energetic LAeq, highest LAFmax, valid share of the step."""

    t: datetime
    laeq_db: float | None
    lafmax_db: float | None
    valid_share: float


@dataclass(frozen=True, slots=True)
class SpectrumMinute:
    """A minute's 1/3-octave Leq; ``bands_db[i]`` belongs to IEC band number ``first_band`` + i (30 is 1 kHz)."""

    t: datetime
    first_band: int
    bands_db: Sequence[float]
    measured_ms: int
    flags: int


@dataclass(frozen=True, slots=True)
class WaterPoint:
    """A register reading: exact millilitres at the instant ``t``."""

    t: datetime
    volume_ml: int
    step_ml: int
    flow_m3h: float | None
    reverse_ml: int | None
    serial: str | None
    flags: int


@dataclass(frozen=True, slots=True)
class EventRow:
    """A stored edge event."""

    site: str
    device: str
    t: datetime
    kind: str
    meter: str | None
    detail: Mapping[str, object]


@dataclass(frozen=True, slots=True)
class DirtyHour:
    """An hour that got data since it was last taken: its rollup is to be computed (again)."""

    kind: Literal["noise", "water"]
    site: str
    source: str
    t: datetime


class SeriesStore(Protocol):
    """The store of time series. All methods may be called from any thread; they block.

    Every method raises :class:`StoreUnavailable` when the store cannot answer now, and ``ValueError`` for
    ``end`` < ``start``. Ranges are half open: ``start`` <= t < ``end``.
    """

    def write(self, entries: Sequence[Entry]) -> WriteReport:
        """Commit a batch durably and say what became of each entry. Idempotent."""
        ...

    def noise_seconds(
        self, site: str, source: str, start: datetime, end: datetime, *, limit: int = 100_000
    ) -> SecondsTable:
        """Return the seconds of a range, at most the first ``limit``."""
        ...

    def noise_series(
        self, site: str, source: str, start: datetime, end: datetime, *, step_s: int
    ) -> list[LevelPoint]:
        """Return the range in steps of ``step_s`` seconds aligned to the epoch; steps without data are left out."""
        ...

    def noise_windows(self, start: datetime, end: datetime, *, site: str | None = None) -> list[NoiseWindow]:
        """Return each source's levels over one window, from its seconds: what a rolling rule looks at.

        A window of which retention has deleted the seconds has no level.
        """
        ...

    def noise_hours(self, site: str, source: str, start: datetime, end: datetime) -> list[NoiseHour]:
        """Compute the hours of a range from seconds and histograms, pushed down to the store."""
        ...

    def noise_latest(self, *, site: str | None = None) -> list[tuple[str, str, datetime, float, float, int]]:
        """Return (site, source, t, laeq_db, lafmax_db, flags) of each source's newest second."""
        ...

    def spectrum(self, site: str, source: str, start: datetime, end: datetime) -> list[SpectrumMinute]:
        """Return the 1/3-octave spectra of a range."""
        ...

    def water_readings(self, site: str, source: str, start: datetime, end: datetime) -> list[WaterPoint]:
        """Return a meter's readings of a range."""
        ...

    def water_hours(self, site: str, source: str, start: datetime, end: datetime) -> list[WaterHour]:
        """Compute a meter's hours of a range from its readings."""
        ...

    def water_latest(self, *, site: str | None = None) -> list[tuple[str, str, WaterPoint]]:
        """Return (site, meter, reading) of each meter's newest reading."""
        ...

    def events(
        self, start: datetime, end: datetime, *, site: str | None = None, device: str | None = None,
        kind: str | None = None, limit: int = 1000,
    ) -> list[EventRow]:  # fmt: skip
        """Return events, newest first."""
        ...

    def count(self, kind: Literal["noise", "spectrum", "water", "event"], *, site: str | None = None,
              source: str | None = None) -> int:  # fmt: skip
        """Count the stored readings of a kind."""
        ...

    def dirty_hours(
        self, before: datetime, *, limit: int = 10_000, sites: Collection[str] | None = None
    ) -> list[DirtyHour]:
        """Return hours that end at or before ``before`` and got data since their last rollup, oldest first.

        ``sites`` are those whose hours are wanted; ``None`` for all.
        """
        ...

    def write_rollups(self, noise: Sequence[NoiseHour], water: Sequence[WaterHour]) -> None:
        """Store hour rows as a new, higher revision each and clear their dirty marks, in one commit."""
        ...

    def noise_rollups(
        self, start: datetime, end: datetime, *, site: str | None = None, source: str | None = None
    ) -> list[NoiseHour]:
        """Return the stored hour rows of a range, the highest revision of each, ascending in time."""
        ...

    def noise_periods(
        self, periods: Sequence[tuple[datetime, datetime]], *, hour_share: float, site: str | None = None
    ) -> PeriodTable:
        """Return levels over periods of whole hours, (start, end), from the newest revision of the hour rows.

        An hour counts from ``hour_share`` of valid time on. Sorted by site, source and period.
        """
        ...

    def water_rollups(
        self, start: datetime, end: datetime, *, site: str | None = None, source: str | None = None
    ) -> list[WaterHour]:
        """Return the stored hour rows of a range, the highest revision of each, ascending in time."""
        ...

    def retain(self, retention: Retention, now: datetime, *, budget_s: float) -> Retained:
        """Delete readings that are older than they are to be kept, as far as ``budget_s`` real seconds go.

        An hour goes only when its row is stored and nothing has arrived since. A store whose server deletes by itself
        sees to it that the server does not do so earlier.
        """
        ...

    def tidy(self, before: datetime, *, budget_s: float) -> bool:
        """Put what came in before ``before`` into the order in which it is read; return whether some is left."""
        ...

    def newest(self) -> datetime | None:
        """Return the newest time of any reading, or ``None`` for an empty store."""
        ...

    def close(self) -> None:
        """Finish what is under way and release the store."""
        ...
