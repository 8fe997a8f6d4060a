"""When a meter is due. Pure: seconds since 1970 in, seconds since 1970 out."""

from __future__ import annotations

import zlib
from typing import Final

BACK_OFF_MOST: Final = 8
"""A silent meter is tried at every eighth of its turns at the rarest, and at least once an hour."""
_BACK_OFF_MOST_S: Final = 3600


def next_due(after_s: float, interval_s: int, jitter_s: float, name: str, *, every: int = 1) -> float:
    """Return the first time after ``after_s`` at which a meter is due.

    Turns lie at whole multiples of the interval, each delayed by a share of ``jitter_s`` that depends on the meter
    and the turn alone, so that a restart changes nothing. ``every`` takes only every n-th turn.
    """
    stride = interval_s * every
    turn = int(after_s // stride)
    while True:
        due = turn * stride + jitter_s * _share(name, turn * every)
        if due > after_s:
            return due
        turn += 1


def back_off(missed: int, silent_after: int, interval_s: int) -> int:
    """Return every how many turns a meter is tried that has missed so many readings in a row."""
    if missed < silent_after:
        return 1
    most = max(1, min(BACK_OFF_MOST, _BACK_OFF_MOST_S // interval_s))
    return min(most, 1 << min(missed - silent_after, 10))


def attempts(missed: int, silent_after: int, retries: int) -> int:
    """Return how often a meter is asked in one turn: a silent one once, so that it does not hold up the others."""
    return 1 if missed >= silent_after else 1 + retries


def _share(name: str, turn: int) -> float:
    return zlib.crc32(f"{name} {turn}".encode()) / 2**32
