"""The present of every quarter: its ten-minute level against the limit of this time of day.

A ten-minute level above the limit is a matter for attention, never a finding of non-compliance: GB 3096-2008 judges
whole days and nights. So the words are *below*, *near* and *above*, not *pass* and *fail*.
"""

from __future__ import annotations

import threading
import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final, Literal

from analysis.limits import Limit, present_limit
from store.registry.models import Site
from store.series.interface import NoiseWindow, SeriesStore

LevelState = Literal["below", "near", "above", "no_data"]

WINDOW: Final = timedelta(minutes=10)
NEAR_DB: Final = 3.0
"""From this far below the limit on a level is called near it (a project default)."""
LEAST_VALID_S: Final = 5.0
_CACHE_S: Final = 2.0
_ORDER: Final[dict[LevelState, int]] = {"no_data": 0, "below": 1, "near": 2, "above": 3}

Key = tuple[str, str]
"""Site and device."""


@dataclass(frozen=True, slots=True)
class PresentLevel:
    """One source's level over the window, and its distance to the limit (positive: above)."""

    source: str
    laeq_db: float | None
    lafmax_db: float | None
    margin_db: float | None
    valid_s: float
    last_t: datetime | None
    state: LevelState


@dataclass(frozen=True, slots=True)
class PresentSite:
    """A quarter now: its limit, its sources, and the source that is worst off."""

    limit: Limit
    window_s: float
    sources: Sequence[PresentLevel]
    worst: PresentLevel | None
    state: LevelState


def judge_level(laeq_db: float | None, valid_s: float, limit: Limit) -> LevelState:
    """Say how a level stands to a limit, by the limit's own rounding and comparison. Pure."""
    if laeq_db is None or valid_s < LEAST_VALID_S:
        return "no_data"
    if limit.row.judge(laeq_db) == "fail":
        return "above"
    return "near" if limit.value_db - limit.row.rounded(laeq_db) < NEAR_DB else "below"


def present_site(
    limit: Limit, start: datetime, now: datetime, devices: Iterable[str], windows: Mapping[str, NoiseWindow]
) -> PresentSite:
    """Put a quarter's present together from the windows of its devices. Pure."""
    sources = [_present_level(name, windows.get(name), limit) for name in devices]
    worst = max(sources, key=_rank, default=None)
    state = worst.state if worst else "no_data"
    return PresentSite(
        limit, (now - start).total_seconds(), sources, None if state == "no_data" else worst, state
    )


def window_start(limit: Limit, now: datetime) -> datetime:
    """Return the start of the window: it never reaches back over the border of day and night."""
    return max(now - WINDOW, limit.since)


class PresentBoard:
    """Present levels of all quarters, asked of the store at most every two seconds however many pages look."""

    def __init__(self, series: SeriesStore, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._series = series
        self._monotonic = monotonic
        self._lock = threading.Lock()
        self._windows: dict[datetime, dict[str, dict[str, NoiseWindow]]] = {}
        self._read_s = float("-inf")
        self._now: datetime | None = None

    def present(
        self, sites: Sequence[Site], devices: Mapping[str, Sequence[str]], now: datetime
    ) -> dict[str, PresentSite]:
        """Return each site's present. ``devices`` are the names of each site's noise devices."""
        limits = {site.name: present_limit(site, now) for site in sites}
        with self._lock:
            at = self._refresh(now)
            result: dict[str, PresentSite] = {}
            for site in sites:
                limit = limits[site.name]
                start = window_start(limit, at)
                windows = self._window(start, at).get(site.name, {})
                result[site.name] = present_site(limit, start, at, devices.get(site.name, ()), windows)
            return result

    def _refresh(self, now: datetime) -> datetime:
        if self._now is None or self._monotonic() - self._read_s > _CACHE_S:
            self._windows = {}
            self._read_s, self._now = self._monotonic(), now
        return self._now

    def _window(self, start: datetime, end: datetime) -> dict[str, dict[str, NoiseWindow]]:
        if start >= end:
            return {}
        if start not in self._windows:
            by_site: dict[str, dict[str, NoiseWindow]] = defaultdict(dict)
            for row in self._series.noise_windows(start, end):
                by_site[row.site][row.source] = row
            self._windows[start] = by_site
        return self._windows[start]


def group_names(rows: Iterable[Key]) -> dict[str, list[str]]:
    """Group (site, name) by site, keeping the order."""
    groups: dict[str, list[str]] = defaultdict(list)
    for site, name in rows:
        groups[site].append(name)
    return groups


def _present_level(name: str, window: NoiseWindow | None, limit: Limit) -> PresentLevel:
    if window is None:
        return PresentLevel(name, None, None, None, 0.0, None, "no_data")
    state = judge_level(window.laeq_db, window.valid_s, limit)
    level = window.laeq_db if state != "no_data" else None
    margin = level - limit.value_db if level is not None else None
    return PresentLevel(name, level, window.lafmax_db, margin, window.valid_s, window.last_t, state)


def _rank(one: PresentLevel) -> tuple[int, float]:
    return _ORDER[one.state], one.laeq_db if one.laeq_db is not None else float("-inf")
