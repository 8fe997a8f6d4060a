"""Noise out of DuckDB: series, windows, seconds and spectra; hours are in :mod:`store.series.duckdb_hours`."""

# ruff: noqa: S608  SQL is put together from this package's own names and from integers; values are bound

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np

from store.series.duckdb_file import Connection
from store.series.duckdb_hours import EXCLUDED, pieces, sums
from store.series.duckdb_values import known, rounded, utc
from store.series.interface import LevelPoint, NoiseWindow, SecondsTable, SpectrumMinute
from store.series.memory import Sources

_SERIES: Final = f"""
SELECT t_s // $step * $step AS t_s,
    10 * log10(sum(pow(10, laeq_db::DOUBLE / 10) * measured_ms) FILTER (valid) / sum(measured_ms) FILTER (valid)),
    max(lafmax_db) FILTER (valid), least(1.0, coalesce(sum(measured_ms) FILTER (valid), 0) / 1000 / $step)
FROM (SELECT *, flags & {EXCLUDED} = 0 AS valid FROM noise_second
    WHERE source = $source AND t_s >= $start AND t_s < $end) GROUP BY ALL ORDER BY 1"""


def series(connection: Connection, number: int, start_s: int, end_s: int, step_s: int) -> list[LevelPoint]:
    """Return the levels of each step that holds data."""
    span = {"source": number, "start": start_s, "end": end_s}
    if step_s % 60:
        rows = connection.rows(_SERIES, {**span, "step": step_s})
        return [LevelPoint(utc(t_s), laeq, top, share) for t_s, laeq, top, share in rows]
    found, _ = pieces(connection, span)
    by_step = sums(found, found.minute * 60 // step_s)
    shares = np.minimum(1.0, by_step.valid_ms / 1000 / step_s)
    columns = (by_step.key.tolist(), by_step.laeq_db, by_step.top_db, shares.tolist())
    return [
        LevelPoint(utc(step * step_s), known(laeq), known(top), share)
        for step, laeq, top, share in zip(*columns, strict=True)
    ]


_WINDOWS: Final = f"""
SELECT source, 10 * log10(sum(pow(10, laeq_db::DOUBLE / 10) * measured_ms) FILTER (valid)
        / sum(measured_ms) FILTER (valid)),
    max(lafmax_db) FILTER (valid), coalesce(sum(measured_ms) FILTER (valid), 0) / 1000, max(t_s)
FROM (SELECT *, flags & {EXCLUDED} = 0 AS valid FROM noise_second WHERE t_s >= $start AND t_s < $end)
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
