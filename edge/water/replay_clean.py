"""Mends the defects of recorded registers, for demonstrations: duplicates, steps back, jumps and gaps."""

from __future__ import annotations

from array import array
from bisect import bisect_right
from collections.abc import Sequence
from itertools import accumulate, pairwise
from statistics import median_low
from typing import Final

from edge.water.replay_data import Track

_HOUR_US: Final = 3_600 * 1_000_000
_WEEK_US: Final = 7 * 24 * _HOUR_US
_FASTEST_ML_PER_H: Final = 20_000_000
"""What no meter of a household or a quarter passes in an hour; above it the register was changed."""


def cleaned(track: Track, step_ml: int) -> Track:
    """Return the track with one reading a time, a register that never falls, and no gaps.

    A step back or an impossible jump counts as no use; the register after it is moved along. A gap is filled at the
    track's usual interval: the use in it, which the register knows, is spread as it was a week before.
    """
    times, registers = _rising(track, step_ml)
    if len(times) < 3:
        return Track(track.meter, times, registers)
    usual_us = max(1, median_low([b - a for a, b in pairwise(times)]))
    out_times, out_registers = array("q", times[:1]), array("q", registers[:1])
    for (before, after), (low, high) in zip(pairwise(times), pairwise(registers), strict=True):
        missing = round((after - before) / usual_us) - 1
        if missing > 0:
            between = [before + (after - before) * k // (missing + 1) for k in range(1, missing + 1)]
            weights = _use_a_week_before(out_times, out_registers, [before, *between, after])
            out_times.extend(between)
            out_registers.extend(_spread(low, high - low, weights)[:-1])
        out_times.append(after)
        out_registers.append(high)
    return Track(track.meter, out_times, out_registers)


def _rising(track: Track, step_ml: int) -> tuple[array[int], array[int]]:
    """Return the readings of different times with a register that rises by what can have flowed."""
    times, registers = array("q", track.times_us[:1]), array("q", track.steps[:1])
    last = track.steps[0]
    for t_us, register in zip(track.times_us, track.steps, strict=True):
        if t_us == times[-1]:
            continue
        gain, hours = register - last, (t_us - times[-1]) / _HOUR_US
        possible = 0 <= gain * step_ml <= _FASTEST_ML_PER_H * hours
        times.append(t_us)
        registers.append(registers[-1] + (gain if possible else 0))
        last = register
    return times, registers


def _use_a_week_before(times: array[int], registers: array[int], borders: Sequence[int]) -> list[int]:
    at = [registers[max(0, bisect_right(times, border - _WEEK_US) - 1)] for border in borders]
    return [b - a for a, b in pairwise(at)]


def _spread(start: int, gain: int, weights: Sequence[int]) -> list[int]:
    """Return the registers that spread a gain by weights; all of it into the last part where there are none."""
    total = sum(weights)
    if not total:
        return [start] * (len(weights) - 1) + [start + gain]
    return [start + gain * part // total for part in accumulate(weights)]
