"""A source that asks its meters in turn: one reader, so that a bus is never used by two."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Final, Protocol

import structlog

from contract.clock import Clock
from contract.messages import WaterReading
from edge.water.profiles import MeterProfile
from edge.water.register import LineError, MeterError
from edge.water.schedule import BACK_OFF_MOST, attempts, back_off, next_due
from edge.water.settings_meters import MeterSettings
from edge.water.watch import Watch

log = structlog.get_logger(__name__)

_LONGEST_WAIT_S: Final = 1.0
"""The clock may change its speed or be set; look again after this long at the latest."""
_REOPEN_FIRST_S: Final = 1.0
_REOPEN_MOST_S: Final = 60.0
_AHEAD_MOST: Final = 2 * BACK_OFF_MOST
"""Turns that a meter can be due ahead, at the most."""


class MeterReader(Protocol):
    """What every driver does: read one meter now."""

    def read(self, at: datetime) -> WaterReading:
        """Return the meter's reading at a time (UTC). Raises :class:`MeterError` with the reason."""
        ...


class ProfiledReader(MeterReader, Protocol):
    """A reader that goes by a profile."""

    @property
    def profile(self) -> MeterProfile:
        """The meter's profile."""
        ...


class Connection(Protocol):
    """What the meters of a source share."""

    def open(self) -> None:
        """Connect, or do nothing where connected. Raises :class:`LineError` with the cause."""
        ...

    def close(self) -> None:
        """Disconnect."""
        ...


class PolledSource:
    """Reads meters when they are due, in the order in which they fell due."""

    def __init__(
        self,
        name: str,
        meters: Mapping[str, tuple[MeterSettings, MeterReader, float | None]],
        connection: Connection,
        watch: Watch,
        clock: Clock,
        *,
        retries: int = 0,
    ) -> None:
        """``meters`` holds settings, reader and Q4 (m3/h) by the meter's name."""
        self.name = name
        self._meters = meters
        self._connection = connection
        self._watch = watch
        self._clock = clock
        self._retries = retries
        self._due = dict.fromkeys(meters, 0.0)
        self._line_fault: str | None = None
        self._late = False

    def run(self, stop: threading.Event) -> None:
        """Read until ``stop`` is set; every meter once at the start, so that an installer sees it at once."""
        reopen_s = _REOPEN_FIRST_S
        try:
            while not stop.is_set():
                meter = min(self._due, key=self._due.__getitem__)
                if not self._is_due(meter):
                    self._wait(self._due[meter], stop)
                    continue
                lost = self._turn(meter, stop)
                self._tell_line(lost)
                if lost is None:
                    reopen_s = _REOPEN_FIRST_S
                else:
                    stop.wait(reopen_s)
                    reopen_s = min(_REOPEN_MOST_S, reopen_s * 2)
        finally:
            self._connection.close()
            self._watch.save()

    def _is_due(self, meter: str) -> bool:
        ahead_s = self._due[meter] - self._now_s()
        if ahead_s > _AHEAD_MOST * self._meters[meter][0].interval_s:
            # The clock was set back: what lay in its future then is no promise now.
            self._due[meter] = 0.0
            return True
        return ahead_s <= 0

    def _wait(self, due_s: float, stop: threading.Event) -> None:
        stop.wait(min(_LONGEST_WAIT_S, max(0.0, due_s - self._now_s()) / self._clock.speed))

    def _turn(self, meter: str, stop: threading.Event) -> str | None:
        """Read a meter and set its next turn. Returns why the line is lost, if it is."""
        self._tell_lateness(meter)
        settings, reader, q4_m3h = self._meters[meter]
        lost: str | None = None
        try:
            reading = self._attempts(settings, reader, stop)
        except LineError as error:
            lost = str(error)
            self._miss_all_due(lost)
        except MeterError as error:
            if not stop.is_set():
                self._watch.miss(meter, self._now(), str(error))
        else:
            self._watch.accept(reading, q4_m3h)
        self._plan(meter)
        return lost

    def _attempts(self, settings: MeterSettings, reader: MeterReader, stop: threading.Event) -> WaterReading:
        missed = self._watch.missed(settings.name)
        left = attempts(missed, settings.silent_after, self._retries)
        while True:
            self._connection.open()
            left -= 1
            try:
                return reader.read(self._now())
            except LineError:
                raise
            except MeterError:
                if not left or stop.is_set():
                    raise

    def _miss_all_due(self, reason: str) -> None:
        for meter, due_s in self._due.items():
            if due_s <= self._now_s():
                self._watch.miss(meter, self._now(), reason)
                self._plan(meter)

    def _plan(self, meter: str) -> None:
        settings = self._meters[meter][0]
        every = back_off(self._watch.missed(meter), settings.silent_after, settings.interval_s)
        now_s = self._now_s()
        self._due[meter] = next_due(now_s, settings.interval_s, settings.jitter_s, meter, every=every)

    def _tell_line(self, lost: str | None) -> None:
        if (lost is None) != (self._line_fault is None):
            if lost is not None:
                log.warning("line to the meters is lost", source=self.name, cause=lost)
            else:
                log.info("line to the meters is back", source=self.name)
        self._line_fault = lost

    def _tell_lateness(self, meter: str) -> None:
        due_s = self._due[meter]
        late = due_s > 0 and self._now_s() - due_s > self._meters[meter][0].interval_s
        if late and not self._late:
            log.warning(
                "meters take longer to read than their interval; readings are left out", source=self.name
            )
        self._late = late

    def _now(self) -> datetime:
        return self._clock.now().astimezone(UTC)

    def _now_s(self) -> float:
        return self._clock.now().timestamp()
