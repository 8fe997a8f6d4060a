"""The statistics of a household's flow that are compared with its own past, as one vector, and their limits.

The limits hold for any household; the household's own past can only raise them. They were set where not even one in
ten of 46 real meters reaches them in a year (``docs/leaks.md``).
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

SPANS_H: Final = tuple(float(hours) for hours, _ in FLOORS)
MOVING: Final = len(FLOORS)
DRAWN_1H: Final = MOVING + 1
DRAWN_2H: Final = MOVING + 2
FIRST_BAND: Final = MOVING + 3
COUNT: Final = FIRST_BAND + len(BANDS)

_BAND_LOWEST: Final = tuple(lowest for lowest, _ in BANDS)


def measure(trace: FlowTrace, step_l: float) -> list[float]:
    """Return the vector as it stands at the trace's end: floors, moving time, litres drawn, hours in bands."""
    newest = trace.newest(2.0)
    last = newest[-1]
    moving = trace.moving_h(2) if last.lph > 0.0 else 0.0
    bands = trace.bands(BAND_SPAN_H, _BAND_LOWEST, step_l)
    return [
        *trace.floors(SPANS_H), moving, _drawn_in_1h(trace), sum(h.lph * h.hours for h in newest if not h.is_gap),
        *(float(band.count) for band in bands),
    ]  # fmt: skip


def _drawn_in_1h(trace: FlowTrace) -> float:
    """Return the litres of the newest interval; of a gap, the share that an hour of it must have had at least."""
    last = trace.hours[-1]
    return last.lph if last.is_gap else last.lph * last.hours
