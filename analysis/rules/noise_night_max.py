"""``noise_night_max``: a sudden noise at night above the night's limit + 15 dB (GB 3096-2008, 5.4)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from typing import Annotated, ClassVar, cast

from msgspec import Meta

from analysis.alerts.machine import Observation
from analysis.limits import night_max_limit, site_clock
from analysis.rules.kinds import Decibels, RuleParams, RuleView, Sighting, World
from analysis.rules.minutes import REPLAY_STEP, every_minute
from analysis.standards import LimitRow
from store.series.interface import NoiseWindow


class NoiseNightMaxParams(RuleParams, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The alert begins with one LAFmax above the limit + ``margin_db`` within the last ``window_s`` of the night.

    It ends after ``recover_s`` without another, or with the night.
    """

    window_s: Annotated[int, Meta(ge=5, le=600)] = 60
    margin_db: Decibels = 0.0
    recover_s: Annotated[int, Meta(ge=0, le=31 * 86_400)] = 600
    escalate: bool = False


class NoiseNightMaxRule:
    """Looks at every enabled noise device of the rule's site, at night."""

    key: ClassVar[str] = "noise_night_max"
    params: ClassVar[type[RuleParams]] = NoiseNightMaxParams

    def observe(self, rules: Sequence[RuleView], world: World) -> Iterator[Sighting]:
        """Yield a sighting per rule and device, with one query for all rules that share a window."""
        cache: dict[int, dict[tuple[str, str], NoiseWindow]] = {}
        for rule in rules:
            params = cast(NoiseNightMaxParams, rule.params)
            site = world.sites[rule.site]
            night = site_clock(site).period(world.end - timedelta(seconds=1)) == "night"
            if not night:
                for device in world.noise_devices(rule.site):
                    yield Sighting(rule, device.name, Observation("clear"))
                continue
            if params.window_s not in cache:
                start = world.end - timedelta(seconds=params.window_s)
                found = world.series.noise_windows(start, world.end)
                cache[params.window_s] = {(one.site, one.source): one for one in found}
            start = _start(world.end, params)
            for device in world.noise_devices(rule.site):
                window = cache[params.window_s].get((rule.site, device.name))
                left_out = world.counts_from(rule.site, device.name, start, world.end) > start
                seen = Observation("between") if left_out else judge(window, night_max_limit(site), params)
                yield Sighting(rule, device.name, seen)

    def sources(self, rule: RuleView, world: World) -> list[str]:
        """Return the site's noise devices."""
        return [device.name for device in world.noise_devices(rule.site)]

    def replay(
        self, rule: RuleView, source: str, world: World, start: datetime, end: datetime
    ) -> Iterator[tuple[datetime, Observation]]:
        """Yield an observation a minute: the highest level of that minute."""
        params = cast(NoiseNightMaxParams, rule.params)
        site = world.sites[rule.site]
        clock, limit = site_clock(site), night_max_limit(site)
        left_out = world.left_out.get(rule.site, ())
        for point, counts in every_minute(world.series, rule.site, source, start, end, left_out):
            at = point.t + REPLAY_STEP
            if not counts:
                yield at, Observation("between")
            elif clock.period(point.t) == "night":
                window = NoiseWindow(
                    rule.site, source, point.laeq_db, point.lafmax_db, 60.0, point.valid_share, None
                )
                yield at, judge(window, limit, params)
            else:
                yield at, Observation("clear")


def judge(window: NoiseWindow | None, limit: LimitRow, params: NoiseNightMaxParams) -> Observation:
    """Judge one window of the night. One loud second is enough; none at all needs data to be told."""
    if window is None or window.lafmax_db is None:
        return Observation("no_data")
    verdict = "breach" if window.lafmax_db > limit.value + params.margin_db else "clear"
    detail = {
        "standard": limit.standard,
        "clause": limit.clause,
        "verified": limit.verified,
        "period": "night",
    }
    return Observation(verdict, window.lafmax_db, limit.value, detail)


def _start(end: datetime, params: NoiseNightMaxParams) -> datetime:
    return end - timedelta(seconds=params.window_s)
