"""The minutes of a past time, one after the other: what a noise rule is tried on."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Final

from store.series.interface import LevelPoint, SeriesStore

REPLAY_STEP_S: Final = 60
REPLAY_STEP: Final = timedelta(seconds=REPLAY_STEP_S)
"""A rule is tried on the past minute by minute; live it looks every second or so."""


def every_minute(
    series: SeriesStore, site: str, source: str, start: datetime, end: datetime
) -> Iterator[LevelPoint]:
    """Yield every minute of a range, a day a query; one without data has no level."""
    at = start.replace(second=0, microsecond=0)
    while at < end:
        until = min(end, at + timedelta(days=1))
        points = series.noise_series(site, source, at, until, step_s=REPLAY_STEP_S)
        known = {point.t: point for point in points}
        while at < until:
            yield known.get(at) or LevelPoint(at, None, None, 0.0)
            at += REPLAY_STEP
