"""From metered seconds to the messages that leave the device."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import UTC, datetime

from contract.flags import NoiseFlag
from contract.messages import EdgeEvent, Reading
from edge.sound.meter import NO_FLAGS, MeteredSecond
from edge.sound.minutes import MinuteBuilder

Detail = dict[str, str | int | float | bool | list[float | None] | None]


class Recorder:
    """Hands seconds, minutes and events to the outbox. ``flags`` tells what only the device knows of a second."""

    def __init__(
        self, emit: Callable[[Reading], object], flags: Callable[[int], NoiseFlag] = lambda _t: NO_FLAGS
    ) -> None:
        self._emit = emit
        self._flags = flags
        self._minutes = MinuteBuilder()
        self._overloaded = False

    def seconds(self, metered: Iterable[MeteredSecond]) -> None:
        """Take seconds in the order of time."""
        for second in metered:
            extra = self._flags(second.t)
            self._emit(second.reading(extra))
            for minute in self._minutes.add(second, extra):
                self._emit(minute)
            self._tell_overload(second)

    def finish(self) -> None:
        """Hand over the minute under way."""
        for minute in self._minutes.flush():
            self._emit(minute)

    def event(self, kind: str, t: float, detail: Detail) -> None:
        """Hand over an event; ``t`` in seconds since 1970."""
        self._emit(EdgeEvent(seq=0, t=datetime.fromtimestamp(t, UTC), kind=kind, detail=detail))

    def _tell_overload(self, second: MeteredSecond) -> None:
        overloaded = NoiseFlag.OVERLOAD in second.flags
        if overloaded and not self._overloaded:
            self.event("overload", second.t, {"lcpeak_db": round(second.lcpeak_db, 1)})
        self._overloaded = overloaded
