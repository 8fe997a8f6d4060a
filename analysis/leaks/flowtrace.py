"""The last hours of one meter, and what can be said about them."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Final, NamedTuple

import msgspec

_SHORT_H: Final = 0.9
"""A shorter interval is joined with the next: within it a drip may not move the register by one step."""
_HOUR_H: Final = 1.6
"""Longer than this is a gap: what flowed in it is known, but an hour without flow may hide in it."""
_SLACK_H: Final = 0.15
"""Readings come some minutes early or late."""
_LONGEST_GAP_H: Final = 12.0


class Hour(msgspec.Struct, gc=False, array_like=True):
    """One interval of the trace: its start, its length and its average flow."""

    t: datetime
    hours: float
    lph: float

    @property
    def is_gap(self) -> bool:
        """Whether the interval is too long to say anything about a single hour in it."""
        return self.hours > _HOUR_H

    @property
    def end(self) -> datetime:
        """The instant at which the interval ends."""
        return self.t + timedelta(hours=self.hours)


class Band(NamedTuple):
    """``count`` hours had about one and the same flow, ``level_lph``."""

    count: int
    level_lph: float


class FlowTrace(msgspec.Struct):
    """The newest ``keep`` intervals of one meter, oldest first."""

    keep: int = 108
    hours: list[Hour] = []

    def add(self, t: datetime, duration_h: float, volume_l: float) -> None:
        """Append an interval; one too short to count on its own is joined with the one before."""
        last = self.hours[-1] if self.hours else None
        if last is not None and last.hours < _SHORT_H and abs((t - last.end).total_seconds()) < 60:
            total_h = last.hours + duration_h
            self.hours[-1] = Hour(last.t, total_h, (last.lph * last.hours + volume_l) / total_h)
        else:
            self.hours.append(Hour(t, duration_h, volume_l / duration_h))
        if len(self.hours) > self.keep:
            del self.hours[0]

    def floors(self, spans_h: Sequence[float]) -> list[float]:
        """Return for each span (ascending) the lowest hourly flow within the newest span of that length, L/h.

        A gap adds no time to a span, and lowers the floor to its average. 0 where there is not enough trace.
        """
        out = [0.0] * len(spans_h)
        lowest, observed, index = float("inf"), 0.0, 0
        later: Hour | None = None
        for hour in reversed(self.hours):
            if hour.lph <= 0.0 or _apart_h(hour, later) > _LONGEST_GAP_H:
                break
            later = hour
            lowest = min(lowest, hour.lph)
            if hour.is_gap:
                continue
            observed += hour.hours
            while index < len(spans_h) and observed >= spans_h[index] - _SLACK_H:
                out[index] = lowest
                index += 1
            if index == len(spans_h):
                break
        return out

    def moving_h(self, window: int) -> float:
        """Return for how many observed hours there have not been ``window`` intervals in a row without flow."""
        still, observed = 0, 0.0
        later: Hour | None = None
        for hour in reversed(self.hours):
            still = still + 1 if hour.lph <= 0.0 else 0
            if still >= window or (hour.is_gap and hour.lph <= 0.0) or _apart_h(hour, later) > _LONGEST_GAP_H:
                break
            later = hour
            if not hour.is_gap:
                observed += hour.hours
        return observed

    def bands(self, span_h: float, lowest_lph: Sequence[float], step_l: float) -> list[Band]:
        """Return the flow that most hours of the newest span had in common, for each of several lowest flows."""
        flows = sorted(h.lph for h in self.newest(span_h) if not h.is_gap and h.lph >= min(lowest_lph))
        best = [Band(0, 0.0)] * len(lowest_lph)
        first = 0
        for last, flow in enumerate(flows):
            width = band_width_lph(flow, step_l)
            while flow - flows[first] > width:
                first += 1
            for index, lowest in enumerate(lowest_lph):
                if flows[first] >= lowest and last - first + 1 > best[index].count:
                    best[index] = Band(last - first + 1, flows[(first + last) // 2])
        return best

    def newest(self, span_h: float) -> list[Hour]:
        """Return the intervals of the newest ``span_h`` observed hours, oldest first."""
        observed, at = 0.0, len(self.hours)
        while at > 0 and observed < span_h - _SLACK_H:
            at -= 1
            if not self.hours[at].is_gap:
                observed += self.hours[at].hours
        return self.hours[at:]

    def since(self, t: datetime) -> list[Hour]:
        """Return the intervals that start at ``t`` or later."""
        return [hour for hour in self.hours if hour.t >= t]

    def began(self, lowest_lph: float) -> datetime:
        """Return since when no interval has had less than ``lowest_lph``."""
        start = self.hours[-1].t
        for hour in reversed(self.hours):
            if hour.lph < lowest_lph:
                break
            start = hour.t
        return start


def band_width_lph(level_lph: float, step_l: float) -> float:
    """Return how far apart two hours at "one and the same" flow may lie: the meter's step, or 5 % of the flow."""
    return max(1.2 * step_l, 0.05 * level_lph)


def stretches(hours: Sequence[Hour], level_lph: float, width_lph: float) -> int:
    """Count the stretches of two hours or more at one level, parted by hours of less than half of it."""
    count = in_row = 0
    for hour in hours:
        if hour.is_gap:
            continue
        if abs(hour.lph - level_lph) <= width_lph:
            in_row += 1
            count += in_row == 2
        elif in_row < 2 or hour.lph < 0.5 * level_lph:
            in_row = 0
    return count


def lowest_mean_lph(hours: Sequence[Hour], step_l: float) -> float:
    """Return the mean of the hours that carry the lowest flow: a leak's, where hardly anything else is drawn."""
    flows = sorted(hour.lph for hour in hours if not hour.is_gap) or [hour.lph for hour in hours]
    near = [flow for flow in flows if flow <= flows[0] + band_width_lph(flows[0], step_l)]
    return sum(near) / len(near)


def _apart_h(earlier: Hour, later: Hour | None) -> float:
    return 0.0 if later is None else (later.t - earlier.end).total_seconds() / 3600.0
