"""Keeps each meter's state: judges readings, tells when a meter falls silent and when it is back."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final

import msgspec
import structlog

from contract.messages import EdgeEvent, Reading, WaterReading
from edge.water.plausibility import Seen, judge
from edge.water.settings_meters import MeterSettings
from edge.water.state import StateFile

log = structlog.get_logger(__name__)

_SAVE_EVERY: Final = timedelta(seconds=60)
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


class MeterState(msgspec.Struct, omit_defaults=True):
    """What is kept of a meter across restarts."""

    seen: Seen | None = None
    missed: int = 0
    """Readings missed in a row."""
    silent: bool = False


class WatchState(msgspec.Struct):
    """The state file: meters by name."""

    meters: dict[str, MeterState]


class Watch:
    """The meters of one source. Not for several threads."""

    def __init__(
        self,
        name: str,
        meters: Sequence[MeterSettings],
        emit: Callable[[Reading], object],
        folder: Path,
        clock_synced: Callable[[], bool | None],
    ) -> None:
        self._settings = {one.name: one for one in meters}
        self._emit = emit
        self._clock_synced = clock_synced
        self._file = StateFile(folder / f"water-meters-{name}.json", WatchState)
        self._saved_at: datetime | None = None
        self._unsaved: str | None = None
        stored = self._file.load()
        known = {} if stored is None else stored.meters
        self._states = {name: known.get(name, MeterState()) for name in self._settings}

    def missed(self, meter: str) -> int:
        """Return how many readings in a row a meter has missed."""
        return self._states[meter].missed

    def last_t(self, meter: str) -> datetime | None:
        """Return when a meter was last read; ``None`` if never."""
        seen = self._states[meter].seen
        return None if seen is None else _EPOCH + timedelta(microseconds=seen.t_us)

    def accept(self, reading: WaterReading, q4_m3h: float | None) -> None:
        """Take in a reading: judge it, emit it and what it says about the meter."""
        state = self._states[reading.meter]
        before = state.seen
        judged = judge(before, reading, q4_m3h, self._clock_synced())
        self._back(reading.meter, state, reading.t)
        if judged.replaced and before is not None:
            self._event(
                "meter_replaced", reading.meter, reading.t,
                old_serial=before.serial, new_serial=reading.serial,
                old_volume_ml=before.volume_ml, new_volume_ml=reading.volume_ml,
            )  # fmt: skip
        if judged.tamper_begins:
            self._event("tamper", reading.meter, reading.t)
        state.seen, state.missed, state.silent = judged.seen, 0, False
        self._emit(judged.reading)
        self._save_now_and_then(reading.t)

    def miss(self, meter: str, at: datetime, reason: str) -> None:
        """Take in that a meter gave no reading. What is missing stays missing: nothing is made up for it."""
        state, settings = self._states[meter], self._settings[meter]
        state.missed += 1
        if state.missed == settings.silent_after and not state.silent:
            state.silent = True
            last_t = self.last_t(meter)
            log.warning("meter is silent", meter=meter, missed=state.missed, reason=reason)
            self._event(
                "meter_silent", meter, at, missed=state.missed, reason=reason,
                last_t=None if last_t is None else last_t.isoformat(),
            )  # fmt: skip
        self._save_now_and_then(at)

    def save(self) -> None:
        """Write the state file; a disk that does not take it is told once, and reading goes on."""
        try:
            self._file.save(WatchState(self._states))
        except OSError as error:
            if self._unsaved is None:
                log.warning("state of the meters cannot be saved", cause=str(error))
            self._unsaved = str(error)
        else:
            self._unsaved = None

    def _back(self, meter: str, state: MeterState, at: datetime) -> None:
        if state.silent:
            last_t = self.last_t(meter)
            silent_s = None if last_t is None else round((at - last_t).total_seconds())
            log.info("meter answers again", meter=meter, missed=state.missed, silent_s=silent_s)
            self._event("meter_back", meter, at, missed=state.missed, silent_s=silent_s)

    def _event(self, kind: str, meter: str, at: datetime, **detail: str | int | None) -> None:
        self._emit(EdgeEvent(seq=0, t=at, kind=kind, meter=meter, detail=dict(detail)))

    def _save_now_and_then(self, at: datetime) -> None:
        if self._saved_at is None or not timedelta(0) <= at - self._saved_at < _SAVE_EVERY:
            self.save()
            self._saved_at = at
