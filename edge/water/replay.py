"""Driver ``replay``: recorded registers, mapped onto the present, cycle after cycle.

What is played at a time is a function of the data and that time alone, so a restart goes on exactly and two
processes with the same settings agree.
"""

from __future__ import annotations

import re
import threading
from array import array
from bisect import bisect_right
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final

import msgspec
import structlog

from contract.clock import Clock
from contract.messages import SLUG_PATTERN, Reading, WaterReading
from edge.water.register import NoAnswer
from edge.water.replay_clean import cleaned
from edge.water.replay_data import ReplayDataError, Track, epoch_us, load_tracks
from edge.water.settings import ReplaySettings
from edge.water.state import StateFile

log = structlog.get_logger(__name__)

_WEEK_US: Final = 7 * 86_400 * 1_000_000
_SEAM_US: Final = 2 * 3_600 * 1_000_000
"""Data that begins this long after a Monday's midnight, or ends this long before one, fills that week."""
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_LONGEST_WAIT_S: Final = 1.0
"""The clock may change its speed; look again after this long at the latest."""
_BATCH: Final = 2_000
"""Readings emitted between two saves of the state."""


@dataclass(frozen=True, slots=True)
class Played:
    """One reading as it is played: when (microseconds since 1970, UTC), which meter, which register."""

    t_us: int
    meter: str
    volume_steps: int


class ReplaySeries:
    """The mapping of recorded readings onto the clock's time. Pure: it knows no clock."""

    def __init__(self, tracks: list[Track], settings: ReplaySettings) -> None:
        """Raises :class:`ReplayDataError` where no reading lies within the cycle."""
        self._anchor_us = epoch_us(settings.anchor)
        origin_us = _origin_us(tracks, settings)
        self._cycle_us = _cycle_us(tracks, settings, origin_us) if settings.repeat else 0
        self._meters = [track.meter for track in tracks]
        rows: list[tuple[int, int, int]] = []
        self._spans: list[int] = []
        for index, track in enumerate(tracks):
            own = [
                (t_us - origin_us, index, steps)
                for t_us, steps in zip(track.times_us, track.steps, strict=True)
                if not self._cycle_us or 0 <= t_us - origin_us < self._cycle_us
            ]
            self._spans.append(own[-1][2] - own[0][2] if own else 0)
            rows += own
        if not rows:
            raise ReplayDataError(f"file {settings.file}: data_anchor: no reading within a cycle after it")
        rows.sort(key=lambda row: row[0])
        self._offsets = array("q", (row[0] for row in rows))
        self._which = array("q", (row[1] for row in rows))
        self._steps = array("q", (row[2] for row in rows))

    @property
    def meters(self) -> list[str]:
        """The meters it plays."""
        return list(self._meters)

    def between(self, after_us: int, until_us: int) -> Iterator[Played]:
        """Yield what is played later than ``after_us`` and not later than ``until_us``, in order of time."""
        for played in self._from(after_us):
            if played.t_us > until_us:
                return
            yield played

    def next_after(self, after_us: int) -> int | None:
        """Return when the next reading after a time is played; ``None`` when the data is at its end."""
        return next((played.t_us for played in self._from(after_us)), None)

    def at(self, meter: str, at_us: int) -> Played | None:
        """Return a meter's newest reading at a time; ``None`` where there is none yet."""
        index = self._meters.index(meter)
        if index not in self._which:
            return None
        cycle, offset = self._split(at_us)
        place = bisect_right(self._offsets, offset)
        while True:
            for row in range(place - 1, -1, -1):
                if self._which[row] == index:
                    return self._played(cycle, row)
            if not self._cycle_us:
                return None
            cycle, place = cycle - 1, len(self._offsets)

    def _from(self, after_us: int) -> Iterator[Played]:
        cycle, offset = self._split(after_us)
        place = bisect_right(self._offsets, offset)
        while True:
            for row in range(place, len(self._offsets)):
                yield self._played(cycle, row)
            if not self._cycle_us:
                return
            cycle, place = cycle + 1, 0

    def _split(self, t_us: int) -> tuple[int, int]:
        since_us = t_us - self._anchor_us
        return divmod(since_us, self._cycle_us) if self._cycle_us else (0, since_us)

    def _played(self, cycle: int, row: int) -> Played:
        index = self._which[row]
        return Played(
            self._anchor_us + cycle * self._cycle_us + self._offsets[row],
            self._meters[index],
            self._steps[row] + cycle * self._spans[index],
        )


def _origin_us(tracks: list[Track], settings: ReplaySettings) -> int:
    if settings.data_anchor is not None:
        return epoch_us(settings.data_anchor)
    first_us = min(track.times_us[0] for track in tracks)
    if not settings.repeat:
        return first_us
    first = _EPOCH + timedelta(microseconds=first_us)
    midnight = first.replace(hour=0, minute=0, second=0, microsecond=0)
    monday_us = epoch_us(midnight + timedelta(days=-midnight.weekday() % 7))
    if monday_us + _SEAM_US < first_us:
        monday_us += _WEEK_US
    last_us = max(track.times_us[-1] for track in tracks)
    return monday_us if monday_us + _WEEK_US <= last_us else epoch_us(midnight)


def _cycle_us(tracks: list[Track], settings: ReplaySettings, origin_us: int) -> int:
    if settings.cycle_weeks is not None:
        return settings.cycle_weeks * _WEEK_US
    last_us = max(track.times_us[-1] for track in tracks)
    return max(1, (last_us + _SEAM_US - origin_us) // _WEEK_US) * _WEEK_US


class ReplayState(msgspec.Struct, frozen=True):
    """The time up to which a replay has emitted, microseconds since 1970."""

    emitted_until_us: int


class ReplayReader:
    """Reads one meter of a replay at any time."""

    def __init__(self, series: ReplaySeries, meter: str, step_ml: int) -> None:
        self._series = series
        self._meter = meter
        self._step_ml = step_ml

    def read(self, at: datetime) -> WaterReading:
        """Return the meter's newest reading at a time (UTC). Raises ``NoAnswer`` before its first."""
        played = self._series.at(self._meter, epoch_us(at))
        if played is None:
            raise NoAnswer("the recording has no reading of the meter yet")
        return _reading(played, self._step_ml)


class Replay:
    """Emits the readings of a :class:`ReplaySeries` as the clock reaches them."""

    def __init__(
        self, settings: ReplaySettings, clock: Clock, emit: Callable[[Reading], object], folder: Path
    ) -> None:
        """Load the data. Raises :class:`ReplayDataError` that names the file and the cause."""
        tracks = load_tracks(settings)
        if settings.clean:
            tracks = [cleaned(track, settings.step_ml) for track in tracks]
        _demand_slugs(tracks, settings)
        self.name = settings.name
        self.series = ReplaySeries(tracks, settings)
        self._settings = settings
        self._clock = clock
        self._emit = emit
        self._unsaved = False
        self._state = StateFile(folder / f"water-replay-{settings.name}.json", ReplayState)

    def run(self, stop: threading.Event) -> None:
        """Play until ``stop`` is set or the data is at its end."""
        until_us = self._start_us()
        log.info("replay starts", replay=self.name, meters=len(self.series.meters))
        while not stop.is_set():
            now_us = epoch_us(self._clock.now())
            until_us = self._play(until_us, now_us, stop)
            next_us = self.series.next_after(until_us)
            if next_us is None:
                log.info("replay is at its end", replay=self.name)
                return
            self._wait(next_us, stop)

    def reader(self, meter: str) -> ReplayReader:
        """Return the reader of one of its meters."""
        return ReplayReader(self.series, meter, self._settings.step_ml)

    def _start_us(self) -> int:
        now_us = epoch_us(self._clock.now())
        state = self._state.load()
        if state is None:
            return now_us - round(self._settings.history_h * 3_600_000_000)
        if state.emitted_until_us > now_us:
            # Played readings are a function of their time, so that playing some again changes nothing anywhere.
            log.warning("replay state is ahead of the clock, which has been set back", replay=self.name)
            return now_us
        return state.emitted_until_us

    def _play(self, after_us: int, now_us: int, stop: threading.Event) -> int:
        """Emit what is due; return up to when. Stops between readings of different times only."""
        until_us, unsaved = after_us, 0
        for played in self.series.between(after_us, now_us):
            if played.t_us > until_us and (unsaved >= _BATCH or stop.is_set()):
                self._save(until_us)
                unsaved = 0
                if stop.is_set():
                    return until_us
            self._emit(_reading(played, self._settings.step_ml))
            until_us, unsaved = played.t_us, unsaved + 1
        if unsaved:
            self._save(until_us)
        return until_us

    def _save(self, until_us: int) -> None:
        try:
            self._state.save(ReplayState(until_us))
        except OSError as error:
            # After a restart some readings are then played once more, which changes nothing anywhere.
            if not self._unsaved:
                log.warning("state of the replay cannot be saved", replay=self.name, cause=str(error))
            self._unsaved = True
        else:
            self._unsaved = False

    def _wait(self, next_us: int, stop: threading.Event) -> None:
        ahead_s = (next_us - epoch_us(self._clock.now())) / 1e6
        if ahead_s > 0:
            stop.wait(min(_LONGEST_WAIT_S, ahead_s / self._clock.speed))


def _reading(played: Played, step_ml: int) -> WaterReading:
    t = _EPOCH + timedelta(microseconds=played.t_us)
    return WaterReading(seq=0, t=t, meter=played.meter, volume_steps=played.volume_steps, step_ml=step_ml)


def _demand_slugs(tracks: list[Track], settings: ReplaySettings) -> None:
    for track in tracks:
        if not re.match(SLUG_PATTERN, track.meter):
            raise ReplayDataError(
                f"file {settings.file}: {track.meter!r} cannot name a meter; "
                "give it a name in the table meters (a-z, 0-9 and -, 32 at most)"
            )
