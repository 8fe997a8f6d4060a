"""The statistics of a household's flow that are compared with its own past, as one vector, and their limits.

The limits hold for any household; the household's own past can only raise them. ``docs/leaks.md`` has what they reach.
"""

from __future__ import annotations

from typing import Final

from analysis.leaks.flowtrace import FlowTrace

FLOORS: Final[tuple[tuple[float, float], ...]] = (
    (2, 450), (3, 250), (4, 140), (5, 90), (6, 75), (8, 52), (10, 36), (12, 27), (16, 16), (20, 10), (24, 5),
    (30, 2), (36, 1), (48, 1), (60, 1), (72, 1),
)  # fmt: skip
"""(hours, L/h): within so many hours, no hour with less."""
BANDS: Final[tuple[tuple[float, int], ...]] = ((40.0, 8), (25.0, 9), (15.0, 11), (8.0, 13))
"""(L/h, hours): at such a flow or more, so many of 48 hours at one and the same flow."""
BAND_SPAN_H: Final = 48.0
MOVING_H: Final = 96.0
"""For so long never two hours in a row without flow: a drip of less than the register's step an hour."""
DRAWN_L: Final = (900.0, 1000.0)
"""Litres in one hour, in two."""
TWIN_LPH: Final = 300.0
"""Two hours in a row with the same flow, as a pipe has it and hands at a tap have not."""

SPANS_H: Final = tuple(float(hours) for hours, _ in FLOORS)
MOVING: Final = len(FLOORS)
DRAWN_1H: Final = MOVING + 1
TWIN: Final = DRAWN_1H + len(DRAWN_L)
FIRST_BAND: Final = TWIN + 1
COUNT: Final = FIRST_BAND + len(BANDS)

_BAND_LOWEST: Final = tuple(lowest for lowest, _ in BANDS)


def measure(trace: FlowTrace, step_l: float) -> list[float]:
    """Return the vector as it stands at the trace's end: floors, moving time, litres drawn, hours in bands."""
    moving = trace.moving_h(2) if trace.hours[-1].lph > 0.0 else 0.0
    bands = trace.bands(BAND_SPAN_H, _BAND_LOWEST, step_l)
    return [
        *trace.floors(SPANS_H), moving, *(_drawn(trace, hours) for hours in range(1, len(DRAWN_L) + 1)),
        _twin(trace), *(float(band.count) for band in bands),
    ]  # fmt: skip


def _drawn(trace: FlowTrace, hours: int) -> float:
    """Return the litres of the newest hours; of a gap, the share that one hour of it must have had at least."""
    if hours == 1 and trace.hours[-1].is_gap:
        return trace.hours[-1].lph
    return sum(hour.lph * hour.hours for hour in trace.newest(float(hours)) if not hour.is_gap)


def _twin(trace: FlowTrace) -> float:
    """Return the lower flow of the newest two hours if they are alike to 5 %, else 0."""
    two = [hour.lph for hour in trace.newest(2.0) if not hour.is_gap]
    return min(two) if len(two) == 2 and max(two) <= 1.05 * min(two) else 0.0
