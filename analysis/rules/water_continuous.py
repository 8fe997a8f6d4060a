"""``water_continuous``: a household meter that never rests, the sign of a leak that does not stop.

The rule works on register readings, not on hours: hours interpolate between readings, and would hide the one hour at
rest. It proves rest, or the lack of it, only as finely as the meter's step allows, and tells how finely.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import pairwise
from typing import Annotated, ClassVar, Literal, cast

from msgspec import Meta

from analysis.alerts.machine import Observation
from analysis.rules.kinds import RuleParams, RuleView, Share, Sighting, World
from store.series.interface import WaterPoint

MeterRole = Literal["household", "master", "public"]


class WaterContinuousParams(RuleParams, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Breach: within ``window_s`` up to the newest reading the register never stood still for ``rest_s``.

    A stretch between two readings longer than ``max_gap_s`` in which water was used is unknown; at least
    ``min_valid_share`` of the window must be known. ``silent_s`` without a reading is no data.
    """

    window_s: Annotated[int, Meta(ge=3600, le=14 * 86_400)] = 86_400
    rest_s: Annotated[int, Meta(ge=600, le=86_400)] = 3600
    max_gap_s: Annotated[int, Meta(ge=60, le=86_400)] = 7200
    min_valid_share: Share = 0.9
    silent_s: Annotated[int, Meta(ge=600, le=7 * 86_400)] = 6 * 3600
    recover_s: Annotated[int, Meta(ge=0, le=31 * 86_400)] = 0
    roles: tuple[MeterRole, ...] = ("household",)


@dataclass(frozen=True, slots=True)
class _Known:
    """The judgement on a meter's newest reading."""

    newest: datetime
    version: tuple[int, int]
    seen: Observation


class WaterContinuousRule:
    """Looks at the meters of the rule's roles; reads a meter's history only when it has a new reading."""

    key: ClassVar[str] = "water_continuous"
    params: ClassVar[type[RuleParams]] = WaterContinuousParams

    def __init__(self) -> None:
        self._known: dict[tuple[int, str], _Known] = {}

    def observe(self, rules: Sequence[RuleView], world: World) -> Iterator[Sighting]:
        """Yield a sighting per rule and meter."""
        if not rules:
            return
        sites = {rule.site for rule in rules}
        latest = world.series.water_latest(site=next(iter(sites)) if len(sites) == 1 else None)
        newest = {(site, meter): point for site, meter, point in latest}
        for rule in rules:
            params = cast(WaterContinuousParams, rule.params)
            for meter in world.meters.get(rule.site, ()):
                if meter.role in params.roles:
                    last = newest.get((rule.site, meter.name))
                    yield Sighting(rule, meter.name, self._look(rule, params, meter.name, last, world))

    def _look(
        self, rule: RuleView, params: WaterContinuousParams, meter: str, last: WaterPoint | None, world: World
    ) -> Observation:
        if last is None or world.now - last.t > timedelta(seconds=params.silent_s):
            return Observation("no_data")
        key, version = (rule.id, meter), (rule.id, rule.version)
        known = self._known.get(key)
        if known is None or known.newest != last.t or known.version != version:
            start = last.t - timedelta(seconds=params.window_s + params.max_gap_s)
            points = world.series.water_readings(rule.site, meter, start, last.t + timedelta(seconds=1))
            known = self._known[key] = _Known(last.t, version, judge(points, params))
        return known.seen

    def sources(self, rule: RuleView, world: World) -> list[str]:
        """Return the site's meters of the rule's roles."""
        params = cast(WaterContinuousParams, rule.params)
        return [meter.name for meter in world.meters.get(rule.site, ()) if meter.role in params.roles]

    def replay(
        self, rule: RuleView, source: str, world: World, start: datetime, end: datetime
    ) -> Iterator[tuple[datetime, Observation]]:
        """Yield an observation at every reading, and one of no data where a meter was silent too long."""
        params = cast(WaterContinuousParams, rule.params)
        window = timedelta(seconds=params.window_s + params.max_gap_s)
        silent = timedelta(seconds=params.silent_s)
        points = world.series.water_readings(rule.site, source, start - window, end)
        first = 0
        for last, point in enumerate(points):
            while points[first].t < point.t - window:
                first += 1
            if point.t < start:
                continue
            if last > 0 and point.t - points[last - 1].t > silent:
                yield points[last - 1].t + silent, Observation("no_data")
            yield point.t, judge(points[first : last + 1], params)


def judge(points: Sequence[WaterPoint], params: WaterContinuousParams) -> Observation:
    """Judge the window that ends with the newest of ``points`` (ascending in time). The value is L/h."""
    if len(points) < 2:
        return Observation("no_data")
    start = points[-1].t - timedelta(seconds=params.window_s)
    inside = _inside(points, start)
    if _rested(inside, params):
        return Observation("clear", 0.0, 0.0)
    if _known_s(inside, params) < params.min_valid_share * params.window_s:
        return Observation("no_data")
    lowest_lph = _lowest_flow_lph(inside, params.rest_s)
    return Observation("breach", lowest_lph, 0.0, _detail(inside, params))


def _inside(points: Sequence[WaterPoint], start: datetime) -> list[WaterPoint]:
    """Return the readings from the last one at or before ``start`` on: it bounds the first stretch."""
    first = max((i for i, point in enumerate(points) if point.t <= start), default=0)
    return list(points[first:])


def _rested(points: Sequence[WaterPoint], params: WaterContinuousParams) -> bool:
    # Readers miss the full hour by a moment; 2 % of the rest keeps hourly readings useful.
    enough_s = params.rest_s * 0.98
    since = points[0]
    for point in points[1:]:
        if point.volume_ml != since.volume_ml:
            since = point
        elif (point.t - since.t).total_seconds() >= enough_s:
            return True
    return False


def _known_s(points: Sequence[WaterPoint], params: WaterContinuousParams) -> float:
    end = points[-1].t
    start = end - timedelta(seconds=params.window_s)
    return sum(
        (b.t - max(a.t, start)).total_seconds()
        for a, b in pairwise(points)
        if (b.t - a.t).total_seconds() <= params.max_gap_s and b.volume_ml >= a.volume_ml
    )


def _lowest_flow_lph(points: Sequence[WaterPoint], span_s: int) -> float:
    """Return the lowest mean flow over any stretch of readings at least (nearly) ``span_s`` long."""
    lowest: float | None = None
    first = 0
    for last in range(1, len(points)):
        while first + 1 < last and (points[last].t - points[first + 1].t).total_seconds() >= span_s * 0.98:
            first += 1
        seconds = (points[last].t - points[first].t).total_seconds()
        gain_l = (points[last].volume_ml - points[first].volume_ml) / 1000.0
        if seconds >= span_s * 0.98 and gain_l >= 0.0:
            flow = gain_l * 3600.0 / seconds
            lowest = flow if lowest is None else min(lowest, flow)
    return lowest or 0.0


def _detail(points: Sequence[WaterPoint], params: WaterContinuousParams) -> dict[str, object]:
    step_ml = points[-1].step_ml
    return {
        "window_s": params.window_s,
        "rest_s": params.rest_s,
        "step_ml": step_ml,
        "smallest_detectable_lph": round(step_ml / 1000.0 * 3600.0 / params.rest_s, 3),
        "used_l": round((points[-1].volume_ml - points[0].volume_ml) / 1000.0, 1),
    }
