"""A meter, a quarter and a district as units of leak detection: a detector, how far it has been fed, how to go on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Final, Protocol
from zlib import crc32

import msgspec

from analysis.leak_rows import ROW, hour_rows
from analysis.leaks.alarm import Alarm, Detector
from analysis.leaks.district import DistrictConfig, DistrictDetector
from analysis.leaks.household import HouseholdConfig, HouseholdDetector
from analysis.leaks.quarter import QuarterConfig, QuarterDetector
from analysis.leaks.rows import HourRow, QuarterRow
from store.series.interface import SeriesStore, WaterHour, WaterPoint

QUARTER: Final = "quarter"
"""Name of a quarter's unit, and the source of its alerts."""
DISTRICT: Final = "district"
"""The same of a site whose water comes through an inlet meter and is not metered behind it."""
HISTORY: Final = timedelta(days=90)
"""How far back a detector without a state begins."""
MOST_ROWS: Final = 24 * 14
"""Rows fed to one unit at a time, so that a long history does not hold up the others."""
_QUARTER_LAG: Final = timedelta(hours=2)
"""A quarter's hour is balanced this long after its end, when its sub-meters' readings are in."""
_HOUR: Final = timedelta(hours=1)


class Unit(Protocol):
    """One detector with what it belongs to."""

    site: str
    name: str
    config_key: str
    """Tells configurations apart: a state of another one is not gone on from."""
    done_until: datetime | None
    """Rows before it have been fed."""

    def wants(self, newest: datetime) -> bool:
        """Whether a reading at ``newest`` gives a new row."""
        ...

    def feed(self, series: SeriesStore, newest: datetime) -> int:
        """Feed the rows up to the reading at ``newest``, at most ``MOST_ROWS``; return how many. May raise
        ``StoreUnavailable``.
        """
        ...

    def active(self) -> list[Alarm]:
        """Return the conditions that hold now."""
        ...

    def dump(self) -> bytes:
        """Return the whole state."""
        ...

    def restore(self, data: bytes, done_until: datetime) -> None:
        """Go on from a state. Raises ``msgspec.DecodeError`` for what is none, and stays as it was."""
        ...


class _RegisterUnit:
    """One register. Its rows are made of the readings themselves."""

    done_until: datetime | None

    def __init__(
        self, site: str, name: str, meter: str, config_key: str, detector: Detector[HourRow]
    ) -> None:
        self.site, self.name = site, name
        self.config_key = config_key
        self.done_until = None
        self._meter = meter
        self._detector = detector

    def wants(self, newest: datetime) -> bool:
        """Whether a reading at ``newest`` gives a new row."""
        return self.done_until is None or newest - self.done_until >= ROW

    def feed(self, series: SeriesStore, newest: datetime) -> int:
        """Feed the rows between the readings since ``done_until``."""
        start = self.done_until or newest - HISTORY
        points = series.water_readings(self.site, self._meter, start, newest + timedelta(seconds=1))
        rows, last = hour_rows(points)
        for row in rows[:MOST_ROWS]:
            self._detector.update(self._believed(row))
        if last is not None:
            self.done_until = rows[MOST_ROWS].t if len(rows) > MOST_ROWS else last.t
        return min(len(rows), MOST_ROWS)

    def _believed(self, row: HourRow) -> HourRow:
        return row

    def active(self) -> list[Alarm]:
        """Return the conditions that hold now."""
        return self._detector.active()

    def dump(self) -> bytes:
        """Return the detector's state."""
        return self._detector.dump()

    def restore(self, data: bytes, done_until: datetime) -> None:
        """Go on from a state."""
        self._detector = self._restored(data)
        self.done_until = done_until

    def _restored(self, data: bytes) -> Detector[HourRow]:
        raise NotImplementedError


class HouseholdUnit(_RegisterUnit):
    """One household or public meter."""

    def __init__(self, site: str, meter: str, newest: WaterPoint) -> None:
        self._config = HouseholdConfig(step_l=newest.step_ml / 1000.0)
        super().__init__(site, meter, meter, f"household/{newest.step_ml}", HouseholdDetector(self._config))

    def _restored(self, data: bytes) -> HouseholdDetector:
        return HouseholdDetector.restore(self._config, data)


class DistrictUnit(_RegisterUnit):
    """An inlet meter with no meters behind it."""

    def __init__(self, site: str, zone: str, meter: str) -> None:
        self._config = DistrictConfig(zone=zone)
        key = f"district/{meter}/{crc32(zone.encode()):08x}"  # another zone begins anew
        super().__init__(site, DISTRICT, meter, key, DistrictDetector(self._config))

    def _believed(self, row: HourRow) -> HourRow:
        """Take a register that goes back for a false reading: an inlet meter counts what comes in."""
        fell = row.volume_l is not None and row.volume_l < 0.0
        return msgspec.structs.replace(row, volume_l=None) if fell else row

    def _restored(self, data: bytes) -> DistrictDetector:
        return DistrictDetector.restore(self._config, data)


class _QuarterState(msgspec.Struct):
    detector: str
    was_silent: dict[str, datetime] = {}


@dataclass(slots=True)
class _Silences:
    """Sub-meters whose volume is not known, since which hour; and what they gained once it is."""

    since: dict[str, datetime] = field(default_factory=dict)

    def row(
        self,
        t: datetime,
        master: str,
        subs: Sequence[str],
        by_hour: Mapping[datetime, Mapping[str, WaterHour]],
    ) -> QuarterRow:
        """Return one hour of a quarter."""
        hour = by_hour[t]
        volumes: dict[str, float | None] = {}
        backlog: dict[str, float] = {}
        for name in subs:
            volumes[name] = volume = hour[name].volume_l if name in hour else None
            if volume is None:
                self.since.setdefault(name, t)
            elif name in self.since:
                gained = _gained(name, self.since.pop(name), t, by_hour)
                if gained is not None:
                    backlog[name] = gained
        in_flow = hour[master].volume_l if master in hour else None
        return QuarterRow(t=t, master_l=in_flow, subs_l=volumes, backlog_l=backlog)


class QuarterUnit:
    """A master meter with its sub-meters. Its rows are hours, two hours after their end."""

    def __init__(self, site: str, zone: str, master: str, subs: Sequence[str], newest: WaterPoint) -> None:
        self.site, self.name = site, QUARTER
        self.config_key = f"quarter/{master}/{newest.step_ml}"
        self.done_until: datetime | None = None
        self.subs = list(subs)
        self._master = master
        self._config = QuarterConfig(zone=zone, master_step_l=newest.step_ml / 1000.0)
        self._detector = QuarterDetector(self._config)
        self._silences = _Silences()

    def wants(self, newest: datetime) -> bool:
        """Whether a reading of the master meter at ``newest`` completes an hour."""
        return self.done_until is None or _end(newest) > self.done_until

    def feed(self, series: SeriesStore, newest: datetime) -> int:
        """Feed the hours that are complete and settled."""
        start = self.done_until or self._first_hour(series, _end(newest))
        if start is None:
            return 0
        end = min(_end(newest), start + MOST_ROWS * _HOUR)
        since = min([start, *self._silences.since.values()])
        by_hour: dict[datetime, dict[str, WaterHour]] = {}
        for row in series.water_rollups(since, end, site=self.site):
            by_hour.setdefault(row.t, {})[row.source] = row
        hours = [t for t in sorted(by_hour) if t >= start]
        for t in hours:
            self._detector.update(self._silences.row(t, self._master, self.subs, by_hour))
        self.done_until = end
        return len(hours)

    def _first_hour(self, series: SeriesStore, end: datetime) -> datetime | None:
        """Return the first hour of the master meter that there is."""
        rows = series.water_rollups(end - HISTORY, end, site=self.site, source=self._master)
        return rows[0].t if rows else None

    def active(self) -> list[Alarm]:
        """Return the conditions that hold now."""
        return self._detector.active()

    def dump(self) -> bytes:
        """Return the detector's state and which sub-meters are silent."""
        return msgspec.json.encode(_QuarterState(self._detector.dump().decode(), self._silences.since))

    def restore(self, data: bytes, done_until: datetime) -> None:
        """Go on from a state."""
        state = msgspec.json.decode(data, type=_QuarterState)
        self._detector = QuarterDetector.restore(self._config, state.detector.encode())
        self._silences = _Silences(state.was_silent)
        self.done_until = done_until


def _gained(
    name: str, since: datetime, until: datetime, by_hour: Mapping[datetime, Mapping[str, WaterHour]]
) -> float | None:
    """Return what a sub-meter gained from ``since`` to the end of the hour ``until``, where all of it is known."""
    total = 0.0
    at = since
    while at <= until:
        row = by_hour.get(at, {}).get(name)
        if row is None or row.volume_l is None:
            return None
        total += row.volume_l
        at += _HOUR
    return total


def _end(newest: datetime) -> datetime:
    """Return up to when a quarter's hours are settled."""
    return (newest - _QUARTER_LAG).replace(minute=0, second=0, microsecond=0)
