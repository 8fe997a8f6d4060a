"""``noise_window``: a rolling LAeq above the site's limit for the time of day.

A short window over its limit is an alert, never a finding of non-compliance: GB 3096 judges whole days and nights.
"""

from __future__ import annotations

from collections import defaultdict, deque
from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from typing import Annotated, ClassVar, cast

from msgspec import Meta

from analysis.alerts.machine import Observation
from analysis.energy import energy_mean
from analysis.limits import Limit, present_limit
from analysis.rules.kinds import Decibels, RuleParams, RuleView, Share, Sighting, World
from analysis.rules.minutes import REPLAY_STEP, REPLAY_STEP_S, every_minute
from store.series.interface import LevelPoint, NoiseWindow


class NoiseWindowParams(RuleParams, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The alert begins above limit + ``margin_db`` and ends at or below limit + ``margin_db`` − ``hysteresis_db``.

    ``min_valid_share`` is the share of the window that must be valid; less is no data.
    """

    window_s: Annotated[int, Meta(ge=10, le=3600)] = 600
    margin_db: Decibels = 0.0
    hysteresis_db: Decibels = 1.0
    min_valid_share: Share = 0.5


class NoiseWindowRule:
    """Looks at every enabled noise device of the rule's site."""

    key: ClassVar[str] = "noise_window"
    params: ClassVar[type[RuleParams]] = NoiseWindowParams

    def observe(self, rules: Sequence[RuleView], world: World) -> Iterator[Sighting]:
        """Yield a sighting per rule and device, with one query for all devices that share a window."""
        by_start: dict[datetime, list[tuple[RuleView, Limit, str]]] = defaultdict(list)
        for rule in rules:
            limit = present_limit(world.sites[rule.site], world.end - timedelta(seconds=1))
            start = max(
                world.end - timedelta(seconds=cast(NoiseWindowParams, rule.params).window_s), limit.since
            )
            for device in world.noise_devices(rule.site):
                since = world.counts_from(rule.site, device.name, start, world.end)
                by_start[since].append((rule, limit, device.name))
        for start, members in by_start.items():
            windows = _windows(world, start, {rule.site for rule, _, _ in members})
            for rule, limit, device in members:
                params = cast(NoiseWindowParams, rule.params)
                window = windows.get((rule.site, device))
                yield Sighting(rule, device, judge(window, world.end - start, limit, params))

    def sources(self, rule: RuleView, world: World) -> list[str]:
        """Return the site's noise devices."""
        return [device.name for device in world.noise_devices(rule.site)]

    def replay(
        self, rule: RuleView, source: str, world: World, start: datetime, end: datetime
    ) -> Iterator[tuple[datetime, Observation]]:
        """Yield an observation a minute: the window that ends with it, put together from minutes."""
        params = cast(NoiseWindowParams, rule.params)
        site = world.sites[rule.site]
        steps = max(1, round(params.window_s / REPLAY_STEP_S))
        recent: deque[LevelPoint] = deque()
        limit: Limit | None = None
        left_out = world.left_out.get(rule.site, ())
        for point, counts in every_minute(world.series, rule.site, source, start, end, left_out):
            at = point.t + REPLAY_STEP
            if limit is None or not limit.since <= point.t < limit.until:
                limit = present_limit(site, point.t)
                recent.clear()
            if counts:
                recent.append(point)
            else:
                recent.clear()
            while len(recent) > steps:
                recent.popleft()
            usable = min(len(recent) * REPLAY_STEP, timedelta(seconds=params.window_s))
            yield at, judge(_window(rule.site, source, recent, params), usable, limit, params)


def _windows(world: World, start: datetime, sites: set[str]) -> dict[tuple[str, str], NoiseWindow]:
    if start >= world.end:
        return {}
    only = next(iter(sites)) if len(sites) == 1 else None
    return {(w.site, w.source): w for w in world.series.noise_windows(start, world.end, site=only)}


def _window(site: str, source: str, points: Sequence[LevelPoint], params: NoiseWindowParams) -> NoiseWindow:
    with_level = [point for point in points if point.laeq_db is not None]
    valid_s = sum(point.valid_share for point in with_level) * REPLAY_STEP_S
    mean = energy_mean(
        (point.laeq_db for point in with_level if point.laeq_db is not None),
        [point.valid_share for point in with_level],
    )
    peak = max((point.lafmax_db for point in with_level if point.lafmax_db is not None), default=None)
    return NoiseWindow(site, source, mean, peak, valid_s, valid_s / params.window_s, None)


def judge(
    window: NoiseWindow | None, usable: timedelta, limit: Limit, params: NoiseWindowParams
) -> Observation:
    """Judge one window, of which ``usable`` can count: a day or night may have only just begun, or it rained."""
    needed_s = params.window_s * params.min_valid_share
    valid_s = window.valid_s if window else 0.0
    if usable.total_seconds() < needed_s:
        return Observation("between")  # that says nothing, for better or worse
    if window is None or window.laeq_db is None or valid_s < needed_s:
        return Observation("no_data")
    excess_db = window.laeq_db - limit.value_db - params.margin_db
    verdict = "breach" if excess_db > 0.0 else "clear" if excess_db <= -params.hysteresis_db else "between"
    return Observation(verdict, window.laeq_db, limit.value_db, _detail(window, limit, params))


def _detail(window: NoiseWindow, limit: Limit, params: NoiseWindowParams) -> dict[str, object]:
    return {
        "window_s": params.window_s,
        "period": limit.period,
        "standard": limit.standard,
        "clause": limit.clause,
        "verified": limit.verified,
        **({"quiet_zh": limit.quiet_zh, "quiet_en": limit.quiet_en} if limit.quiet_en else {}),
        "valid_share": round(window.valid_share, 3),
        "lafmax_db": window.lafmax_db,
    }
