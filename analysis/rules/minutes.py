"""The minutes of a past time, one after the other: what a noise rule is tried on."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from typing import Final

from analysis.exclusions import Span
from store.series.interface import LevelPoint, SeriesStore

REPLAY_STEP_S: Final = 60
REPLAY_STEP: Final = timedelta(seconds=REPLAY_STEP_S)
"""A rule is tried on the past minute by minute; live it looks every second or so."""


def every_minute(
    series: SeriesStore, site: str, source: str, start: datetime, end: datetime, left_out: Sequence[Span] = ()
) -> Iterator[tuple[LevelPoint, bool]]:
    """Yield every minute of a range, a day a query, and whether it counts: not where ``left_out`` touches it.

    A minute without data has no level.
    """
    spans = [span for span in left_out if span.source in (None, source)]
    at = start.replace(second=0, microsecond=0)
    while at < end:
        until = min(end, at + timedelta(days=1))
        points = series.noise_series(site, source, at, until, step_s=REPLAY_STEP_S)
        known = {point.t: point for point in points}
        of_day = [span for span in spans if span.start < until and span.end > at]
        while at < until:
            touched = any(span.start < at + REPLAY_STEP and span.end > at for span in of_day)
            yield known.get(at) or LevelPoint(at, None, None, 0.0), not touched
            at += REPLAY_STEP
