"""Leaks behind one household meter: flow that never stops, a burst, a toilet that runs again and again."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Final, NamedTuple

import msgspec

from analysis.leaks import flowstats
from analysis.leaks.alarm import Alarm, AlarmKind, EvidencePoint, OpenCondition
from analysis.leaks.flowtrace import Band, FlowTrace, Hour, band_width_lph, lowest_mean_lph, stretches
from analysis.leaks.history import PeakHistory
from analysis.leaks.rows import HourRow

BURST_LPH: Final = 150.0
"""From this flow on continuous flow is called a burst."""
_FLOOR_FACTOR: Final = 1.3
_DRAWN_FACTOR: Final = 1.8
_BAND_MARGIN: Final = 3.0
_LONGEST_USE: Final = timedelta(hours=60)
"""Flow that stops by itself within this time was use, or was turned off: the next time it takes more to alarm."""
_TAINTED: Final = timedelta(hours=80)
"""For so long after a leak the statistics still reach back into it."""
_STILL_RUNS: Final = timedelta(hours=12)
_USUAL_DAYS: Final = 14.0


class _Excess(NamedTuple):
    """A statistic above its limit: over ``hours``, ``flow_lph`` at least, where ``usual_lph`` was the most so far."""

    ratio: float
    hours: float
    flow_lph: float
    usual_lph: float


class FlowWatch(msgspec.Struct):
    """State of the leak detection of one meter with a register of steps of ``step_l``."""

    step_l: float
    trace: FlowTrace = msgspec.field(default_factory=FlowTrace)
    past: PeakHistory = msgspec.field(default_factory=lambda: PeakHistory(flowstats.COUNT))
    open: dict[str, OpenCondition] = {}
    episode: list[float] = []
    """Highest statistics since a leak began, to be judged when it is over."""
    clear_since: datetime | None = None
    band_since: datetime | None = None
    usual_lph: list[float] = msgspec.field(default_factory=lambda: [0.0] * 24)
    """Average flow by hour of the day (UTC) on days without a leak."""

    def update(self, row: HourRow, volume_l: float) -> list[Alarm]:
        """Take the gain of one interval and return the leak that it makes sure of, if any."""
        self.trace.add(row.t, row.duration_h, volume_l)
        self._close_finished(row.end)
        stats = flowstats.measure(self.trace, self.step_l)
        alarm = (
            self._recurrent(stats, row.end)
            or self._continuous(stats, row.end)
            or self._slow_drip(stats, row.end)
        )
        if alarm is not None:
            self.past.strike(alarm.since)
        if self.open:
            self.episode = list(map(max, self.episode or stats, stats))
        elif self.clear_since is None or row.end - self.clear_since > _TAINTED:
            self.past.add(row.end, stats)
            self._note_usual(row, volume_l)
        return [] if alarm is None else [alarm]

    def active(self) -> list[Alarm]:
        """Return the open leaks with flow and evidence of now."""
        return [self._current(condition) for condition in self.open.values()]

    def _continuous(self, stats: Sequence[float], now: datetime) -> Alarm | None:
        excess = self._largest_excess(stats)
        if excess is None:
            return None
        kind: AlarmKind = "burst" if excess.flow_lph >= BURST_LPH else "continuous_flow"
        if self._is_known(kind, excess.flow_lph):
            return None
        since = self.trace.began(0.7 * excess.flow_lph)
        flow = lowest_mean_lph(self.trace.since(since), self.step_l)
        params = {"hours": excess.hours, "floor_lph": excess.flow_lph, "usual_lph": excess.usual_lph}
        return self._raise(kind, now, since, excess.flow_lph, flow, params)

    def _largest_excess(self, stats: Sequence[float]) -> _Excess | None:
        found: list[_Excess] = []
        for index, (hours, least) in enumerate(flowstats.FLOORS):
            usual = self.past.highest(index)
            ratio = stats[index] / max(least, usual * _FLOOR_FACTOR + 0.1 * self.step_l)
            found.append(_Excess(ratio, float(hours), stats[index], usual))
        for hours, least in enumerate(flowstats.DRAWN_L, start=1):
            index = flowstats.DRAWN_1H + hours - 1
            usual = self.past.highest(index)
            ratio = stats[index] / max(least, usual * _DRAWN_FACTOR)
            found.append(_Excess(ratio, float(hours), stats[index] / hours, usual / hours))
        usual = self.past.highest(flowstats.TWIN)
        twin = stats[flowstats.TWIN]
        found.append(_Excess(twin / max(flowstats.TWIN_LPH, usual * _FLOOR_FACTOR), 2.0, twin, usual))
        best = max(found)
        return best if best.ratio >= 1.0 else None

    def _is_known(self, kind: str, flow_lph: float) -> bool:
        known = [self.open[name] for name in (kind, "intermittent_toilet") if name in self.open]
        return any(flow_lph < 2.0 * leak.level_lph + 5.0 for leak in known)

    def _slow_drip(self, stats: Sequence[float], now: datetime) -> Alarm | None:
        usual = self.past.highest(flowstats.MOVING)
        if self.open or stats[flowstats.MOVING] < max(flowstats.MOVING_H, usual * _FLOOR_FACTOR):
            return None
        inside = self.trace.newest(stats[flowstats.MOVING])
        if self.clear_since is not None and inside[0].t < self.clear_since:
            return None
        flow = _quiet_third_lph(inside)
        if flow > 1.2 * self.step_l:  # more than a step an hour would have moved the register every hour
            return None
        params = {"hours": stats[flowstats.MOVING], "floor_lph": flow, "usual_lph": 0.0}
        return self._raise("continuous_flow", now, inside[0].t, 0.0, flow, params)

    def _recurrent(self, stats: Sequence[float], now: datetime) -> Alarm | None:
        if "intermittent_toilet" in self.open:
            return None
        for index, (lowest, least) in enumerate(flowstats.BANDS):
            at = flowstats.FIRST_BAND + index
            if stats[at] >= max(least, self.past.highest(at) + _BAND_MARGIN):
                (band,) = self.trace.bands(flowstats.BAND_SPAN_H, (lowest,), self.step_l)
                alarm = self._raise_recurrent(band, now)
                if alarm is not None:
                    return alarm
        return None

    def _raise_recurrent(self, band: Band, now: datetime) -> Alarm | None:
        """Alarm where the hours of one level come in three stretches or more, the last not long ago."""
        width = band_width_lph(band.level_lph, self.step_l)
        hours = self.trace.newest(flowstats.BAND_SPAN_H)
        hours = [h for h in hours if self.band_since is None or h.t >= self.band_since]
        at_level = [i for i, h in enumerate(hours) if abs(h.lph - band.level_lph) <= width]
        if not at_level or now - hours[at_level[-1]].end > _STILL_RUNS:
            return None
        inside = hours[at_level[0] :]
        running = sum(h.lph >= band.level_lph - width for h in inside)
        if stretches(inside, band.level_lph, width) < 3 or running > 0.93 * len(inside):
            return None
        if any(abs(leak.level_lph - band.level_lph) <= 2 * width for leak in self.open.values()):
            return None
        share = running / len(inside)
        params = {"hours": float(len(at_level)), "level_lph": band.level_lph, "share": share}
        flow = band.level_lph * share
        return self._raise("intermittent_toilet", now, inside[0].t, band.level_lph, flow, params)

    def _raise(
        self,
        kind: AlarmKind,
        now: datetime,
        since: datetime,
        level: float,
        flow: float,
        params: dict[str, float],
    ) -> Alarm:
        alarm = Alarm(
            t=now, kind=kind, since=since, flow_lph=flow, params=params,
            evidence=self._evidence(self.trace.newest(flowstats.BAND_SPAN_H)),
        )  # fmt: skip
        self.open[kind] = OpenCondition(alarm, level)
        return alarm

    def _close_finished(self, now: datetime) -> None:
        for kind in [kind for kind, leak in self.open.items() if self._is_over(kind, leak, now)]:
            leak = self.open.pop(kind)
            self.clear_since = now
            if kind == "intermittent_toilet":
                self.band_since = now
            if self.open:
                continue
            if kind == "continuous_flow" and now - leak.alarm.since < _LONGEST_USE:
                no_bands = [0.0] * len(flowstats.BANDS)
                self.past.admit(now, self.episode[: flowstats.FIRST_BAND] + no_bands)
            self.episode = []

    def _is_over(self, kind: str, leak: OpenCondition, now: datetime) -> bool:
        level = leak.level_lph
        if kind == "burst":
            return all(h.lph < 0.5 * level for h in self.trace.newest(2.0))
        day = [h for h in self.trace.newest(24.0) if h.t >= leak.alarm.since]
        if kind == "continuous_flow":
            still = sum(h.hours for h in day if h.lph <= 0.25 * level)
            return still >= (4.0 if level else 10.0)
        width = 1.6 * band_width_lph(level, self.step_l)
        return sum(abs(h.lph - level) <= width for h in day) <= 2 and now - leak.alarm.t > timedelta(hours=24)

    def _current(self, condition: OpenCondition) -> Alarm:
        alarm, level = condition.alarm, condition.level_lph
        hours = [h for h in self.trace.newest(flowstats.BAND_SPAN_H) if h.t >= alarm.since]
        if not hours:
            return alarm
        if alarm.kind == "intermittent_toilet":
            width = band_width_lph(level, self.step_l)
            flow = level * sum(h.lph >= level - width for h in hours) / len(hours)
        elif level:
            flow = lowest_mean_lph([h for h in hours if h.lph > 0.25 * level] or hours, self.step_l)
        else:
            flow = _quiet_third_lph(hours)
        points = self._evidence(self.trace.newest(flowstats.BAND_SPAN_H))
        return msgspec.structs.replace(alarm, flow_lph=flow, evidence=points)

    def _evidence(self, hours: Sequence[Hour]) -> tuple[EvidencePoint, ...]:
        return tuple(EvidencePoint(h.t, h.lph, self.usual_lph[h.t.hour]) for h in hours)

    def _note_usual(self, row: HourRow, volume_l: float) -> None:
        hour = row.t.hour
        self.usual_lph[hour] += (volume_l / row.duration_h - self.usual_lph[hour]) / _USUAL_DAYS


def _quiet_third_lph(hours: Sequence[Hour]) -> float:
    flows = sorted(h.lph for h in hours if not h.is_gap)
    low = flows[: max(1, len(flows) // 3)]
    return sum(low) / max(1, len(low))
