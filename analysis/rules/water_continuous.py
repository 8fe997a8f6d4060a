"""``water_continuous``: a household meter that never rests, the sign of a leak that does not stop.

The rule works on register readings, not on hours: hours interpolate between readings, and would hide the one hour at
rest. It proves rest, or the lack of it, only as finely as the meter's step allows, and tells how finely.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Annotated, ClassVar, Final, Literal, cast

from msgspec import Meta

from analysis.alerts.machine import Observation
from analysis.rules.kinds import RuleParams, RuleView, Share, Sighting, World
from analysis.rules.trace import Trace
from store.series.interface import SeriesStore, WaterPoint

_READ_AGAIN: Final = timedelta(hours=6)
"""How long a meter's remembered readings are gone on with before its history is read again."""
_INCOMPLETE_AGAIN: Final = timedelta(minutes=1)
"""After that a history that was too thin to judge is read again: a backlog arrives newest first."""
_READING_S: Final = 2.0
"""Real seconds that a round may spend on reading histories: after a start a city's meters take several rounds."""
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


@dataclass(slots=True)
class _Known:
    """What is remembered of a meter: its readings of the window, and the judgement on the newest."""

    trace: Trace
    version: int
    read_at: datetime
    seen: Observation


class WaterContinuousRule:
    """Looks at the meters of the rule's roles; reads a meter's history only when it has a new reading."""

    key: ClassVar[str] = "water_continuous"
    params: ClassVar[type[RuleParams]] = WaterContinuousParams

    def __init__(self, *, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._known: dict[tuple[int, str], _Known] = {}
        self._monotonic = monotonic
        self._read_until = 0.0

    def observe(self, rules: Sequence[RuleView], world: World) -> Iterator[Sighting]:
        """Yield a sighting per rule and meter."""
        if not rules:
            return
        self._read_until = self._monotonic() + _READING_S
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
        known = self._known.get((rule.id, meter))
        if known is None or known.version != rule.version or not self._grown(known, last, params, world.now):
            if self._monotonic() > self._read_until:
                return Observation("between")  # its turn comes in one of the next rounds
            trace = Trace.of(_history(world.series, rule.site, meter, last.t, params))
            seen = _going_on(known.seen if known else None, judge(trace, params))
            known = self._known[rule.id, meter] = _Known(trace, rule.version, world.now, seen)
        return known.seen

    def _grown(self, known: _Known, last: WaterPoint, params: WaterContinuousParams, now: datetime) -> bool:
        """Bring what is remembered up to the newest reading; ``False`` where the history must be read again.

        A register is a running total: a reading that was missed between two close ones takes nothing away but half an
        hour's sharpness. Readings that came late are found when the history is read again.
        """
        newest_s = known.trace.t_s[-1] if known.trace.t_s else None
        if newest_s == last.t.timestamp():
            return known.seen.verdict != "no_data" or now - known.read_at < _INCOMPLETE_AGAIN
        close = newest_s is not None and 0.0 < last.t.timestamp() - newest_s <= params.rest_s / 2
        if not close or not timedelta(0) <= now - known.read_at < _READ_AGAIN:
            return False
        known.trace.append(last)
        known.trace.drop_before(last.t.timestamp() - params.window_s - params.max_gap_s)
        known.seen = _going_on(known.seen, judge(known.trace, params))
        return True

    def sources(self, rule: RuleView, world: World) -> list[str]:
        """Return the site's meters of the rule's roles."""
        params = cast(WaterContinuousParams, rule.params)
        return [meter.name for meter in world.meters.get(rule.site, ()) if meter.role in params.roles]

    def replay(
        self, rule: RuleView, source: str, world: World, start: datetime, end: datetime
    ) -> Iterator[tuple[datetime, Observation]]:
        """Yield an observation at every reading, and one of no data where a meter was silent too long."""
        params = cast(WaterContinuousParams, rule.params)
        window_s = params.window_s + params.max_gap_s
        silent = timedelta(seconds=params.silent_s)
        points = world.series.water_readings(rule.site, source, start - timedelta(seconds=window_s), end)
        trace = Trace(step_ml=1)
        before: datetime | None = None
        for point in points:
            trace.append(point)
            trace.drop_before(point.t.timestamp() - window_s)
            if point.t >= start:
                if before is not None and point.t - before > silent:
                    yield before + silent, Observation("no_data")
                yield point.t, judge(trace, params)
            before = point.t


def judge(trace: Trace, params: WaterContinuousParams) -> Observation:
    """Judge the window that ends with the newest reading of ``trace``. The value is L/h."""
    if len(trace) < 2:
        return Observation("no_data")
    first = trace.last_at_or_before(trace.t_s[-1] - params.window_s)
    if _rested(trace, first, params):
        return Observation("clear", 0.0, 0.0)
    if _known_s(trace, first, params) < params.min_valid_share * params.window_s:
        return Observation("no_data")
    return Observation(
        "breach", _lowest_flow_lph(trace, first, params.rest_s), 0.0, _detail(trace, first, params)
    )


def _going_on(before: Observation | None, now: Observation) -> Observation:
    """Keep since when the water has not rested, while it goes on: the window moves, the beginning does not."""
    if before is None or before.verdict != "breach" or now.verdict != "breach":
        return now
    return replace(now, detail={**now.detail, "since": before.detail["since"]})


def _history(
    series: SeriesStore, site: str, meter: str, newest: datetime, params: WaterContinuousParams
) -> list[WaterPoint]:
    start = newest - timedelta(seconds=params.window_s + params.max_gap_s)
    return series.water_readings(site, meter, start, newest + timedelta(seconds=1))


def _rested(trace: Trace, first: int, params: WaterContinuousParams) -> bool:
    # Readers miss the full hour by a moment; 2 % of the rest keeps hourly readings useful.
    enough_s = params.rest_s * 0.98
    since = first
    for at in range(first + 1, len(trace)):
        if trace.volume_ml[at] != trace.volume_ml[since]:
            since = at
        elif trace.t_s[at] - trace.t_s[since] >= enough_s:
            return True
    return False


def _known_s(trace: Trace, first: int, params: WaterContinuousParams) -> float:
    start_s = trace.t_s[-1] - params.window_s
    return sum(
        trace.t_s[at] - max(trace.t_s[at - 1], start_s)
        for at in range(first + 1, len(trace))
        if trace.t_s[at] - trace.t_s[at - 1] <= params.max_gap_s
        and trace.volume_ml[at] >= trace.volume_ml[at - 1]
    )


def _lowest_flow_lph(trace: Trace, first: int, span_s: int) -> float:
    """Return the lowest mean flow over any stretch of readings at least (nearly) ``span_s`` long."""
    lowest: float | None = None
    t_s, volume_ml = trace.t_s, trace.volume_ml
    for last in range(first + 1, len(trace)):
        while first + 1 < last and t_s[last] - t_s[first + 1] >= span_s * 0.98:
            first += 1
        seconds = t_s[last] - t_s[first]
        gain_l = (volume_ml[last] - volume_ml[first]) / 1000.0
        if seconds >= span_s * 0.98 and gain_l >= 0.0:
            flow = gain_l * 3600.0 / seconds
            lowest = flow if lowest is None else min(lowest, flow)
    return lowest or 0.0


def _detail(trace: Trace, first: int, params: WaterContinuousParams) -> dict[str, object]:
    return {
        "window_s": params.window_s,
        "since": datetime.fromtimestamp(trace.t_s[first], UTC).isoformat(),
        "rest_s": params.rest_s,
        "step_ml": trace.step_ml,
        "smallest_detectable_lph": round(trace.step_ml / 1000.0 * 3600.0 / params.rest_s, 3),
        "used_l": round((trace.volume_ml[-1] - trace.volume_ml[first]) / 1000.0, 1),
    }
