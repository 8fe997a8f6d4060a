"""Register readings into the rows that leak detectors take. Pure.

Rows come from readings, not from hour rows: those interpolate, and a leak shows in the hours at rest.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from typing import Final

from analysis.leaks.rows import HourRow
from contract.flags import WaterFlag
from store.series.interface import WaterPoint

ROW: Final = timedelta(minutes=55)
"""The shortest row: readings that come a little early still make an hour."""


def hour_rows(points: Sequence[WaterPoint]) -> tuple[list[HourRow], WaterPoint | None]:
    """Return the rows between readings about an hour apart, and the last reading that a row ends with.

    ``points`` ascend in time and begin with the reading at which the row before ended. Where a meter was replaced the
    row is unknown: the new register starts anew.
    """
    if not points:
        return [], None
    rows: list[HourRow] = []
    last = points[0]
    replaced = False
    for point in points[1:]:
        replaced = replaced or is_new_register(last, point)
        if point.t - last.t < ROW:
            continue
        gain_l = None if replaced else (point.volume_ml - last.volume_ml) / 1000.0
        rows.append(HourRow(t=last.t, volume_l=gain_l, duration_h=(point.t - last.t) / timedelta(hours=1)))
        last, replaced = point, False
    return rows, last


def is_new_register(before: WaterPoint, after: WaterPoint) -> bool:
    """Say whether another meter stands between two readings."""
    other_serial = before.serial is not None and after.serial is not None and before.serial != after.serial
    return other_serial or bool(after.flags & WaterFlag.METER_REPLACED)
