"""What the courier sends next: pure, times are monotonic seconds that are passed in."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Final

_PATIENCE_MOST_S: Final = 900.0


@dataclass(slots=True)
class _Sent:
    at: float
    backlog: bool


@dataclass(slots=True)
class Schedule:
    """What is under way and where the backlog stands.

    A reading without a ``stored`` after ``answer_timeout_s`` is sent again. ``window`` bounds the readings of the
    backlog that are under way, ``backlog_per_s`` its rate. The backlog goes in passes from the newest reading down
    to the oldest. Two things slow it down, each doubling up to a quarter of an hour, so that a server that is away or
    holds readings back is not sent the same over and over: silence (nothing is answered at all) lengthens the
    time-out, and a pass of which nothing was confirmed (the server does not know a meter, say) the rest before the
    next pass.
    """

    answer_timeout_s: float = 30.0
    window: int = 5_000
    backlog_per_s: float = 2_000.0
    cursor: int | None = None
    """The backlog is sent downwards from here; ``None`` when a pass is complete."""
    under_way: dict[int, _Sent] = field(default_factory=dict[int, _Sent])
    """By ``seq``, in the order of sending."""
    quiet_since: float | None = None
    """Since when readings are under way without any answer."""
    silences: int = 0
    reconnect_due: bool = False
    """The server was quiet for so long that a new connection is worth a try; whoever makes it clears this."""
    fruitless: int = 0
    pass_ended_at: float = float("-inf")
    _pass_sent: int = 0
    _pass_confirmed: int = 0
    _tokens: float = 0.0
    _tokens_at: float | None = None

    @property
    def patience_s(self) -> float:
        """How long an answer is waited for, now."""
        return min(_PATIENCE_MOST_S, self.answer_timeout_s * 2.0 ** min(self.silences, 20))

    @property
    def rest_s(self) -> float:
        """How long after a pass the next one may begin."""
        return min(_PATIENCE_MOST_S, self.answer_timeout_s / 3 * 2.0 ** min(self.fruitless, 20))

    def connected(self, next_seq: int) -> None:
        """Begin a pass over all that is unconfirmed: whatever was under way may be lost."""
        self.under_way.clear()
        self.cursor = next_seq
        self.quiet_since = None
        self.fruitless = 0
        self._pass_sent = self._pass_confirmed = 0

    def sent(self, seqs: Iterable[int], now_s: float, *, backlog: bool) -> None:
        """Note what was handed to the broker."""
        count = 0
        for seq in seqs:
            self.under_way.pop(seq, None)
            self.under_way[seq] = _Sent(now_s, backlog)
            count += 1
        if backlog:
            self._pass_sent += count
            self._tokens -= count
        if self.quiet_since is None:
            self.quiet_since = now_s

    def answered(self, ranges: Iterable[tuple[int, int]]) -> None:
        """Note what the server has dealt with."""
        self.silences = 0
        self.quiet_since = None
        for first, last in ranges:
            within = (
                range(first, last + 1)
                if last - first < len(self.under_way)
                else [seq for seq in self.under_way if first <= seq <= last]
            )
            for seq in within:
                one = self.under_way.pop(seq, None)
                self._pass_confirmed += one is not None and one.backlog

    def expire(self, now_s: float) -> int:
        """Forget what was sent too long ago, so that the next pass sends it again; return how many that were."""
        patience_s = self.patience_s
        late: list[int] = []
        for seq, one in self.under_way.items():
            if now_s - one.at <= patience_s:
                break
            late.append(seq)
        for seq in late:
            del self.under_way[seq]
        if late and self.quiet_since is not None and now_s - self.quiet_since > patience_s:
            self.silences += 1
            self.reconnect_due = True
        return len(late)

    def backlog_allowance(self, now_s: float) -> int:
        """Return how many backlog readings may be sent now (token bucket of one second, and the window)."""
        if self._tokens_at is not None:
            gained = (now_s - self._tokens_at) * self.backlog_per_s
            self._tokens = min(self.backlog_per_s, self._tokens + gained)
        self._tokens_at = now_s
        return max(0, min(int(self._tokens), self.window - len(self.under_way)))

    def pass_is_over(self, now_s: float) -> None:
        """Note that the backlog has been sent down to its oldest reading."""
        self.cursor, self.pass_ended_at = None, now_s

    def maybe_restart(self, next_seq: int, waiting: int, now_s: float) -> None:
        """Begin a new pass when readings wait that are not under way and the last pass is over and rested."""
        if self.cursor is not None or waiting <= len(self.under_way):
            return
        if now_s - self.pass_ended_at <= self.rest_s:
            return
        self.fruitless = self.fruitless + 1 if self._pass_sent and not self._pass_confirmed else 0
        self._pass_sent = self._pass_confirmed = 0
        self.cursor = next_seq
