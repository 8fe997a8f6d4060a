"""Noise out of DuckDB: averages, percentiles and validity computed by the database."""

# ruff: noqa: S608  SQL is put together from this package's own names and from integers; values are bound

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any, Final

import numpy as np

from contract.flags import NOISE_EXCLUDED, NoiseFlag, names
from store.series.duckdb_file import Connection
from store.series.histogram import COVERS, EXCEEDED
from store.series.interface import LevelPoint, NoiseHour, NoiseWindow, SecondsTable, SpectrumMinute
from store.series.memory import Sources
from store.series.packed_ints import PackedInts

_EXCLUDED: Final = int(NOISE_EXCLUDED)
FLAGS: Final = tuple(NoiseFlag)

_AT_A_TIME_S: Final = 14 * 86_400  # a year at once would take gigabytes of merged histograms

# One row a measured piece of time: the seconds, and the minutes of which no second is there (a full outbox drops
# seconds first, retention too). A minute's energy is that of its LAF histogram, whose mean is LAeq: the F weighting
# has unit gain for energy. Its counts are of valid time only, so a minute with an excluding flag has no known share.
_PIECES: Final = f"""
    seconds AS (
        SELECT t_s, t_s // 60 AS minute, laeq_db, lafmax_db, lafmin_db, laf_db, measured_ms, flags,
            flags & {_EXCLUDED} = 0 AS valid
        FROM noise_second WHERE source = $source AND t_s >= $start AND t_s < $end),
    minutes AS (
        SELECT t_s, t_s // 60 AS minute, laf_bins, laf_counts, measured_ms, flags
        FROM noise_minute WHERE source = $source AND t_s >= $start AND t_s < $end AND len(laf_bins) > 0),
    alone AS (
        SELECT * FROM minutes WHERE minute NOT IN (SELECT DISTINCT minute FROM seconds)),
    alone_bins AS (
        SELECT t_s, unnest(laf_bins) / 10.0 + 0.05 AS level, unnest(laf_counts) AS n FROM alone),
    alone_levels AS (
        SELECT t_s, sum(n * pow(10, level / 10)) / sum(n) AS energy, max(level) AS top, min(level) AS bottom
        FROM alone_bins GROUP BY t_s),
    pieces AS (
        SELECT t_s, pow(10, laeq_db::DOUBLE / 10) AS energy, lafmax_db, lafmin_db, measured_ms, flags, valid,
            true AS is_second
        FROM seconds
        UNION ALL
        SELECT t_s, energy, top, bottom, measured_ms, flags, flags & {_EXCLUDED} = 0, false
        FROM alone JOIN alone_levels USING (t_s))"""

_LEVELS: Final = """
    10 * log10(sum(energy * measured_ms) FILTER (valid) / sum(measured_ms) FILTER (valid)) AS laeq_db,
    max(lafmax_db) FILTER (valid) AS lafmax_db"""

_EXCLUDED_SUMS: Final = ", ".join(
    f"coalesce(sum(measured_ms) FILTER (flags & {flag.value} <> 0), 0) / 1000 AS flag_{flag.value}"
    for flag in FLAGS
)

_HOURS: Final = f"""
WITH {_PIECES},
    levels AS (
        SELECT t_s // 3600 AS hour, {_LEVELS}, min(lafmin_db) FILTER (valid) AS lafmin_db,
            coalesce(sum(measured_ms) FILTER (valid), 0) / 1000 AS valid_s, sum(measured_ms) / 1000 AS measured_s,
            count(*) FILTER (is_second) AS seconds, {_EXCLUDED_SUMS}
        FROM pieces GROUP BY hour),
    covered AS (
        SELECT minute // 60 AS hour, sum(measured_ms) FILTER (valid) AS valid_ms,
            sum(measured_ms) FILTER (valid AND minute IN (SELECT minute FROM minutes)) AS covered_ms
        FROM seconds GROUP BY hour),
    chosen AS (
        SELECT hour, coalesce(covered_ms, 0) >= {COVERS} * coalesce(valid_ms, 0)
            AND hour IN (SELECT minute // 60 FROM minutes) AS by_histogram
        FROM levels LEFT JOIN covered USING (hour)),
    unnested AS (
        SELECT minute // 60 AS hour, unnest(laf_bins)::INTEGER AS bin, unnest(laf_counts)::BIGINT AS n
        FROM minutes WHERE minute // 60 IN (SELECT hour FROM chosen WHERE by_histogram)
        UNION ALL
        SELECT minute // 60, floor(round(laf_db::DOUBLE * 1000) / 100)::INTEGER, 1
        FROM seconds WHERE valid AND minute // 60 IN (SELECT hour FROM chosen WHERE NOT by_histogram)),
    bins AS (SELECT hour, bin, sum(n)::BIGINT AS n FROM unnested GROUP BY ALL),
    ranked AS (
        SELECT hour, bin, n, sum(n) OVER (PARTITION BY hour ORDER BY bin DESC) AS upto,
            sum(n) OVER (PARTITION BY hour) AS total, bin / 10.0 + 0.05 AS level
        FROM bins),
    statistics AS (
        SELECT hour, {{percentiles}},
            CASE WHEN max(total) > 1 THEN
                sqrt(greatest(0, sum(n * level * level) - sum(n * level) * sum(n * level) / max(total))
                / (max(total) - 1)) END AS sd_db,
            list(bin ORDER BY bin) AS laf_bins, list(n ORDER BY bin) AS laf_counts
        FROM ranked GROUP BY hour)
SELECT * FROM levels LEFT JOIN chosen USING (hour) LEFT JOIN statistics USING (hour) ORDER BY hour"""


def _percentile(exceeded: int) -> str:
    # The level above which `share` of the samples lie; within a bin they are taken as spread evenly.
    share = f"{exceeded / 100} * total"
    return (
        f"max((bin + 1) / 10.0 - 0.1 * ({share} - (upto - n)) / n) "
        f"FILTER (upto >= {share} AND upto - n < {share}) AS l{exceeded}_db"
    )


_HOURS_SQL: Final = _HOURS.format(percentiles=", ".join(_percentile(n) for n in EXCEEDED))


def hours(
    connection: Connection, number: int, site: str, source: str, start_s: int, end_s: int
) -> list[NoiseHour]:
    """Compute the hours that begin in [``start_s``, ``end_s``)."""
    first = -(-start_s // 3600) * 3600
    after = -(-end_s // 3600) * 3600
    found: list[NoiseHour] = []
    for begin in range(first, after, _AT_A_TIME_S):
        part = {"source": number, "start": begin, "end": min(after, begin + _AT_A_TIME_S)}
        found += [_hour(site, source, row) for row in _rows(connection.columns(_HOURS_SQL, part))]
    return found


def _hour(site: str, source: str, row: dict[str, Any]) -> NoiseHour:
    bins, counts = row["laf_bins"], row["laf_counts"]
    if row["l50_db"] is None:
        ln_from, bins, counts = "none", (), ()
    else:
        ln_from = "histogram" if row["by_histogram"] else "seconds"
    return NoiseHour(
        site=site, source=source, t=utc(row["hour"] * 3600),
        laeq_db=row["laeq_db"], l5_db=row["l5_db"], l10_db=row["l10_db"], l50_db=row["l50_db"],
        l90_db=row["l90_db"], l95_db=row["l95_db"], lafmax_db=row["lafmax_db"], lafmin_db=row["lafmin_db"],
        sd_db=row["sd_db"], valid_s=row["valid_s"], valid_share=min(1.0, row["valid_s"] / 3600),
        measured_s=row["measured_s"], seconds=row["seconds"], ln_from=ln_from,
        laf_bins=PackedInts.of(bins), laf_counts=PackedInts.of(counts),
        excluded_s={
            names(flag)[0]: row[f"flag_{flag.value}"] for flag in FLAGS if row[f"flag_{flag.value}"]
        },
    )  # fmt: skip


_SERIES: Final = f"""
WITH {_PIECES}
SELECT t_s // $step * $step AS t_s, {_LEVELS},
    least(1.0, coalesce(sum(measured_ms) FILTER (valid), 0) / 1000 / $step) AS valid_share
FROM pieces WHERE is_second OR $step % 60 = 0 GROUP BY ALL ORDER BY 1"""


def series(connection: Connection, number: int, start_s: int, end_s: int, step_s: int) -> list[LevelPoint]:
    """Return the levels of each step that holds data."""
    rows = connection.rows(_SERIES, {"source": number, "start": start_s, "end": end_s, "step": step_s})
    return [LevelPoint(utc(t_s), laeq, top, share) for t_s, laeq, top, share in rows]


_WINDOWS: Final = f"""
SELECT source, 10 * log10(sum(pow(10, laeq_db::DOUBLE / 10) * measured_ms) FILTER (valid)
        / sum(measured_ms) FILTER (valid)),
    max(lafmax_db) FILTER (valid), coalesce(sum(measured_ms) FILTER (valid), 0) / 1000, max(t_s)
FROM (SELECT *, flags & {_EXCLUDED} = 0 AS valid FROM noise_second WHERE t_s >= $start AND t_s < $end)
GROUP BY source"""


def windows(
    connection: Connection, sources: Sources, wanted: Sequence[int], start_s: int, end_s: int, length_s: float
) -> list[NoiseWindow]:
    """Return the window of every wanted source, also of one that has nothing in it."""
    found = {row[0]: row[1:] for row in connection.rows(_WINDOWS, {"start": start_s, "end": end_s})}
    result = []
    for number in wanted:
        laeq, top, valid_s, last = found.get(number, (None, None, 0.0, None))
        site, name = sources.names[number]
        share = min(1.0, valid_s / length_s) if length_s else 0.0
        result.append(NoiseWindow(site, name, laeq, top, valid_s, share, None if last is None else utc(last)))
    return result


def seconds(connection: Connection, number: int, start_s: int, end_s: int, limit: int) -> SecondsTable:
    """Return the first ``limit`` seconds of a range."""
    table = connection.columns(
        "SELECT t_s, laeq_db, lafmax_db, lafmin_db, laf_db, lceq_db, lcpeak_db, measured_ms, flags "
        "FROM noise_second WHERE source = $source AND t_s >= $start AND t_s < $end ORDER BY t_s LIMIT $limit",
        {"source": number, "start": start_s, "end": end_s, "limit": limit},
    )
    return SecondsTable(
        t=[utc(t) for t in table["t_s"].tolist()],
        **{key: rounded(table[key]) for key in ("laeq_db", "lafmax_db", "lafmin_db", "laf_db", "lceq_db", "lcpeak_db")},
        measured_ms=table["measured_ms"].tolist(),
        flags=table["flags"].tolist(),
    )  # fmt: skip


def spectrum(connection: Connection, number: int, start_s: int, end_s: int) -> list[SpectrumMinute]:
    """Return the minutes of a range that have bands."""
    rows = connection.rows(
        "SELECT t_s, first_band, bands_db, measured_ms, flags FROM noise_minute "
        "WHERE source = $source AND t_s >= $start AND t_s < $end AND len(bands_db) > 0 ORDER BY t_s",
        {"source": number, "start": start_s, "end": end_s},
    )
    return [
        SpectrumMinute(utc(t_s), first, [round(one, 4) for one in bands], measured_ms, flags)
        for t_s, first, bands, measured_ms, flags in rows
    ]


def utc(t_s: float) -> datetime:
    """Return seconds since 1970 as a time."""
    return datetime.fromtimestamp(t_s, UTC)


def rounded(column: np.ndarray) -> list[Any]:
    """Return stored levels as numbers, NULL as ``None``; four decimals are what a level's 32 bits are good for."""
    return np.round(column.astype(np.float64), 4).tolist()


def _rows(table: dict[str, np.ndarray]) -> list[dict[str, Any]]:
    columns = [column.tolist() for column in table.values()]
    return [dict(zip(table, row, strict=True)) for row in zip(*columns, strict=True)]
