"""Carries readings from the outbox to the broker: what is new at once, the backlog newest first and bounded.

:class:`Schedule` decides (pure: what is under way, what comes next); :class:`Courier` acts.
"""

from __future__ import annotations

import sqlite3
import threading
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final, Protocol

import structlog

from contract.clock import Clock
from contract.codec import encode_array
from contract.messages import EdgeEvent, Stored
from contract.topics import ReadingKind
from edge.outbox import Outbox, OutboxEntry

log = structlog.get_logger(__name__)

MESSAGE_READINGS: Final = 200
"""Readings in one message at most; the contract allows 600."""
_LIVE_TICK_S: Final = 0.1
_OLDEST_FIRST: Final = -1


class Publisher(Protocol):
    """What the courier needs of the link."""

    @property
    def connected(self) -> bool:
        """Whether publishing has a chance."""
        ...

    def publish(self, kind: str, payload: bytes, *, timeout_s: float = 5.0) -> bool:
        """Hand over a payload; ``False`` if it was not taken."""
        ...

    def drop(self) -> None:
        """Make a new connection."""
        ...


@dataclass(slots=True)
class Schedule:
    """What is under way and where the backlog stands. Times are monotonic seconds, passed in.

    ``answer_timeout_s`` after a reading was sent without a ``stored`` it is sent again. ``window`` bounds readings
    under way, ``backlog_per_s`` the rate of the backlog.
    """

    answer_timeout_s: float = 30.0
    window: int = 5_000
    backlog_per_s: float = 2_000.0
    under_way: dict[int, float] = field(default_factory=dict)
    cursor: int | None = None
    """The backlog is sent downwards from here; ``None`` when a pass is complete."""
    pass_ended_at: float = 0.0
    quiet_since: float | None = None
    """Since when readings are under way without any answer."""
    tokens: float = 0.0
    tokens_at: float | None = None

    def connected(self, next_seq: int) -> None:
        """Begin a pass over all that is unconfirmed: whatever was under way may be lost."""
        self.under_way.clear()
        self.cursor = next_seq
        self.quiet_since = None

    def sent(self, seqs: Iterable[int], now_s: float) -> None:
        """Note what was handed to the broker."""
        for seq in seqs:
            self.under_way[seq] = now_s
        if self.quiet_since is None:
            self.quiet_since = now_s

    def answered(self, ranges: Iterable[tuple[int, int]]) -> None:
        """Note what the server answered."""
        self.quiet_since = None
        for first, last in ranges:
            if last - first < len(self.under_way):
                for seq in range(first, last + 1):
                    self.under_way.pop(seq, None)
            else:
                for seq in [seq for seq in self.under_way if first <= seq <= last]:
                    del self.under_way[seq]

    def expire(self, now_s: float) -> int:
        """Forget what was sent too long ago, so that the next pass sends it again; return how many that were."""
        late = [seq for seq, at in self.under_way.items() if now_s - at > self.answer_timeout_s]
        for seq in late:
            del self.under_way[seq]
        return len(late)

    def looks_dead(self, now_s: float) -> bool:
        """Say whether the server has been quiet for so long that a new connection is worth a try."""
        return self.quiet_since is not None and now_s - self.quiet_since > 2 * self.answer_timeout_s

    def backlog_allowance(self, now_s: float) -> int:
        """Return how many backlog readings may be sent now (token bucket of one second, and the window)."""
        if self.tokens_at is not None:
            self.tokens = min(self.backlog_per_s, self.tokens + (now_s - self.tokens_at) * self.backlog_per_s)
        self.tokens_at = now_s
        return max(0, min(int(self.tokens), self.window - len(self.under_way)))

    def maybe_restart(self, next_seq: int, waiting: int, now_s: float) -> None:
        """Begin a new pass when readings wait that are not under way and the last pass is over."""
        idle = waiting > len(self.under_way) and now_s - self.pass_ended_at > self.answer_timeout_s / 3
        if self.cursor is None and idle:
            self.cursor = next_seq


def in_messages(entries: Sequence[OutboxEntry]) -> list[tuple[ReadingKind, list[OutboxEntry]]]:
    """Group entries by kind, each group in messages of at most ``MESSAGE_READINGS``."""
    by_kind: dict[ReadingKind, list[OutboxEntry]] = {}
    for entry in entries:
        by_kind.setdefault(entry.kind, []).append(entry)
    return [
        (kind, group[at : at + MESSAGE_READINGS])
        for kind, group in by_kind.items()
        for at in range(0, len(group), MESSAGE_READINGS)
    ]


class Courier:
    """Moves readings from the outbox to the link, commits the outbox, and takes the server's answers."""

    def __init__(
        self, outbox: Outbox, link: Publisher, clock: Clock, *, commit_interval_s: float = 5.0,
        schedule: Schedule | None = None,
    ) -> None:  # fmt: skip
        self._outbox = outbox
        self._link = link
        self._clock = clock
        self._commit_interval_s = commit_interval_s
        self._schedule = schedule or Schedule()
        self._lock = threading.Lock()
        self._answers: list[Stored] = []
        self._new_session = False
        self._committed_at = time.monotonic()
        self._refused_told = 0

    def on_stored(self, answer: Stored) -> None:
        """Take an answer of the server; called from the link's thread."""
        with self._lock:
            self._answers.append(answer)

    def on_connected(self) -> None:
        """Note that a new session began; called from the link's thread."""
        with self._lock:
            self._new_session = True

    def run(self, stop: threading.Event) -> None:
        """Work until ``stop``; then commit what is left."""
        while not stop.is_set():
            self._outbox.wait(_LIVE_TICK_S)
            if stop.wait(_LIVE_TICK_S):
                break
            self.step(time.monotonic(), self._clock.now())
        self._take_answers()
        self._outbox.commit(self._clock.now())

    def step(self, now_s: float, now: datetime) -> None:
        """Do one round: answers, new readings, backlog, commit. A corrupt outbox is replaced."""
        try:
            self._take_answers()
            self._begin_session(now)
            self._send_live(now_s)
            self._send_backlog(now_s)
            if now_s - self._committed_at >= self._commit_interval_s:
                self._outbox.commit(now)
                self._committed_at = now_s
                self._tell_refused(now)
        except sqlite3.OperationalError:
            raise
        except sqlite3.DatabaseError as error:
            self._outbox.replace_corrupt(error, now)

    def _take_answers(self) -> None:
        with self._lock:
            answers, self._answers = self._answers, []
        for answer in answers:
            self._outbox.confirm(answer.stored)
            self._outbox.refuse(answer.refused)
            self._schedule.answered(answer.stored)
            self._schedule.answered(answer.refused)

    def _begin_session(self, now: datetime) -> None:
        with self._lock:
            fresh, self._new_session = self._new_session, False
        if fresh:
            self._outbox.commit(now)
            self._outbox.take_live()
            self._schedule.connected(self._outbox.next_seq)

    def _send_live(self, now_s: float) -> None:
        if not self._link.connected:
            return
        for kind, group in in_messages(self._outbox.take_live()):
            if not self._send(kind, group, now_s):
                return  # what was not taken is in the outbox; the next pass over the backlog sends it

    def _send_backlog(self, now_s: float) -> None:
        schedule = self._schedule
        if not self._link.connected:
            return
        if schedule.expire(now_s):
            log.info("readings were not confirmed in time and will be sent again")
        if schedule.looks_dead(now_s):
            schedule.quiet_since = None
            self._link.drop()
            return
        schedule.maybe_restart(self._outbox.next_seq, self._outbox.depth(), now_s)
        allowance = schedule.backlog_allowance(now_s)
        if schedule.cursor is None or allowance < 1:
            return
        entries = self._outbox.older_than(schedule.cursor, allowance)
        if not entries:
            schedule.cursor, schedule.pass_ended_at = None, now_s
            return
        schedule.tokens -= len(entries)
        waiting = [entry for entry in entries if entry.seq not in schedule.under_way]
        for kind, group in in_messages(waiting):
            if not self._send(kind, group, now_s):
                return
        schedule.cursor = entries[_OLDEST_FIRST].seq

    def _send(self, kind: ReadingKind, group: Sequence[OutboxEntry], now_s: float) -> bool:
        ordered = sorted(group, key=lambda entry: entry.seq)
        if not self._link.publish(kind, encode_array([entry.payload for entry in ordered])):
            return False
        self._schedule.sent((entry.seq for entry in ordered), now_s)
        return True

    def _tell_refused(self, now: datetime) -> None:
        new = self._outbox.refused_total - self._refused_told
        if new > 0:
            self._refused_told = self._outbox.refused_total
            log.warning("the server refused readings; they are in its quarantine", count=new)
            self._outbox.append(EdgeEvent(seq=0, t=now, kind="readings_refused", detail={"count": new}))
