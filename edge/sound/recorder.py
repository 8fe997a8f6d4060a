"""From metered seconds to the messages that leave the device."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from typing import Final

from contract.flags import NOISE_EXCLUDED, NoiseFlag
from contract.messages import EdgeEvent, Reading
from edge.sound.calibrator_watch import CalibratorWatch
from edge.sound.curves import FloatArray
from edge.sound.event_shape import shape
from edge.sound.minutes import MinuteBuilder
from edge.sound.octaves import LOWEST_BAND
from edge.sound.second import NO_FLAGS, MeteredSecond
from edge.sound.settings import SoundEventSettings
from edge.sound.sound_events import EventDetector, SoundEvent
from edge.sound.spectrum import SpectrumLedger

_OVERLOAD_EVERY_S: Final = 60
Detail = dict[str, str | int | float | bool | list[float | None] | None]


class Recorder:
    """Hands seconds, minutes and events to the outbox.

    ``flags`` tells what only the device knows of a second. ``offsets_db`` is added to each band.
    ``watch_calibrator`` flags seconds in which a calibrator is on the microphone, and tells what was read.
    """

    def __init__(
        self, emit: Callable[[Reading], object], *, rate_hz: int, full_scale_db: float,
        flags: Callable[[int], NoiseFlag] | None = None, spectrum: bool = True,
        offsets_db: FloatArray | None = None, events: SoundEventSettings | None = None,
        watch_calibrator: bool = False,
    ) -> None:  # fmt: skip
        self._emit = emit
        self._flags = flags
        self._full_scale_db = full_scale_db
        self._offsets_db = offsets_db
        self._minutes = MinuteBuilder(full_scale_db, offsets_db)
        self._spectrum = SpectrumLedger(rate_hz) if spectrum else None
        self._detector = EventDetector(events, rate_hz) if events is not None and events.enabled else None
        self._watch = CalibratorWatch(rate_hz) if watch_calibrator else None
        self._overloaded = False
        self._overload_told_at = -_OVERLOAD_EVERY_S

    def seconds(self, metered: Iterable[MeteredSecond]) -> None:
        """Take seconds in the order of time."""
        for second in metered:
            flags = second.flags if self._flags is None else second.flags | self._flags(second.t)
            self._second(second, flags | self._calibrating(second))

    def finish(self) -> None:
        """Hand over the minute under way."""
        self._close_minute()

    def event(self, kind: str, t: float, detail: Detail) -> None:
        """Hand over an event; ``t`` in seconds since 1970."""
        self._emit(EdgeEvent(seq=0, t=datetime.fromtimestamp(t, UTC), kind=kind, detail=detail))

    # -- inside ------------------------------------------------------------------------------------------------

    def _calibrating(self, second: MeteredSecond) -> NoiseFlag:
        if self._watch is None:
            return NO_FLAGS
        on, read = self._watch.update(second)
        if read is not None:
            detail: Detail = {
                "action": "check",
                "reading_db": round(read.reading_db, 2),
                "calibrator_db": read.calibrator_db,
                "deviation_db": round(read.reading_db - read.calibrator_db, 2),
                "seconds": read.seconds,
            }
            self.event("calibration", read.t, detail)
        return NoiseFlag.CALIBRATING if on else NO_FLAGS

    def _second(self, second: MeteredSecond, flags: NoiseFlag) -> None:
        if self._minutes.ended_before(second.t):
            self._close_minute()
        accounts = [self._minutes.add(second, flags).bands]
        finished: SoundEvent | None = None
        if self._detector is not None:
            look = self._detector.update(second, valid=not flags & NOISE_EXCLUDED)
            finished = look.finished
            accounts += [one.bands for one in (look.under_way,) if one is not None]
        if self._spectrum is not None:
            self._spectrum.add(second, accounts)
        self._emit(second.reading(flags))
        self._tell_overload(second)
        if finished is not None:
            self._tell_sound_event(finished)
        if second.t % 60 == 59:
            self._close_minute()

    def _close_minute(self) -> None:
        if self._spectrum is not None:
            self._spectrum.settle()
        minute = self._minutes.close()
        if minute is not None:
            self._emit(minute)

    def _tell_overload(self, second: MeteredSecond) -> None:
        overloaded = NoiseFlag.OVERLOAD in second.flags
        if overloaded and not self._overloaded and second.t - self._overload_told_at >= _OVERLOAD_EVERY_S:
            self._overload_told_at = second.t
            peak = None if second.lcpeak_db is None else round(second.lcpeak_db, 1)
            self.event("overload", second.t, {"lcpeak_db": peak})
        self._overloaded = overloaded

    def _tell_sound_event(self, event: SoundEvent) -> None:
        if self._spectrum is not None:
            self._spectrum.settle()
        lae, duration = event.lae_db, event.duration_s
        levels = event.bands.levels_db(self._full_scale_db, self._offsets_db)
        detail: Detail = {
            "duration_s": round(duration, 2),
            "lae_db": round(lae, 1),
            "lafmax_db": round(event.lafmax_db, 1),
            "background_db": round(event.background_db, 1),
            "ending": event.ending,
            **shape(event, levels),
        }
        if levels:
            detail["first_band"] = LOWEST_BAND
            detail["bands_db"] = [None if level is None else round(level, 1) for level in levels]
        self.event("sound_event", event.starts, detail)
