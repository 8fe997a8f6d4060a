"""A page of a datastream's observations, and how many there are: by stretches of time, in bounded memory."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from api.sensorthings.conditions import Condition
from api.sensorthings.entities import Point, Stream, micros, observation_names, time_of
from api.sensorthings.faults import BadQuery
from api.sensorthings.model import ID
from api.sensorthings.query import Options
from api.sensorthings.readings import MICROSECOND, Readings, ascending, descending
from api.times import EARLIEST

MOST_COUNTED: Final = 200_000
_MOST_READ: Final = 50_000
_MOST_STRETCHES: Final = 300


@dataclass(frozen=True, slots=True)
class Page:
    """Readings of a page; ``after`` is where the next begins (microseconds since 1970), ``None`` on the last.

    ``skip`` is what the next has still to leave out.
    """

    points: Sequence[Point]
    after: int | None
    skip: int = 0


def newest_first(options: Options) -> bool:
    """Whether a page runs backwards in time, as it does where no order is asked for.

    Ids of a stream have the order of their times.
    """
    return not options.orders or options.orders[0].descending


def page_of(readings: Readings, stream: Stream, options: Options, horizon: datetime, size: int) -> Page:
    """Return a page of at most ``size`` readings.

    A page ends early where 50,000 readings were looked at for it; it says where to go on.
    """
    low, high = bounds(stream, options.conditions, horizon)
    if size == 0:
        return Page([], None)
    backwards = newest_first(options)
    if options.after is not None:
        low, high = _go_on(low, high, options.after, backwards)
    stretches = descending(readings, low, high) if backwards else ascending(readings, low, high)
    found: list[Point] = []
    seen = 0
    for number, (points, at) in enumerate(stretches, 1):
        found += [one for one in points if matches(one, options.conditions)]
        if len(found) > options.skip + size:
            last = found[options.skip + size - 1].t
            return Page(
                found[options.skip : options.skip + size], micros(last if backwards else last + MICROSECOND)
            )
        seen += len(points)
        if seen >= _MOST_READ or number >= _MOST_STRETCHES:
            return Page(found[options.skip :], micros(at), max(0, options.skip - len(found)))
    return Page(found[options.skip :], None)


def count_of(readings: Readings, stream: Stream, conditions: Sequence[Condition], horizon: datetime) -> int:
    """Count the readings that fit. Raises ``BadQuery`` where more than 200,000 would have to be looked at."""
    low, high = bounds(stream, conditions, horizon)
    counted = seen = 0
    for points, _ in ascending(readings, low, high):
        counted += sum(matches(one, conditions) for one in points)
        seen += len(points)
        if seen > MOST_COUNTED:
            raise BadQuery(
                "$count", f"more than {MOST_COUNTED} observations to count; narrow phenomenonTime in $filter"
            )
    return counted


def bounds(stream: Stream, conditions: Sequence[Condition], horizon: datetime) -> tuple[datetime, datetime]:
    """Return the range of time, ``low`` ≤ t < ``high``, outside of which nothing fits. Empty where they meet."""
    low, high = EARLIEST, max(horizon, EARLIEST)
    for one in conditions:
        if one.name == ID:
            names = observation_names(str(one.value))
            t = names[1] if names and names[0] == stream.id else EARLIEST - MICROSECOND
            low, high = max(low, t), min(high, t + MICROSECOND)
        elif isinstance(one.value, datetime):
            t = min(max(one.value, EARLIEST - MICROSECOND), high)
            if one.operator in ("ge", "gt", "eq"):
                low = max(low, t + MICROSECOND if one.operator == "gt" else t)
            if one.operator in ("le", "lt", "eq"):
                high = min(high, t if one.operator == "lt" else t + MICROSECOND)
    return low, max(low, high)


def matches(point: Point, conditions: Sequence[Condition]) -> bool:
    """Whether a reading's result fits; its time is seen to by the range that is read."""
    return all(one.holds(point.result) for one in conditions if one.name == "result")


def _go_on(low: datetime, high: datetime, after: int, backwards: bool) -> tuple[datetime, datetime]:
    t = time_of(after)
    if backwards:
        return low, max(low, min(high, t))
    return min(max(low, t), high), high
