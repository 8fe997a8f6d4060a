"""The talk with one platform: connect, send what waits, resend until 9014, answer what it asks. One thread, one socket.

A packet goes out under one request number (QN) and, where no 9014 comes in time, again under the same, so that the
platform knows a copy. After :data:`MOST_TRIES` the connection is taken for dead and made anew. Only so many packets are
on their way at once.
"""

from __future__ import annotations

import random
import select
import socket
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Final

import structlog

from api.uplinks.hj212.answers import Talk, reply
from api.uplinks.hj212.frame import BadFrame, Deframer, encode
from api.uplinks.hj212.message import (
    ANSWER_WANTED,
    BadSegment,
    Group,
    Message,
    build,
    groups_of,
    parse,
    qn_of,
)
from api.uplinks.hj212.profile import Profile
from api.uplinks.hj212.queue import UplinkQueue, Waiting

log = structlog.get_logger(__name__)

OVER_TIME_S: Final = 10.0
MOST_TRIES: Final = 3
_WINDOW: Final = 8
"""Packets on their way without an answer, once the platform has answered as many: a new connection begins with one."""
_POLL_S: Final = 0.2
_CONNECT_TIMEOUT_S: Final = 10.0
_BACKOFF_MOST_S: Final = 60.0


class ConnectionEnded(OSError):
    """The platform closed the connection, or answers no more."""


@dataclass(slots=True)
class ClientStats:
    """Counts since the start."""

    connects: int = 0
    sent: int = 0
    resent: int = 0
    acknowledged: int = 0
    requests: int = 0
    bad_frames: int = 0


@dataclass(slots=True)
class _OnItsWay:
    packet: Waiting
    qn: str
    at_s: float
    tries: int


@dataclass(slots=True)
class _Session:
    sock: socket.socket
    deframer: Deframer = field(default_factory=Deframer)
    on_its_way: dict[str, _OnItsWay] = field(default_factory=dict)
    window: int = 1


class PlatformClient:
    """Sends a queue to a platform until stopped, reconnecting for ever.

    ``live`` gives CP of a station's live data; ``now`` is the clock of the data, ``over_time_s`` how long an answer is
    waited for.
    """

    def __init__(
        self, address: tuple[str, int], profile: Profile, queue: UplinkQueue, stations: tuple[str, ...], *, pw: str,
        now: Callable[[], datetime], live: Callable[[str], list[Group] | None] | None = None, talk: Talk | None = None,
        over_time_s: float = OVER_TIME_S, poll_s: float = _POLL_S, backoff_s: float = 1.0,
    ) -> None:  # fmt: skip
        self._address = address
        self._profile = profile
        self._queue = queue
        self._stations = stations
        self._pw = pw
        self._now = now
        self._live = live
        self._talk = _remembered(queue, talk or Talk())
        self._over_time_s = over_time_s
        self._poll_s = poll_s
        self._backoff_s = backoff_s
        self._next_live_s = 0.0
        self._last_qn: datetime | None = None
        self._connected = threading.Event()
        self._trouble = ""
        self.stats = ClientStats()

    @property
    def connected(self) -> bool:
        """Whether there is a connection."""
        return self._connected.is_set()

    @property
    def talk(self) -> Talk:
        """What the platform set."""
        return self._talk

    def run(self, stop: threading.Event) -> None:
        """Work until ``stop``; whatever is raised ends the connection, not the thread."""
        failures = 0
        while not stop.is_set():
            arrived = self.stats.acknowledged
            try:
                self._connect_and_talk(stop)
            except OSError as error:
                self._tell(str(error) or type(error).__name__)
            except Exception:
                log.exception("the uplink failed and goes on")
            self._connected.clear()
            # A platform that took something is there: it is not waited for longer and longer.
            failures = 0 if self.stats.acknowledged > arrived else failures + 1
            wait_s = min(_BACKOFF_MOST_S, self._backoff_s * 2.0 ** min(failures, 6))
            stop.wait(random.uniform(0.5, 1.0) * wait_s)  # noqa: S311

    # -- inside ------------------------------------------------------------------------------------------------

    def _connect_and_talk(self, stop: threading.Event) -> None:
        with socket.create_connection(self._address, timeout=_CONNECT_TIMEOUT_S) as sock:
            sock.settimeout(_CONNECT_TIMEOUT_S)  # also for a platform that reads no more
            self.stats.connects += 1
            self._connected.set()
            self._trouble = ""
            log.info("the platform is connected", host=self._address[0], port=self._address[1])
            session = _Session(sock)
            while not stop.is_set():
                self._send_waiting(session)
                self._send_live(session)
                self._receive(session, self._poll_s)
                self._resend(session)

    def _send_waiting(self, session: _Session) -> None:
        room = session.window - len(session.on_its_way)
        if room <= 0:
            return
        busy = {one.packet.id for one in session.on_its_way.values()}
        fresh = [one for one in self._queue.next(room + len(busy)) if one.id not in busy]
        for packet in fresh[:room]:
            qn = packet.qn or self._new_qn()
            if packet.qn is None:
                self._queue.sent(packet.id, qn)
            self._send(session, self._data(packet, qn))
            session.on_its_way[qn] = _OnItsWay(packet, qn, time.monotonic(), 1)
            self.stats.sent += 1
            self.stats.resent += packet.qn is not None
            # What was answered already must not be lost when the next packet finds the connection cut.
            self._receive(session, 0.0)

    def _resend(self, session: _Session) -> None:
        now_s = time.monotonic()
        for one in session.on_its_way.values():
            if now_s - one.at_s < self._over_time_s:
                continue
            if one.tries >= MOST_TRIES:
                raise ConnectionEnded(f"no answer to {one.qn} after {one.tries} tries")
            self._send(session, self._data(one.packet, one.qn))
            one.at_s, one.tries = now_s, one.tries + 1
            self.stats.resent += 1

    def _send_live(self, session: _Session) -> None:
        if self._live is None or not self._talk.live or time.monotonic() < self._next_live_s:
            return
        self._next_live_s = time.monotonic() + self._talk.live_interval_s
        for mn in self._stations:
            groups = self._live(mn)
            if groups:
                cn = self._profile.commands["live"]
                flag = self._profile.flag  # no answer wanted: the next one is newer anyway
                self._send(session, Message(self._new_qn(), self._profile.st, cn, self._pw, mn, flag, groups))

    def _receive(self, session: _Session, wait_s: float) -> None:
        if not select.select([session.sock], [], [], wait_s)[0]:
            return
        data = session.sock.recv(65_536)
        if not data:
            raise ConnectionEnded("the platform closed the connection")
        for one in session.deframer.feed(data):
            if isinstance(one, BadFrame):
                self.stats.bad_frames += 1
                continue
            try:
                message = parse(one)
            except BadSegment:
                self.stats.bad_frames += 1
                continue
            self._take(session, message)

    def _take(self, session: _Session, message: Message) -> None:
        if message.cn == "9014":
            done = session.on_its_way.pop(message.qn, None)
            if done is not None:
                self._queue.acknowledge(done.packet.id)
                self.stats.acknowledged += 1
                session.window = min(_WINDOW, session.window + 1)
            return
        if message.cn.startswith("9"):
            return  # answers to what we never ask
        self.stats.requests += 1
        answer = reply(self._profile, self._talk, message, self._now(), pw=self._pw, stations=self._stations)
        if answer.talk != self._talk:
            self._talk = answer.talk
            _remember(self._queue, answer.talk)
        for one in answer.messages:
            self._send(session, one)
        if answer.live_now:
            self._next_live_s = 0.0

    def _data(self, packet: Waiting, qn: str) -> Message:
        flag = self._profile.flag | ANSWER_WANTED
        row = packet.row
        return Message(qn, self._profile.st, row.cn, self._pw, row.mn, flag, groups_of(row.cp))

    def _send(self, session: _Session, message: Message) -> None:
        session.sock.sendall(encode(build(message)))

    def _new_qn(self) -> str:
        """Return a request number later than every one before, as long as this process lives."""
        now = self._now().astimezone(self._profile.zone)
        self._last_qn = max(now, self._last_qn + timedelta(milliseconds=1)) if self._last_qn else now
        return qn_of(self._last_qn)

    def _tell(self, text: str) -> None:
        if text != self._trouble:
            log.warning("the platform is away", host=self._address[0], port=self._address[1], cause=text)
        self._trouble = text


def _remembered(queue: UplinkQueue, usual: Talk) -> Talk:
    live_s, minute_min, live = (queue.noted(f"talk.{name}") for name in ("live_s", "minute_min", "live"))
    return Talk(
        int(live_s or usual.live_interval_s), int(minute_min or usual.minute_interval_min),
        usual.live if live is None else live == "1",
    )  # fmt: skip


def _remember(queue: UplinkQueue, talk: Talk) -> None:
    queue.note("talk.live_s", str(talk.live_interval_s))
    queue.note("talk.minute_min", str(talk.minute_interval_min))
    queue.note("talk.live", "1" if talk.live else "0")
