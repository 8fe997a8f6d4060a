"""Leaks in a district with a metered inflow: a rise that shows at night as by day, and does not go away."""

from __future__ import annotations

from datetime import UTC, date, datetime, tzinfo
from zoneinfo import ZoneInfo

import msgspec

from analysis.leaks.alarm import Alarm, EvidencePoint
from analysis.leaks.dayprofiles import Day, DayBook
from analysis.leaks.rows import HourRow
from analysis.leaks.stream import StreamDetector, StreamState
from analysis.leaks.uplift import Rise, UpliftConfig, UpliftWatch


class DistrictConfig(msgspec.Struct, frozen=True, kw_only=True):
    """What is known about a district.

    ``zone`` is its time zone; without it, days and hours are those of the rows' own times.
    """

    zone: str | None = None
    uplift: UpliftConfig = UpliftConfig()


class _State(StreamState):
    book: DayBook = msgspec.field(default_factory=DayBook)
    watch: UpliftWatch = msgspec.field(default_factory=UpliftWatch)
    alarm: Alarm | None = None


class DistrictDetector(StreamDetector[DistrictConfig, _State, HourRow]):
    """Detects a lasting rise of a district's net inflow. See :class:`analysis.leaks.alarm.Detector`.

    It judges once a day, with the row that completes the local day.
    """

    _decoder = msgspec.json.Decoder(_State)

    def __init__(self, config: DistrictConfig | None = None) -> None:
        super().__init__(config or DistrictConfig(), _State())
        self._zone = ZoneInfo(self._config.zone) if self._config.zone else None

    def _take(self, row: HourRow) -> list[Alarm]:
        state = self._state
        day = state.book.add(row, self._local(row.t))
        if day is None:
            return []
        rise = state.watch.add(day, self._config.uplift)
        if state.watch.risen is None:
            state.alarm = None
        return [] if rise is None else [self._raise(rise, row.end)]

    def active(self) -> list[Alarm]:
        """Return the rise that holds now, flow and evidence brought up to date."""
        state = self._state
        if state.alarm is None or state.watch.risen is None:
            return []
        flow = state.watch.risen.present_lph()
        return [
            msgspec.structs.replace(state.alarm, flow_lph=flow, evidence=self._evidence(state.alarm.t.tzinfo))
        ]

    def _raise(self, rise: Rise, now: datetime) -> Alarm:
        state = self._state
        zone = self._zone or now.tzinfo
        night, usual_night = state.watch.night_lph(rise.days)
        params = {
            "days": float(rise.days), "certainty": rise.certainty, "night_lph": night,
            "usual_night_lph": usual_night, "share": rise.flow_lph / max(state.watch.mean_lph(), 1.0),
        }  # fmt: skip
        alarm = Alarm(
            t=now, kind="district_inflow", since=_midnight(rise.first.ordinal, zone), flow_lph=rise.flow_lph,
            params=params, evidence=self._evidence(zone),
        )  # fmt: skip
        if state.alarm is None:
            state.alarm = alarm
        return alarm

    def _evidence(self, zone: tzinfo | None) -> tuple[EvidencePoint, ...]:
        """Return the flow of each day's lowest hour, beside that of the lowest hour of a usual day, L/h."""
        state = self._state
        risen = state.watch.risen
        usual = risen.usual_lph if risen is not None else None
        return tuple(_lowest(day, usual, self._zone or zone) for day in state.watch.days)

    def _local(self, t: datetime) -> datetime:
        return t.astimezone(self._zone) if self._zone else t


def _lowest(day: Day, usual_lph: list[float] | None, zone: tzinfo | None) -> EvidencePoint:
    lowest = min(day.lph)
    usual = min(usual_lph) if usual_lph is not None else lowest
    return EvidencePoint(_midnight(day.ordinal, zone), lowest, usual)


def _midnight(ordinal: int, zone: tzinfo | None) -> datetime:
    first = date.fromordinal(ordinal)
    return datetime(first.year, first.month, first.day, tzinfo=zone or UTC)
