"""Water out of DuckDB: readings, and the hours' volumes between interpolated registers."""

# ruff: noqa: S608  SQL is put together from this package's own names and from integers; values are bound

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Final

import numpy as np

from contract.flags import WaterFlag
from store.series.duckdb_file import Connection
from store.series.interface import WaterHour, WaterPoint
from store.series.memory import Newest

_US: Final = 1_000_000
_HOUR_US: Final = 3600 * _US
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)

# The register at each border of an hour is interpolated between the readings around it. A replaced meter starts a new
# register: nothing is interpolated across, and an hour whose borders lie on two registers has no volume.
_HOURS: Final = f"""
WITH bounds AS (
        SELECT coalesce(max(t_us) FILTER (t_us <= $start), $start) AS low,
            coalesce(min(t_us) FILTER (t_us >= $end), $end) AS high
        FROM water_reading WHERE source = $source),
    readings AS (
        SELECT t_us, volume_steps::HUGEINT * step_ml AS ml, flags,
            sum(CASE WHEN flags & {WaterFlag.METER_REPLACED.value} <> 0 THEN 1 ELSE 0 END)
                OVER (ORDER BY t_us) AS register
        FROM water_reading, bounds WHERE source = $source AND t_us >= low AND t_us <= high),
    relative AS (
        SELECT *, (ml - min(ml) OVER (PARTITION BY register))::DOUBLE AS rise_ml FROM readings),
    borders AS (SELECT unnest(range($start, $end + 1, {_HOUR_US})) AS t),
    registers AS (
        SELECT b.t, CASE WHEN p.register = n.register THEN p.register END AS register,
            p.rise_ml + CASE WHEN n.t_us > p.t_us
                THEN (n.rise_ml - p.rise_ml) * (b.t - p.t_us) / (n.t_us - p.t_us) ELSE 0 END AS rise_ml
        FROM borders b ASOF LEFT JOIN relative p ON b.t >= p.t_us ASOF LEFT JOIN relative n ON b.t <= n.t_us),
    volumes AS (
        SELECT a.t, CASE WHEN a.register = b.register THEN (b.rise_ml - a.rise_ml) / 1000 END AS volume_l
        FROM registers a JOIN registers b ON b.t = a.t + {_HOUR_US}),
    inside AS (
        SELECT t_us // {_HOUR_US} * {_HOUR_US} AS t, count(*) AS readings, bit_or(flags) AS flags
        FROM readings WHERE t_us >= $start AND t_us < $end GROUP BY ALL)
SELECT t, volume_l, coalesce(readings, 0), coalesce(flags, 0) FROM volumes LEFT JOIN inside USING (t)
WHERE volume_l IS NOT NULL OR readings > 0 ORDER BY t"""


def hours(
    connection: Connection, number: int, site: str, meter: str, start_us: int, end_us: int
) -> list[WaterHour]:
    """Compute the hours that begin in [``start_us``, ``end_us``)."""
    first, after = -(-start_us // _HOUR_US) * _HOUR_US, -(-end_us // _HOUR_US) * _HOUR_US
    if first >= after:
        return []
    rows = connection.rows(_HOURS, {"source": number, "start": first, "end": after})
    return [
        WaterHour(site, meter, utc(t), volume_l, readings, flags) for t, volume_l, readings, flags in rows
    ]


def readings(connection: Connection, number: int, start_us: int, end_us: int) -> list[WaterPoint]:
    """Return the readings of a range."""
    rows = connection.rows(
        "SELECT t_us, volume_steps, step_ml, flow_m3h, reverse_steps, serial, flags FROM water_reading "
        "WHERE source = $source AND t_us >= $start AND t_us < $end ORDER BY t_us",
        {"source": number, "start": start_us, "end": end_us},
    )
    return [point(*row) for row in rows]


def point(
    t_us: int, steps: int, step_ml: int, flow_m3h: float | None, reverse_steps: int | None,
    serial: str | None, flags: int,
) -> WaterPoint:  # fmt: skip
    """Return a stored row as a reading."""
    reverse_ml = None if reverse_steps is None else reverse_steps * step_ml
    return WaterPoint(utc(t_us), steps * step_ml, step_ml, flow_m3h, reverse_ml, serial, flags)


def newest_point(newest: Newest, number: int) -> WaterPoint:
    """Return a meter's newest reading from memory, where NaN and -1 stand for what was not sent."""
    steps, step_ml, flow_m3h, reverse_steps, serial, flags = (
        newest.values[key][number]
        for key in ("volume_steps", "step_ml", "flow_m3h", "reverse_steps", "serial", "flags")
    )
    return point(
        int(newest.t[number]), int(steps), int(step_ml), None if np.isnan(flow_m3h) else float(flow_m3h),
        None if reverse_steps < 0 else int(reverse_steps), serial, int(flags),
    )  # fmt: skip


def utc(t_us: int) -> datetime:
    """Return microseconds since 1970 as a time."""
    return _EPOCH + timedelta(microseconds=t_us)
