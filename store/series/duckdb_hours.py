"""Hours of noise out of DuckDB: few short queries, which the database sums by minute; numpy puts the minutes together.

One statement that did it all took DuckDB longer to plan than to run, and read the seconds once for each part of it.
"""

# ruff: noqa: S608  SQL is put together from this package's own names and from integers; values are bound

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Literal

import numpy as np

from contract.flags import NOISE_EXCLUDED, NoiseFlag, names
from store.series.duckdb_file import Connection
from store.series.duckdb_values import known, utc
from store.series.histogram import COVERS, EXCEEDED, Histogram
from store.series.interface import NoiseHour
from store.series.packed_ints import PackedInts

EXCLUDED: Final = int(NOISE_EXCLUDED)
_FLAGS: Final = [(flag.value, names(flag)[0]) for flag in NoiseFlag]
_AT_A_TIME_S: Final = 60 * 86_400

_SECONDS: Final = """
SELECT t_s // 60 AS minute, flags, sum(pow(10, laeq_db::DOUBLE / 10) * measured_ms) AS energy_ms,
    sum(measured_ms)::DOUBLE AS measured_ms, max(lafmax_db) AS top_db, min(lafmin_db) AS bottom_db, count(*) AS seconds
FROM noise_second WHERE source = $source AND t_s >= $start AND t_s < $end GROUP BY ALL"""

_WITH_HISTOGRAM: Final = (
    "FROM noise_minute WHERE source = $source AND t_s >= $start AND t_s < $end AND len(laf_bins) > 0"
)
_MINUTES: Final = f"SELECT t_s // 60 AS minute, measured_ms::DOUBLE AS measured_ms, flags {_WITH_HISTOGRAM}"

# The mean energy of LAF is that of LAeq, because F weighting keeps energy.
_MINUTE_LEVELS: Final = f"""
SELECT minute, sum(n * pow(10, level / 10)) / sum(n) AS energy, max(level) AS top_db, min(level) AS bottom_db
FROM (SELECT t_s // 60 AS minute, unnest(laf_bins)::DOUBLE / 10 + 0.05 AS level, unnest(laf_counts) AS n
    {_WITH_HISTOGRAM}) GROUP BY minute ORDER BY minute"""

_HISTOGRAMS: Final = f"""
SELECT hour, bin, sum(n)::BIGINT AS n FROM (
    SELECT t_s // 3600 AS hour, unnest(laf_bins)::INTEGER AS bin, unnest(laf_counts) AS n {_WITH_HISTOGRAM})
GROUP BY ALL ORDER BY hour, bin"""

_SAMPLES: Final = f"""
SELECT t_s // 3600 AS hour, floor(round(laf_db::DOUBLE * 1000) / 100)::INTEGER AS bin, count(*) AS n
FROM noise_second WHERE source = $source AND t_s >= $start AND t_s < $end AND flags & {EXCLUDED} = 0
GROUP BY ALL ORDER BY hour, bin"""


@dataclass(frozen=True, slots=True)
class Pieces:
    """What was measured, in columns: one row a minute and set of flags, ``minute`` counted since 1970.

    A minute of which no second is there (a full outbox drops seconds first, retention too) is taken from its histogram
    and has no ``seconds``. Its counts are of valid time only, so with an excluding flag its valid share is unknown and
    it counts as not valid.
    """

    minute: np.ndarray
    flags: np.ndarray
    energy_ms: np.ndarray
    measured_ms: np.ndarray
    top_db: np.ndarray
    bottom_db: np.ndarray
    seconds: np.ndarray

    @property
    def valid(self) -> np.ndarray:
        """Which rows count in averages."""
        return (self.flags & EXCLUDED) == 0


@dataclass(frozen=True, slots=True)
class Sums:
    """Pieces put together by a key, in columns of one length, ascending; NaN where nothing was valid."""

    key: np.ndarray
    laeq_db: np.ndarray
    top_db: np.ndarray
    bottom_db: np.ndarray
    valid_ms: np.ndarray
    measured_ms: np.ndarray
    seconds: np.ndarray
    flagged_ms: dict[str, np.ndarray]


def hours(
    connection: Connection, number: int, site: str, source: str, start_s: int, end_s: int
) -> list[NoiseHour]:
    """Compute the hours that begin in [``start_s``, ``end_s``)."""
    first = -(-start_s // 3600) * 3600
    after = -(-end_s // 3600) * 3600
    found: list[NoiseHour] = []
    for begin in range(first, after, _AT_A_TIME_S):
        span = {"source": number, "start": begin, "end": min(after, begin + _AT_A_TIME_S)}
        found += _hours_of(connection, span, site, source)
    return found


def pieces(connection: Connection, span: dict[str, int]) -> tuple[Pieces, np.ndarray]:
    """Return what was measured in a span (``source``, ``start``, ``end``), and the minutes that have a histogram."""
    seconds = connection.columns(_SECONDS, span)
    minutes = connection.columns(_MINUTES, span)
    found = Pieces(**seconds)
    alone = ~np.isin(minutes["minute"], found.minute)
    if alone.any():
        found = _joined(found, _taken_from_histograms(connection, span, minutes, alone))
    return found, minutes["minute"]


def sums(found: Pieces, keys: np.ndarray) -> Sums:
    """Put pieces together by ``keys``, one for each."""
    unique, where = np.unique(keys, return_inverse=True)
    count = len(unique)

    def total(values: np.ndarray, chosen: np.ndarray | None = None) -> np.ndarray:
        if chosen is None:
            return np.bincount(where, weights=values, minlength=count)
        return np.bincount(where[chosen], weights=values[chosen], minlength=count)

    valid = found.valid
    valid_ms = total(found.measured_ms, valid)
    top, bottom = np.full(count, -np.inf), np.full(count, np.inf)
    np.maximum.at(top, where[valid], found.top_db[valid])
    np.minimum.at(bottom, where[valid], found.bottom_db[valid])
    nothing = valid_ms == 0
    top[nothing] = bottom[nothing] = np.nan
    with np.errstate(divide="ignore", invalid="ignore"):
        laeq_db = 10 * np.log10(total(found.energy_ms, valid) / valid_ms)
    flagged = {
        name: total(found.measured_ms, (found.flags & bit) != 0)
        for bit, name in _FLAGS
        if (found.flags & bit).any()
    }
    return Sums(
        unique, laeq_db, top, bottom, valid_ms, total(found.measured_ms),
        total(found.seconds).astype(np.int64), flagged,
    )  # fmt: skip


def _taken_from_histograms(
    connection: Connection, span: dict[str, int], minutes: dict[str, np.ndarray], alone: np.ndarray
) -> Pieces:
    levels = connection.columns(_MINUTE_LEVELS, span)
    at = np.searchsorted(levels["minute"], minutes["minute"][alone])
    measured_ms = minutes["measured_ms"][alone]
    return Pieces(
        minutes["minute"][alone], minutes["flags"][alone], levels["energy"][at] * measured_ms, measured_ms,
        levels["top_db"][at], levels["bottom_db"][at], np.zeros(len(at), dtype=np.int64),
    )  # fmt: skip


def _joined(one: Pieces, other: Pieces) -> Pieces:
    columns = (np.concatenate([getattr(one, key), getattr(other, key)]) for key in Pieces.__slots__)
    return Pieces(*columns)


def _hours_of(connection: Connection, span: dict[str, int], site: str, source: str) -> list[NoiseHour]:
    found, minutes = pieces(connection, span)
    if not len(found.minute):
        return []
    by_hour = sums(found, found.minute // 60)
    from_minutes = _covered(found, minutes)
    histograms = _histograms(connection, span, by_hour.key, from_minutes)
    return [
        _hour(site, source, by_hour, n, histograms.get(hour), hour in from_minutes)
        for n, hour in enumerate(by_hour.key.tolist())
    ]


def _covered(found: Pieces, minutes: np.ndarray) -> set[int]:
    """Return the hours whose minutes cover so much of the valid seconds that LN comes from their histograms."""
    seconds = found.valid & (found.seconds > 0)
    hour, ms = found.minute[seconds] // 60, found.measured_ms[seconds]
    first = int(found.minute.min()) // 60
    length = int(found.minute.max()) // 60 - first + 1
    valid_ms = np.bincount(hour - first, weights=ms, minlength=length)
    told = np.isin(found.minute[seconds], minutes)
    covered_ms = np.bincount(hour[told] - first, weights=ms[told], minlength=length)
    enough = covered_ms >= COVERS * valid_ms
    return {hour for hour in np.unique(minutes // 60).tolist() if enough[hour - first]}


def _histograms(
    connection: Connection, span: dict[str, int], wanted: np.ndarray, from_minutes: set[int]
) -> dict[int, Histogram]:
    found: dict[int, Histogram] = {}
    if from_minutes:
        found = {
            hour: one for hour, one in _by_hour(connection.columns(_HISTOGRAMS, span)) if hour in from_minutes
        }
    others = [hour for hour in wanted.tolist() if hour not in from_minutes]
    if others:
        narrowed = {**span, "start": others[0] * 3600, "end": (others[-1] + 1) * 3600}
        for hour, one in _by_hour(connection.columns(_SAMPLES, narrowed)):
            found.setdefault(hour, one)
    return found


def _by_hour(table: dict[str, np.ndarray]) -> Sequence[tuple[int, Histogram]]:
    hour, begins = np.unique(table["hour"], return_index=True)
    ends = [*begins[1:].tolist(), len(table["hour"])]
    return [
        (one, Histogram(table["bin"][a:b], table["n"][a:b]))
        for one, a, b in zip(hour.tolist(), begins.tolist(), ends, strict=False)
    ]


def _hour(
    site: str, source: str, by_hour: Sums, n: int, histogram: Histogram | None, from_minutes: bool
) -> NoiseHour:
    l5, l10, l50, l90, l95 = (None if histogram is None else histogram.exceeded_db(p) for p in EXCEEDED)
    origin: Literal["histogram", "seconds", "none"] = "none"
    if histogram is not None:
        origin = "histogram" if from_minutes else "seconds"
    return NoiseHour(
        site=site, source=source, t=utc(int(by_hour.key[n]) * 3600),
        laeq_db=known(by_hour.laeq_db[n]), l5_db=l5, l10_db=l10, l50_db=l50, l90_db=l90, l95_db=l95,
        lafmax_db=known(by_hour.top_db[n]), lafmin_db=known(by_hour.bottom_db[n]),
        sd_db=None if histogram is None else histogram.sd_db(),
        valid_s=float(by_hour.valid_ms[n]) / 1000, valid_share=min(1.0, float(by_hour.valid_ms[n]) / 3_600_000),
        measured_s=float(by_hour.measured_ms[n]) / 1000, seconds=int(by_hour.seconds[n]), ln_from=origin,
        laf_bins=_packed(histogram and histogram.bins), laf_counts=_packed(histogram and histogram.counts),
        excluded_s={name: float(ms[n]) / 1000 for name, ms in by_hour.flagged_ms.items() if ms[n]},
    )  # fmt: skip


def _packed(values: np.ndarray | None) -> PackedInts:
    return PackedInts() if values is None else PackedInts.of(values.tolist())
