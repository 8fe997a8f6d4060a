"""What a run of the simulator counts, and how long readings took to be stored."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

_BIN_S: Final = 0.01
_BINS: Final = 12_000


@dataclass(slots=True)
class Lags:
    """How long from the end of a reading's second to the ``stored`` that names it; bins of 10 ms up to two minutes."""

    counts: list[int] = field(default_factory=lambda: [0] * (_BINS + 1))
    highest_s: float = 0.0
    total: int = 0

    def add(self, lag_s: float) -> None:
        """Count one."""
        self.counts[min(_BINS, max(0, int(lag_s / _BIN_S)))] += 1
        self.highest_s = max(self.highest_s, lag_s)
        self.total += 1

    def below(self, share: float) -> float:
        """Return the lag, in seconds, that this share of the readings does not exceed; 0 without any."""
        left = share * self.total
        for bin_number, count in enumerate(self.counts):
            left -= count
            if count and left <= 0:
                return (bin_number + 1) * _BIN_S
        return self.highest_s

    def since(self, before: Lags) -> Lags:
        """Return what was counted after ``before`` was; its highest is that of its fullest bin's end."""
        counts = [now - then for now, then in zip(self.counts, before.counts, strict=True)]
        last = max((n for n, count in enumerate(counts) if count), default=-1)
        return Lags(counts, min(self.highest_s, (last + 1) * _BIN_S), self.total - before.total)

    def copy(self) -> Lags:
        """Return a copy."""
        return Lags(self.counts.copy(), self.highest_s, self.total)


@dataclass(slots=True)
class Counts:
    """Readings, unless said otherwise."""

    made: int = 0
    sent: int = 0
    """Handed to the broker, those of a second time too."""
    messages: int = 0
    confirmed: int = 0
    refused: int = 0
    expired: int = 0
    """Sent again because nobody confirmed them in time."""
    statuses: int = 0
    lags: Lags = field(default_factory=Lags)
