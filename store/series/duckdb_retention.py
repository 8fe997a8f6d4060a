"""Deleting readings from DuckDB whose time is over: hour by hour, each in a transaction of its own.

Whole row groups that are empty afterwards are given back to the file at its next checkpoint. An hour of a source
goes only when its row is stored and nothing has arrived since; that is asked in the transaction that deletes.
"""

# ruff: noqa: S608  SQL is put together from this package's own names and from integers; values are bound

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from store.series.duckdb_file import Connection, DuckDbFile
from store.series.retention import Retained, Retention


@dataclass(frozen=True, slots=True)
class _Kept:
    """A table of readings, its time column with the length of an hour in it, and where its hours are rolled up."""

    table: str
    time: str
    hour: int
    rolled_up: str
    mark: str


_SECONDS: Final = _Kept("noise_second", "t_s", 3600, "noise_hour", "noise")
_MINUTES: Final = _Kept("noise_minute", "t_s", 3600, "noise_hour", "noise")
_WATER: Final = _Kept("water_reading", "t_us", 3_600_000_000, "water_hour", "water")


def retain(
    file: DuckDbFile, retention: Retention, now: datetime, budget_s: float, monotonic: Callable[[], float]
) -> Retained:
    """Delete what is older than ``retention`` allows, oldest hours first, until ``budget_s`` have passed."""
    deadline = monotonic() + budget_s
    deleted = waiting = 0
    for kept, hour in _hours(file, retention, now):
        if monotonic() >= deadline:
            return Retained(deleted, waiting, more=True)
        with file.write() as connection:
            went, stayed = _delete(connection, kept, hour)
        deleted += went
        waiting += stayed
    return Retained(deleted, waiting)


def _hours(file: DuckDbFile, retention: Retention, now: datetime) -> Iterator[tuple[_Kept, int]]:
    limits = (
        (_SECONDS, retention.seconds_before(now)), (_MINUTES, retention.minutes_before(now)),
        (_WATER, retention.minutes_before(now)),
    )  # fmt: skip
    for kept, before in limits:
        if before is None:
            continue
        last = int(before.timestamp()) // 3600  # this hour is not over its time as a whole
        with file.read() as connection:
            found = connection.rows(
                f"SELECT DISTINCT {kept.time} // {kept.hour} AS hour FROM {kept.table} "
                f"WHERE {kept.time} < {last * kept.hour} ORDER BY hour"
            )
        yield from ((kept, hour) for (hour,) in found)


def _delete(connection: Connection, kept: _Kept, hour: int) -> tuple[int, int]:
    within = f"{kept.time} >= {hour * kept.hour} AND {kept.time} < {(hour + 1) * kept.hour}"
    t_s = hour * 3600
    stay = [
        source
        for (source,) in connection.rows(
            f"SELECT DISTINCT source FROM {kept.table} WHERE {within} AND ("
            f"source NOT IN (SELECT source FROM {kept.rolled_up} WHERE t_s = {t_s}) OR "
            f"source IN (SELECT source FROM dirty_hour WHERE kind = $kind AND t_s = {t_s}))",
            {"kind": kept.mark},
        )
    ]
    spared = f" AND source NOT IN ({', '.join(map(str, stay))})" if stay else ""
    ((deleted,),) = connection.rows(f"DELETE FROM {kept.table} WHERE {within}{spared}")
    return deleted, len(stay)
