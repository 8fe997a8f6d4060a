"""Volumes of hours from a register's readings, for a store whose server cannot interpolate."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Final

import numpy as np

from contract.flags import WaterFlag
from store.series.interface import WaterHour, WaterPoint

HOUR: Final = timedelta(hours=1)


def hours(
    site: str, meter: str, points: Sequence[WaterPoint], start: datetime, end: datetime
) -> list[WaterHour]:
    """Return the hours from ``start`` to ``end`` (whole hours, UTC) that hold a reading or have a known volume.

    ``points`` ascend and hold the reading before ``start`` and the one after ``end``, where there are such. Nothing is
    interpolated across a replaced meter.
    """
    if not points or end <= start:
        return []
    borders = [start + n * HOUR for n in range((end - start) // HOUR + 1)]
    t = np.array([p.t.timestamp() for p in points])
    register = np.cumsum([1 if p.flags & WaterFlag.METER_REPLACED else 0 for p in points])
    at = [_at_border(points, t, register, border) for border in borders]
    first = np.searchsorted(t, [border.timestamp() for border in borders], side="left")
    rows: list[WaterHour] = []
    for n, begin in enumerate(borders[:-1]):
        inside = points[first[n] : first[n + 1]]
        volume_l = _gain_l(at[n], at[n + 1])
        if inside or volume_l is not None:
            flags = 0
            for p in inside:
                flags |= p.flags
            rows.append(WaterHour(site, meter, begin, volume_l, len(inside), flags))
    return rows


_AtBorder = tuple[int, int, float]
"""Register, its exact volume at the reading before, and the millilitres gained since."""


def _at_border(
    points: Sequence[WaterPoint], t: np.ndarray, register: np.ndarray, border: datetime
) -> _AtBorder | None:
    at = border.timestamp()
    before, after = int(np.searchsorted(t, at, side="right")) - 1, int(np.searchsorted(t, at, side="left"))
    if before < 0 or after >= len(t) or register[before] != register[after]:
        return None
    gained = 0.0
    if after > before:
        gained = (
            (points[after].volume_ml - points[before].volume_ml) * (at - t[before]) / (t[after] - t[before])
        )
    return int(register[before]), points[before].volume_ml, gained


def _gain_l(start: _AtBorder | None, end: _AtBorder | None) -> float | None:
    if start is None or end is None or start[0] != end[0]:
        return None
    return (end[1] - start[1] + end[2] - start[2]) / 1000
