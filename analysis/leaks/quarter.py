"""Leaks in a quarter: the master meter against the sum of its sub-meters, hour by hour."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Final
from zoneinfo import ZoneInfo

import msgspec
import numpy as np

from analysis.leaks.alarm import Alarm, EvidencePoint, OpenCondition
from analysis.leaks.balance import KEEP_H, Balance, Hours
from analysis.leaks.lossfilter import Loss, LossFilter
from analysis.leaks.rows import QuarterRow
from analysis.leaks.stream import StreamDetector, StreamState
from analysis.leaks.submeters import Ended, SubMeter

_EVERY_H: Final = 6
"""The balance is drawn up four times a day."""
_BASELINE_DRAWS: Final = 4 * 21
_BASELINE_LAG: Final = 4 * 4
"""The newest days do not count as usual yet: a leak that grows slowly must not hide in them."""
_LEAST_USUAL: Final = 4 * 4
_SURE_DRAWS: Final = 2
_CALM_DRAWS: Final = 4
_SHOWN_DRAWS: Final = 4 * 10
_LEAST_SPREAD: Final = 0.5
_PLAIN: Final = 0.85
_ENOUGH_H: Final = 24
_NOISE_DRAWS: Final = 4 * 10


class QuarterConfig(msgspec.Struct, frozen=True, kw_only=True):
    """What is known about a quarter.

    ``zone`` is the quarter's time zone; without it, hours of the day are those of the rows' own times.
    ``master_step_l`` is the master meter's finest step. ``least_loss_lph`` is the smallest increase that is alarmed;
    without it, 2.5 L/h for 30 sub-meters and in proportion for more. ``certainty`` is how many standard deviations the
    increase must be away from nothing.
    """

    zone: str | None = None
    master_step_l: float = 10.0
    least_loss_lph: float | None = None
    certainty: float = 2.75


class _Draw(msgspec.Struct, array_like=True):
    t: datetime
    mean_lph: float
    sd_lph: float


class _State(StreamState):
    subs: dict[str, SubMeter] = {}
    balance: Balance = msgspec.field(default_factory=Balance)
    loss: LossFilter | None = None
    since_draw: int = 0
    usual: list[_Draw] = []
    """Draws of ordinary times, oldest first."""
    recent: list[_Draw] = []
    open: OpenCondition | None = None
    noises_lph: list[float] = []
    since_clear: int = 0
    """Draws since the start or since the last alarm was over."""
    sure: int = 0
    calm: int = 0


class QuarterDetector(StreamDetector[QuarterConfig, _State, QuarterRow]):
    """Detects loss between a master meter and its sub-meters. See :class:`analysis.leaks.alarm.Detector`."""

    _decoder = msgspec.json.Decoder(_State)

    def __init__(self, config: QuarterConfig | None = None) -> None:
        super().__init__(config or QuarterConfig(), _State())
        self._zone = ZoneInfo(self._config.zone) if self._config.zone else None

    def _take(self, row: QuarterRow) -> list[Alarm]:
        return self._book_gap(row) + self._book(row)

    def active(self) -> list[Alarm]:
        """Return the loss that holds now, flow and evidence brought up to date."""
        leak = self._state.open
        if leak is None:
            return []
        draw = self._state.recent[-1]
        flow = draw.mean_lph - leak.level_lph
        return [msgspec.structs.replace(leak.alarm, flow_lph=flow, evidence=self._evidence(leak.level_lph))]

    def silent_subs(self) -> dict[str, int]:
        """Return the sub-meters that are known or more likely than not silent now, with for how many hours."""
        silent = {name: sub.silent_h for name, sub in self._state.subs.items()}
        return {name: hours for name, hours in silent.items() if hours}

    def _book_gap(self, row: QuarterRow) -> list[Alarm]:
        """Book the hours that no row came for, and all but the last hour of a row that covers several, as unknown."""
        start = self._state.last_end or row.t
        missing = round((row.end - start).total_seconds() / 3600.0) - 1
        alarms: list[Alarm] = []
        for back in range(min(missing, KEEP_H), 0, -1):
            alarms += self._book_hour(row.end - timedelta(hours=back), float("nan"), 0.0)
        return alarms

    def _book(self, row: QuarterRow) -> list[Alarm]:
        state, hour = self._state, self._hour(row.end - timedelta(hours=1))
        hours = max(1.0, float(round(row.duration_h)))
        use = 0.0
        endings: list[Ended] = []
        for name, volume in row.subs_l.items():
            sub = state.subs.setdefault(name, SubMeter())
            backlog = row.backlog_l.get(name)
            use += (volume or 0.0) if backlog is None else backlog
            ended = sub.take(hour, volume, backlog) if hours < 2.0 else None
            if ended is not None:
                endings.append(ended)
        residual = float("nan") if row.master_l is None else (row.master_l - use) / hours
        return self._book_hour(row.end, residual, use / hours, endings)

    def _book_hour(
        self, end: datetime, residual_l: float, use_l: float, endings: Sequence[Ended] = ()
    ) -> list[Alarm]:
        state = self._state
        state.balance.add(self._hour(end - timedelta(hours=1)), residual_l, use_l)
        for ended in endings:
            state.balance.put_right(ended)
        state.since_draw += 1
        if state.since_draw < _EVERY_H or len(state.balance.residual) < KEEP_H:
            return []
        state.since_draw = 0
        return self._judge(end)

    def _hour(self, t: datetime) -> int:
        return (t.astimezone(self._zone) if self._zone else t).hour

    def _judge(self, now: datetime) -> list[Alarm]:
        state = self._state
        silences = [silence for sub in state.subs.values() if (silence := sub.silence()) is not None]
        return self._judge_hours(now, state.balance.hours(silences))

    def _judge_hours(self, now: datetime, hours: Hours) -> list[Alarm]:
        state = self._state
        unit = self._unit_lph()
        if state.loss is None:
            state.loss = LossFilter(unit)
        self._note_noise(hours)
        loss = state.loss.advance(hours, _EVERY_H, self._noise_lph())
        state.recent = [*state.recent[-_SHOWN_DRAWS:], _Draw(now, loss.mean_lph, loss.sd_lph)]
        if state.open is not None:
            return self._see_whether_over(state.open, loss)
        alarm = self._compare(now, loss, unit)
        if alarm is None:
            self._admit()
            return []
        state.open = OpenCondition(alarm, self._usual()[0])
        state.sure = state.calm = 0
        return [alarm]

    def _compare(self, now: datetime, loss: Loss, unit: float) -> Alarm | None:
        state = self._state
        if len(state.usual) < _LEAST_USUAL:
            return None
        usual, spread = self._usual()
        excess = loss.mean_lph - usual
        certainty = excess / float(np.hypot(loss.sd_lph, max(spread, _LEAST_SPREAD * unit)))
        is_sure = excess >= self._least_loss_lph() and certainty >= self._config.certainty
        state.sure = state.sure + 1 if is_sure else 0
        if state.sure < _SURE_DRAWS:
            return None
        inflow = float(np.mean(state.balance.use)) + usual
        params = {
            "loss_lph": loss.mean_lph, "usual_lph": usual, "sd_lph": loss.sd_lph,
            "share": loss.mean_lph / max(inflow, 1.0), "silent": float(len(self.silent_subs())),
            "subs": float(len(state.subs)),
        }  # fmt: skip
        return Alarm(
            t=now, kind="quarter_loss", since=self._began(usual, excess), flow_lph=excess, params=params,
            evidence=self._evidence(usual),
        )  # fmt: skip

    def _see_whether_over(self, leak: OpenCondition, loss: Loss) -> list[Alarm]:
        state = self._state
        excess = loss.mean_lph - leak.level_lph
        is_calm = excess < max(0.4 * leak.alarm.flow_lph, 0.5 * self._least_loss_lph())
        state.calm = state.calm + 1 if is_calm else 0
        if state.calm >= _CALM_DRAWS:
            state.open, state.calm, state.since_clear = None, 0, 0
        return []

    def _admit(self) -> None:
        """Let the draw of some days ago count as usual."""
        state = self._state
        state.since_clear += 1
        if state.since_clear > _BASELINE_LAG:
            state.usual = [*state.usual[-_BASELINE_DRAWS:], state.recent[-_BASELINE_LAG - 1]]

    def _usual(self) -> tuple[float, float]:
        means = np.array([draw.mean_lph for draw in self._state.usual])
        middle = float(np.median(means))
        return middle, 1.4826 * float(np.median(np.abs(means - middle)))

    def _began(self, usual: float, excess: float) -> datetime:
        since = self._state.recent[-1].t
        for draw in reversed(self._state.recent):
            if draw.mean_lph - usual < 0.35 * excess:
                break
            since = draw.t
        return since - timedelta(hours=_EVERY_H)

    def _evidence(self, usual: float) -> tuple[EvidencePoint, ...]:
        return tuple(EvidencePoint(draw.t, draw.mean_lph, usual) for draw in self._state.recent)

    def _note_noise(self, hours: Hours) -> None:
        """Learn how much the residual scatters: never less than the master's step makes it."""
        state = self._state
        plain = hours.residual_lph[
            (hours.clean > _PLAIN) & (hours.variance < 1.0) & np.isfinite(hours.residual_lph)
        ]
        if len(plain) >= _ENOUGH_H:
            low, middle = np.quantile(plain, [0.25, 0.5])
            state.noises_lph = [*state.noises_lph[-_NOISE_DRAWS + 1 :], float(middle - low) / 0.6745]

    def _noise_lph(self) -> float:
        least = float(np.sqrt(self._config.master_step_l**2 / 6.0 + 1.0))
        return max(least, float(np.median(self._state.noises_lph))) if self._state.noises_lph else least

    def _unit_lph(self) -> float:
        return max(1.0, len(self._state.subs) / 30.0)

    def _least_loss_lph(self) -> float:
        least = self._config.least_loss_lph
        return 2.5 * self._unit_lph() if least is None else least
