"""What waits in the outbox, and what is told of it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from contract.messages import EdgeEvent, NoiseMinute, NoiseSecond, Reading, WaterReading
from contract.topics import ReadingKind

ROW_OVERHEAD_BYTES: Final = 40
"""What SQLite takes for a row beside its payload, index included (measured: 37)."""
DROP_ORDER: Final[tuple[ReadingKind, ...]] = ("noise", "spectrum", "event", "water")
"""What goes first when there is no room: seconds first, water last."""


@dataclass(frozen=True, slots=True)
class OutboxEntry:
    """A reading as it waits to be sent, encoded."""

    seq: int
    kind: ReadingKind
    t_ms: int
    payload: bytes

    @property
    def cost_bytes(self) -> int:
        """What it takes of the bound."""
        return len(self.payload) + ROW_OVERHEAD_BYTES


@dataclass(frozen=True, slots=True)
class Dropped:
    """Readings of one kind that a bound pushed out: every one of that kind that waited from first to last."""

    kind: ReadingKind
    count: int
    first_seq: int
    last_seq: int

    def detail(self) -> dict[str, str | int | float | bool | list[float | None] | None]:
        """Return it as the detail of a ``readings_dropped`` event."""
        return {
            "kind": self.kind,
            "count": self.count,
            "first_seq": self.first_seq,
            "last_seq": self.last_seq,
        }


def kind_of(reading: Reading) -> ReadingKind:
    """Return the topic kind of a reading."""
    match reading:
        case NoiseSecond():
            return "noise"
        case NoiseMinute():
            return "spectrum"
        case WaterReading():
            return "water"
        case EdgeEvent():
            return "event"
