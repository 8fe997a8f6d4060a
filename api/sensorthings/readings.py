"""The readings of a datastream out of the series store, a bounded stretch of time after the other."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import lru_cache
from typing import Any, Final, Protocol

from analysis.validity import why_not
from api.sensorthings.entities import Point, Stream
from contract.flags import NOISE_EXCLUDED, NoiseFlag, WaterFlag, names
from contract.sitetime import floor_hour
from store.series.interface import NoiseHour, SecondsTable, SeriesStore, WaterHour, WaterPoint

MICROSECOND: Final = timedelta(microseconds=1)
_SECOND: Final = timedelta(seconds=1)
_HOUR: Final = timedelta(hours=1)
_MOST_SECONDS: Final = 5000
"""Seconds that are read at once."""

Stretch = tuple[list[Point], datetime]
"""Readings, ascending, and up to when they are complete (excluded)."""


class Readings(Protocol):
    """One stream. ``usual`` is a stretch to begin with, ``longest`` the longest that may be asked for."""

    usual: timedelta
    longest: timedelta

    def read(self, start: datetime, end: datetime) -> Stretch:
        """Return the readings that begin in ``start`` ≤ t < ``end``, or the first of them."""
        ...


@dataclass
class Seconds:
    """A level each second."""

    series: SeriesStore
    stream: Stream
    usual: timedelta = _HOUR
    longest: timedelta = timedelta(days=40_000)

    def read(self, start: datetime, end: datetime) -> Stretch:
        """See :class:`Readings`; no more than ``_MOST_SECONDS``, so the stretch may be of any length."""
        source = self.stream.source
        table = self.series.noise_seconds(source.quarter.name, source.name, start, end, limit=_MOST_SECONDS)
        levels: Sequence[float | None] = getattr(table, self.stream.quantity.key)
        points = [_second(table, i, level) for i, level in enumerate(levels) if level is not None]
        return points, table.t[-1] + MICROSECOND if len(table.t) == _MOST_SECONDS else end


@dataclass
class MeterReadings:
    """A meter's register, or the flow that it tells, at each reading."""

    series: SeriesStore
    stream: Stream
    usual: timedelta = timedelta(days=2)
    longest: timedelta = timedelta(days=92)

    def read(self, start: datetime, end: datetime) -> Stretch:
        """See :class:`Readings`."""
        source = self.stream.source
        rows = self.series.water_readings(source.quarter.name, source.name, start, end)
        result = _register_l if self.stream.quantity.key == "volume_l" else _flow_m3h
        points = [_meter_reading(one, value) for one in rows if (value := result(one)) is not None]
        return points, end


@dataclass
class Hours:
    """A quantity of each hour. ``rows`` reads whole hours, ``point`` takes the quantity out of one."""

    rows: Callable[[datetime, datetime], Sequence[Any]]
    point: Callable[[Any], Point]
    usual: timedelta = timedelta(hours=12)
    longest: timedelta = timedelta(days=92)

    def read(self, start: datetime, end: datetime) -> Stretch:
        """See :class:`Readings`."""
        until = floor_hour(end)
        rows = self.rows(floor_hour(start), until if until == end else until + _HOUR)
        return [self.point(one) for one in rows if start <= one.t < end], end


def ascending(readings: Readings, low: datetime, high: datetime) -> Iterator[Stretch]:
    """Yield the readings of a range, oldest first; stretches without any grow. Each is complete up to its time."""
    at, span = low, readings.usual
    while at < high:
        points, at = readings.read(at, min(at + span, high))
        yield points, at
        span = readings.usual if points else min(4 * span, readings.longest)


def descending(readings: Readings, low: datetime, high: datetime) -> Iterator[Stretch]:
    """Yield the readings of a range, newest first. Each stretch is complete down to its time (included)."""
    at, span = high, readings.usual
    while at > low:
        start = max(at - span, low)
        points, until = readings.read(start, at)
        if until < at:  # more than is read at once, and the newest are wanted first
            span = max(span / 4, readings.usual)
            continue
        yield points[::-1], start
        at, span = start, readings.usual if points else min(4 * span, readings.longest)


def noise_hour_point(row: NoiseHour, key: str, least_share: float) -> Point:
    """Return a quantity of a noise hour. The result is ``None`` where no valid time, or no percentile, is known."""
    why = why_not(row, least_share)
    quality = {
        "valid": why == "", "not_counted": why, "valid_share": row.valid_share, "excluded_s": dict(row.excluded_s),
    }  # fmt: skip
    parameters = {
        "valid_s": row.valid_s, "measured_s": row.measured_s, "seconds": row.seconds, "ln_from": row.ln_from,
        "revision": row.revision,
    }  # fmt: skip
    return Point(row.t, row.t + _HOUR, getattr(row, key), None, quality, parameters)


def water_hour_point(row: WaterHour) -> Point:
    """Return an hour's volume, ``None`` where no two readings enclose it."""
    quality = {"flags": names(WaterFlag(row.flags))}
    parameters = {"readings": row.readings, "revision": row.revision}
    return Point(row.t, row.t + _HOUR, row.volume_l, None, quality, parameters)


def _second(table: SecondsTable, i: int, level: float) -> Point:
    t = table.t[i]
    return Point(
        t, t + _SECOND, level, t + _SECOND, _validity(table.flags[i]), {"measured_ms": table.measured_ms[i]}
    )


@lru_cache(maxsize=256)
def _validity(flags: int) -> Mapping[str, Any]:
    return {"valid": not flags & NOISE_EXCLUDED, "flags": names(NoiseFlag(flags))}


def _meter_reading(row: WaterPoint, result: float) -> Point:
    parameters: Mapping[str, Any] = {"register_ml": row.volume_ml, "step_ml": row.step_ml}
    return Point(row.t, None, result, row.t, {"flags": names(WaterFlag(row.flags))}, parameters)


def _register_l(row: WaterPoint) -> float:
    return row.volume_ml / 1000


def _flow_m3h(row: WaterPoint) -> float | None:
    return row.flow_m3h
