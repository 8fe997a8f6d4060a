"""Carries readings from the outbox to the broker: what is new at once, the backlog newest first and bounded.

:class:`edge.schedule.Schedule` decides; :class:`Courier` acts.
"""

from __future__ import annotations

import sqlite3
import threading
import time
from collections.abc import Sequence
from datetime import datetime
from typing import Final, Protocol

import structlog

from contract.clock import Clock
from contract.codec import encode_array
from contract.messages import MAX_PAYLOAD_BYTES, EdgeEvent, Stored
from contract.topics import ReadingKind
from edge.outbox import Outbox, OutboxEntry
from edge.schedule import Schedule

log = structlog.get_logger(__name__)

MESSAGE_READINGS: Final = 200
"""Readings in one message at most; the contract allows 600."""
_MESSAGE_BYTES: Final = MAX_PAYLOAD_BYTES // 4
_TICK_S: Final = 0.1
_PENDING_MOST: Final = 2_000
_REFUSED_INTERVAL_S: Final = 3_600.0


class Publisher(Protocol):
    """What the courier needs of the link."""

    @property
    def connected(self) -> bool:
        """Whether publishing has a chance."""
        ...

    def publish(self, kind: ReadingKind, payload: bytes) -> bool:
        """Hand over a payload; ``False`` at once if it cannot be taken now."""
        ...

    def drop(self) -> None:
        """Make a new connection."""
        ...


def in_messages(entries: Sequence[OutboxEntry]) -> list[tuple[ReadingKind, list[OutboxEntry]]]:
    """Group entries by kind, each group in messages of at most ``MESSAGE_READINGS`` and a quarter MiB."""
    messages: list[tuple[ReadingKind, list[OutboxEntry]]] = []
    current: dict[ReadingKind, list[OutboxEntry]] = {}
    size: dict[ReadingKind, int] = {}
    for entry in entries:
        length = len(entry.payload) + 1
        group = current.get(entry.kind)
        if group is None or len(group) >= MESSAGE_READINGS or size[entry.kind] + length > _MESSAGE_BYTES:
            group = current[entry.kind] = []
            size[entry.kind] = 0
            messages.append((entry.kind, group))
        group.append(entry)
        size[entry.kind] += length
    return messages


class Courier:
    """Moves readings from the outbox to the link, commits the outbox, and takes the server's answers."""

    def __init__(
        self, outbox: Outbox, link: Publisher, clock: Clock, *, commit_interval_s: float = 5.0,
        send_interval_s: float = 0.0, schedule: Schedule | None = None,
    ) -> None:  # fmt: skip
        self._outbox = outbox
        self._link = link
        self._clock = clock
        self._commit_interval_s = commit_interval_s
        self._send_interval_s = send_interval_s
        self._sent_live_at = float("-inf")
        self._schedule = schedule or Schedule()
        self._lock = threading.Lock()
        self._answers: list[Stored] = []
        self._new_session = False
        self._pending: list[OutboxEntry] = []
        """New readings for which the link had no room yet."""
        self._committed_at = time.monotonic()
        self._refused_told = 0
        self._refused_told_at = float("-inf")
        self._expiring = False

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
            if self._link.connected and not self._gathers(time.monotonic()):
                self._outbox.wait(_TICK_S)  # a new reading goes at once
            else:
                stop.wait(_TICK_S)
            self.step(time.monotonic(), self._clock.now())
        self._take_answers()
        self._outbox.commit(self._clock.now())

    def step(self, now_s: float, now: datetime) -> None:
        """Do one round: answers, new readings, backlog, commit. A corrupt outbox is replaced."""
        try:
            self._take_answers()
            self._begin_session()
            self._send_live(now_s)
            self._send_backlog(now_s)
        except sqlite3.DatabaseError as error:
            self._outbox.replace_corrupt(error, now)
        if now_s - self._committed_at >= self._commit_interval_s:
            self._outbox.commit(now)
            self._committed_at = now_s
            self._tell_refused(now_s, now)

    def _take_answers(self) -> None:
        with self._lock:
            answers, self._answers = self._answers, []
        for answer in answers:
            self._outbox.confirm(answer.stored)
            self._outbox.refuse(answer.refused)
            self._schedule.answered((*answer.stored, *answer.refused))
            self._expiring = False

    def _begin_session(self) -> None:
        with self._lock:
            fresh, self._new_session = self._new_session, False
        if fresh:
            self._outbox.take_live()
            self._pending = []
            self._schedule.connected(self._outbox.next_seq)

    def _send_live(self, now_s: float) -> None:
        if not self._link.connected or self._gathers(now_s):
            return
        self._sent_live_at = now_s
        under_way = self._schedule.under_way
        waiting = self._pending + [e for e in self._outbox.take_live() if e.seq not in under_way]
        self._pending = self._send_all(waiting, now_s, backlog=False)[-_PENDING_MOST:]

    def _gathers(self, now_s: float) -> bool:
        """Whether new readings still wait for those after them, to go in one message."""
        return now_s - self._sent_live_at < self._send_interval_s

    def _send_backlog(self, now_s: float) -> None:
        schedule = self._schedule
        if not self._link.connected:
            return
        if schedule.expire(now_s) and not self._expiring:
            self._expiring = True
            log.info("readings were not confirmed in time and will be sent again")
        if schedule.reconnect_due:
            schedule.reconnect_due = False
            self._link.drop()
            return
        # What waits to be sent together is not left behind.
        schedule.maybe_restart(self._outbox.first_live, self._outbox.depth(), now_s)
        allowance = schedule.backlog_allowance(now_s)
        if schedule.cursor is None or allowance < 1:
            return
        entries = self._outbox.older_than(schedule.cursor, allowance)
        if not entries:
            schedule.pass_is_over(now_s)
            return
        waiting = [entry for entry in entries if entry.seq not in schedule.under_way]
        if not self._send_all(waiting, now_s, backlog=True):
            schedule.cursor = entries[-1].seq  # else the same again: what was taken of it is under way

    def _send_all(self, entries: Sequence[OutboxEntry], now_s: float, *, backlog: bool) -> list[OutboxEntry]:
        """Send until the link takes no more; return what is left."""
        messages = in_messages(entries)
        for index, (kind, group) in enumerate(messages):
            ordered = sorted(group, key=lambda entry: entry.seq)
            if not self._link.publish(kind, encode_array([entry.payload for entry in ordered])):
                return [entry for _, rest in messages[index:] for entry in rest]
            self._schedule.sent((entry.seq for entry in ordered), now_s, backlog=backlog)
        return []

    def _tell_refused(self, now_s: float, now: datetime) -> None:
        new = self._outbox.refused_total - self._refused_told
        # Once an hour: this event may be refused as well, when the clock is wrong.
        if new > 0 and now_s - self._refused_told_at >= _REFUSED_INTERVAL_S:
            self._refused_told, self._refused_told_at = self._outbox.refused_total, now_s
            log.warning("the server refused readings; they are in its quarantine", count=new)
            self._outbox.append(EdgeEvent(seq=0, t=now, kind="readings_refused", detail={"count": new}))
