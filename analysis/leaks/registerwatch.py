"""Is the register itself to be believed: does it go back, jump, stand still, or stay silent?"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Final

import msgspec

from analysis.leaks.alarm import Alarm, AlarmKind, EvidencePoint, OpenCondition
from analysis.leaks.history import PeakHistory
from analysis.leaks.rows import HourRow

SILENT_H: Final = 24.0
STUCK_H: Final = 168.0
"""Shorter than this nobody wonders about a register that stands still."""
_STUCK_FACTOR: Final = 2.0
_USED_SHARE: Final = 0.6
_HABIT_DAYS: Final = 28
_FALL_L: Final = 50.0
"""A larger step back in one reading is a false reading or an exchanged meter, not water that flows back."""
_DAY: Final = timedelta(days=1)


class _Fall(msgspec.Struct, array_like=True):
    t: datetime
    volume_l: float
    hours: float


class RegisterWatch(msgspec.Struct):
    """State of the checks of one register."""

    step_l: float
    max_flow_lph: float
    open: dict[str, OpenCondition] = {}
    silent_since: datetime | None = None
    still_since: datetime | None = None
    still_h: float = 0.0
    still_past: PeakHistory = msgspec.field(default_factory=lambda: PeakHistory(1))
    used_days: list[bool] = []
    day: datetime | None = None
    used_today: bool = False
    falls: list[_Fall] = []
    fallen_l: float = 0.0

    def update(self, row: HourRow, last_end: datetime | None) -> tuple[float | None, list[Alarm]]:
        """Return the volume that really flowed in the interval (``None`` where unknown) and the faults that begin."""
        silent_from = row.t if last_end is None else last_end
        if row.volume_l is None:
            self.silent_since = self.silent_since or silent_from
            return None, self._silent(self.silent_since, row.end)
        alarms = self._silent(
            self.silent_since or silent_from, row.t if row.duration_h < SILENT_H else row.end
        )
        self.silent_since = None
        self.open.pop("silent", None)
        volume, jumps = self._believable(row)
        if volume is None:
            return None, alarms + jumps
        alarms += jumps + self._backflow(row, volume) + self._stuck(row, volume)
        return max(0.0, volume), alarms

    def _silent(self, since: datetime, now: datetime) -> list[Alarm]:
        hours = (now - since).total_seconds() / 3600.0
        if hours < SILENT_H or "silent" in self.open:
            return []
        return self._raise("silent", now, since, 0.0, {"hours": hours}, ())

    def _believable(self, row: HourRow) -> tuple[float | None, list[Alarm]]:
        """Take a false reading and its correction as the pair that they are."""
        assert row.volume_l is not None
        volume = row.volume_l
        if volume <= -max(_FALL_L, 20.0 * self.step_l):
            self.fallen_l -= volume
            return None, self._jump(row)
        if self.fallen_l and volume >= 0.95 * self.fallen_l:
            volume, self.fallen_l = volume - self.fallen_l, 0.0
        if volume > self.max_flow_lph * row.duration_h:
            self.fallen_l = 0.0
            return None, self._jump(row)
        return volume, []

    def _jump(self, row: HourRow) -> list[Alarm]:
        assert row.volume_l is not None
        alarms = self._raise(
            "jump", row.end, row.t, 0.0, {"volume_l": row.volume_l, "hours": row.duration_h},
            (EvidencePoint(row.t, row.volume_l / row.duration_h, 0.0),),
        )  # fmt: skip
        del self.open["jump"]
        return alarms

    def _backflow(self, row: HourRow, volume_l: float) -> list[Alarm]:
        self.falls = [fall for fall in self.falls if row.t - fall.t < _DAY]
        if volume_l < 0:
            self.falls.append(_Fall(row.t, volume_l, row.duration_h))
        elif not self.falls:
            self.open.pop("backflow", None)
        total = -sum(fall.volume_l for fall in self.falls)
        if "backflow" in self.open or len(self.falls) < 3 or total < 3.0 * max(1.0, self.step_l):
            return []
        flow = -total / sum(fall.hours for fall in self.falls)
        points = tuple(EvidencePoint(fall.t, fall.volume_l / fall.hours, 0.0) for fall in self.falls)
        params = {"volume_l": total, "times": float(len(self.falls))}
        return self._raise("backflow", row.end, self.falls[0].t, flow, params, points)

    def _stuck(self, row: HourRow, volume_l: float) -> list[Alarm]:
        self._note_day(row, volume_l)
        if volume_l > 0:
            self.still_since, self.still_h = None, 0.0
            self.open.pop("stuck", None)
            return []
        self.still_since = self.still_since or row.t
        self.still_h = (row.end - self.still_since).total_seconds() / 3600.0
        usual = self.still_past.highest(0)
        if "stuck" in self.open or self.still_h < max(STUCK_H, _STUCK_FACTOR * usual) or not self._lived_in():
            return []
        self.still_past.strike(self.still_since)
        params = {"hours": self.still_h, "usual_h": usual}
        return self._raise("stuck", row.end, self.still_since, 0.0, params, ())

    def _lived_in(self) -> bool:
        """Say whether water was used on most days before the register came to a stand."""
        before = self.used_days[: len(self.used_days) - int(self.still_h // 24)]
        return len(before) >= _HABIT_DAYS // 2 and sum(before[-_HABIT_DAYS:]) >= _USED_SHARE * len(
            before[-_HABIT_DAYS:]
        )

    def _note_day(self, row: HourRow, volume_l: float) -> None:
        if "stuck" not in self.open:
            self.still_past.add(row.end, [self.still_h])
        if self.day is None:
            self.day = row.t
        while row.t - self.day >= _DAY:
            self.used_days = [*self.used_days[-2 * _HABIT_DAYS :], self.used_today]
            self.day, self.used_today = self.day + _DAY, False
        self.used_today = self.used_today or volume_l > 0

    def _raise(
        self, kind: AlarmKind, now: datetime, since: datetime, flow: float, params: dict[str, float],
        evidence: tuple[EvidencePoint, ...],
    ) -> list[Alarm]:  # fmt: skip
        alarm = Alarm(t=now, kind=kind, since=since, flow_lph=flow, params=params, evidence=evidence)
        self.open[kind] = OpenCondition(alarm, flow)
        return [alarm]
