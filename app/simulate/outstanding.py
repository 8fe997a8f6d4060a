"""What a simulated device still has to deliver: its outbox, as ranges of ``seq``. Pure; times are seconds, passed in.

A reading can be computed again from its ``seq``, so a range is all that is kept of a backlog of any length. The rules
are the edge's (``docs/delivery.md``): new ones at once, the backlog newest first, again what is not confirmed.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Final

from contract.seqranges import to_ranges

ANSWER_TIMEOUT_S: Final = 30.0
PATIENCE_MOST_S: Final = 900.0
WINDOW: Final = 5_000
MESSAGE_READINGS: Final = 200


@dataclass(slots=True)
class Outstanding:
    """Readings of one device that no ``stored`` has named yet."""

    waiting: list[tuple[int, int]] = field(default_factory=list[tuple[int, int]])
    """Inclusive ranges to be sent, ascending; the newest go first."""
    under_way: dict[int, tuple[float, bool]] = field(default_factory=dict[int, tuple[float, bool]])
    """``seq`` → when it was sent, and whether at once after it was made; in the order of sending."""

    @property
    def depth(self) -> int:
        """Readings that are not confirmed."""
        return len(self.under_way) + sum(last - first + 1 for first, last in self.waiting)

    def keep(self, seqs: Iterable[int]) -> None:
        """Take readings that cannot be sent now."""
        self.waiting = _merged([*self.waiting, *to_ranges(seqs)])

    def sent(self, seqs: Sequence[int], now_s: float, *, live: bool) -> None:
        """Note what was handed to the broker."""
        told = (now_s, live)
        for seq in seqs:
            self.under_way[seq] = told

    def take(self, most: int) -> list[list[int]]:
        """Take the newest readings out of the backlog, in messages; each ascends."""
        messages: list[list[int]] = []
        room = min(most, WINDOW - len(self.under_way))
        while self.waiting and room > 0:
            first, last = self.waiting.pop()
            begin = max(first, last - min(room, MESSAGE_READINGS) + 1)
            messages.append(list(range(begin, last + 1)))
            room -= last - begin + 1
            if begin > first:
                self.waiting.append((first, begin - 1))
        return messages

    def confirmed(self, ranges: Sequence[tuple[int, int]]) -> tuple[list[tuple[int, bool]], int]:
        """Let go of what the server has dealt with.

        Returns (``seq``, sent at once) of each that was under way, and how many waited to be sent again.
        """
        gone: list[tuple[int, bool]] = []
        for first, last in ranges:
            named = range(first, last + 1)
            if len(named) > WINDOW:
                named = [seq for seq in self.under_way if seq in named]
            told = ((seq, self.under_way.pop(seq, None)) for seq in named)
            gone += [(seq, one[1]) for seq, one in told if one is not None]
        waited = self.depth
        if self.waiting:
            self._drop_waiting(ranges)
        return gone, waited - self.depth

    def expire(self, now_s: float, patience_s: float = ANSWER_TIMEOUT_S) -> int:
        """Have sent again what was sent more than ``patience_s`` ago; return how many those are."""
        late: list[int] = []
        for seq, (at, _) in self.under_way.items():
            if now_s - at <= patience_s:
                break
            late.append(seq)
        for seq in late:
            del self.under_way[seq]
        if late:
            self.keep(late)
        return len(late)

    def disconnected(self) -> None:
        """Have sent again whatever was under way."""
        if self.under_way:
            seqs, self.under_way = list(self.under_way), {}
            self.keep(seqs)

    def _drop_waiting(self, ranges: Sequence[tuple[int, int]]) -> None:
        for first, last in ranges:
            left: list[tuple[int, int]] = []
            for begin, end in self.waiting:
                if end < first or begin > last:
                    left.append((begin, end))
                    continue
                if begin < first:
                    left.append((begin, first - 1))
                if end > last:
                    left.append((last + 1, end))
            self.waiting = left


def _merged(ranges: list[tuple[int, int]]) -> list[tuple[int, int]]:
    merged: list[tuple[int, int]] = []
    for first, last in sorted(ranges):
        if merged and first <= merged[-1][1] + 1:
            merged[-1] = (merged[-1][0], max(last, merged[-1][1]))
        else:
            merged.append((first, last))
    return merged
