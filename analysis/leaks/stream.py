"""What the detectors have in common: rows taken in order, and a state that can be dumped and gone on from."""

from __future__ import annotations

from abc import ABC, abstractmethod
from datetime import datetime, timedelta
from typing import ClassVar, Final, Generic, Self, TypeVar

import msgspec

from analysis.leaks.alarm import Alarm
from analysis.leaks.rows import HourRow, QuarterRow

_TOLERANCE: Final = timedelta(minutes=5)
"""Two rows may overlap by this much, as readings that come a little early make them."""


class StreamState(msgspec.Struct, kw_only=True):
    """Where a stream of rows stands."""

    last_end: datetime | None = None
    ignored: int = 0


ConfigT = TypeVar("ConfigT")
StateT = TypeVar("StateT", bound=StreamState)
RowT = TypeVar("RowT", HourRow, QuarterRow)


class StreamDetector(ABC, Generic[ConfigT, StateT, RowT]):
    """The part of :class:`analysis.leaks.alarm.Detector` that does not depend on what is looked for."""

    _decoder: ClassVar[msgspec.json.Decoder]
    """Reads the class's own kind of state."""

    def __init__(self, config: ConfigT, state: StateT) -> None:
        self._config = config
        self._state = state

    @classmethod
    def restore(cls, config: ConfigT, data: bytes) -> Self:
        """Go on from a dumped state. Raises ``msgspec.ValidationError`` if ``data`` is not one."""
        detector = cls(config)  # pyright: ignore[reportCallIssue]  each detector begins with a state of its own
        detector._state = cls._decoder.decode(data)
        return detector

    def dump(self) -> bytes:
        """Return the whole state as JSON."""
        return msgspec.json.encode(self._state)

    @property
    def ignored(self) -> int:
        """How many rows were left out because they did not start after the newest seen."""
        return self._state.ignored

    def update(self, row: RowT) -> list[Alarm]:
        """Take the next row and return the alarms that begin with it.

        Raises ``ValueError`` for a row that covers no time.
        """
        state = self._state
        if row.duration_h <= 0.0:
            raise ValueError(
                f"duration_h must be positive, not {row.duration_h} (row of {row.t.isoformat()})"
            )
        if state.last_end is not None and row.t < state.last_end - _TOLERANCE:
            state.ignored += 1
            return []
        alarms = self._take(row)
        state.last_end = row.end
        return alarms

    @abstractmethod
    def _take(self, row: RowT) -> list[Alarm]:
        """Take a row that follows those before it; ``last_end`` is still the end of the one before."""
