"""What is happening now, from any thread to any number of open pages.

Threads hand over with :meth:`LiveHub.offer_levels` and the ``publish_*`` methods; the event loop sends what has come
together every :data:`FLUSH_S` seconds. Levels are of the moment: between two flushes the newest of a device wins. An
open page has a bounded queue; when it is full its oldest message goes, is counted, and the page is told to load anew
(``resync``). Alerts and states carry an id, and the last :data:`REPLAY` of them are kept for pages that come back.
"""

from __future__ import annotations

import asyncio
import secrets
import threading
from collections import deque
from collections.abc import AsyncIterator, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import msgspec
import structlog

from analysis.alerts.snapshot import AlertSnapshot

log = structlog.get_logger(__name__)

FLUSH_S: Final = 0.05
QUEUE_MESSAGES: Final = 256
REPLAY: Final = 500
MOST_CLIENTS: Final = 1_000
_MOST_PENDING_EVENTS: Final = 2_000
_MOST_METERS: Final = 50_000


class LiveLevel(msgspec.Struct, frozen=True, omit_defaults=True):
    """The newest second of one noise device. ``t`` is the second's start, ISO 8601 UTC; levels are dB to 0.01."""

    site: str
    device: str
    t: str
    laeq_db: float
    lafmax_db: float
    valid: bool
    flags: tuple[str, ...] = ()


class LiveWater(msgspec.Struct, frozen=True, omit_defaults=True):
    """The newest reading of one meter: its register in millilitres at ``t``."""

    site: str
    meter: str
    t: str
    register_ml: int
    flow_m3h: float | None = None
    flags: tuple[str, ...] = ()


class TooManyClients(Exception):
    """As many pages are open as this server serves."""


@dataclass(frozen=True, slots=True)
class _Event:
    """Something that happened at a site: kept for replay under ``number`` where that is not ``None``."""

    site: str
    frame: bytes
    number: int | None


@dataclass(slots=True)
class LiveStats:
    """Counts since the start, and how many pages are open."""

    clients: int = 0
    sent: int = 0
    dropped: int = 0
    """Messages that a slow page did not get."""
    events_dropped: int = 0
    """Events that came faster than the loop took them."""


@dataclass(eq=False, slots=True)
class Subscription:
    """One open page. ``sites`` are those that it is sent, ``None`` for all."""

    sites: frozenset[str] | None
    queue: deque[bytes] = field(default_factory=deque)
    wake: asyncio.Event = field(default_factory=asyncio.Event)
    lost: int = 0
    closed: bool = False

    def wants(self, site: str) -> bool:
        """Whether a site's news are for this page."""
        return self.sites is None or site in self.sites

    async def frames(self) -> AsyncIterator[bytes]:
        """Yield the frames of the event stream until the subscription is closed."""
        while True:
            await self.wake.wait()
            while self.queue:
                if self.lost:
                    self.lost = 0
                    yield frame("resync", b"{}")
                yield self.queue.popleft()
            if self.closed:
                return
            self.wake.clear()


class LiveHub:
    """See the module. ``flush_s`` and ``queue_messages`` are for tests."""

    def __init__(self, *, flush_s: float = FLUSH_S, queue_messages: int = QUEUE_MESSAGES) -> None:
        self._flush_s = flush_s
        self._queue_messages = queue_messages
        self._lock = threading.Lock()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._scheduled = False
        self._levels: dict[tuple[str, str], LiveLevel] = {}
        self._water: dict[tuple[str, str], LiveWater] = {}
        self._events: deque[_Event] = deque()
        self._latest: dict[tuple[str, str], LiveLevel] = {}
        self._history: deque[_Event] = deque(maxlen=REPLAY)
        self._boot = secrets.token_hex(4)
        self._number = 0
        self._clients: set[Subscription] = set()
        self.stats = LiveStats()

    # -- any thread --------------------------------------------------------------------------------------------

    def offer_levels(self, levels: Iterable[LiveLevel]) -> None:
        """Hand over the newest seconds of devices."""
        with self._lock:
            for one in levels:
                self._levels[one.site, one.device] = one
                self._latest[one.site, one.device] = one
        self._schedule()

    def offer_water(self, readings: Iterable[LiveWater]) -> None:
        """Hand over the newest readings of meters."""
        with self._lock:
            for one in readings:
                if len(self._water) < _MOST_METERS or (one.site, one.meter) in self._water:
                    self._water[one.site, one.meter] = one
        self._schedule()

    def publish_alert(self, alert: AlertSnapshot) -> None:
        """Tell an alert's new state."""
        self._publish("alert", alert.site, msgspec.to_builtins(alert), replayed=True)

    def publish_device(self, site: str, device: str, body: dict[str, Any]) -> None:
        """Tell that a device went online or offline."""
        self._publish("device", site, {"site": site, "device": device, **body}, replayed=True)

    def publish_event(self, site: str, device: str, body: dict[str, Any]) -> None:
        """Tell an event at the edge (overload, calibration …)."""
        self._publish("edge_event", site, {"site": site, "device": device, **body}, replayed=False)

    def latest(self) -> list[LiveLevel]:
        """Return the newest second of each device since the start."""
        with self._lock:
            return list(self._latest.values())

    def close(self) -> None:
        """End every open stream; to be called before the HTTP server stops."""
        with self._lock:
            loop = self._loop
        if loop is not None and not loop.is_closed():
            loop.call_soon_threadsafe(self._close_all)

    # -- event loop --------------------------------------------------------------------------------------------

    def bind(self, loop: asyncio.AbstractEventLoop) -> None:
        """Say on which loop the pages are served."""
        with self._lock:
            self._loop = loop
            self._scheduled = False

    def unbind(self) -> None:
        """Forget the loop; what is offered from now on is kept as the latest only."""
        self._close_all()
        with self._lock:
            self._loop = None

    def subscribe(self, sites: frozenset[str] | None, last_event_id: str = "") -> Subscription:
        """Open a stream that begins with what the page missed, and the newest levels.

        Raises :class:`TooManyClients`.
        """
        if len(self._clients) >= MOST_CLIENTS:
            raise TooManyClients
        page = Subscription(sites)
        for one in self._missed(page, last_event_id):
            page.queue.append(one)
        levels = [one for one in self.latest() if page.wants(one.site)]
        page.queue.append(frame("levels", _encode({"levels": levels})))
        page.wake.set()
        self._clients.add(page)
        self.stats.clients = len(self._clients)
        return page

    def unsubscribe(self, page: Subscription) -> None:
        """Close a stream."""
        page.closed = True
        page.wake.set()
        self._clients.discard(page)
        self.stats.clients = len(self._clients)

    def _missed(self, page: Subscription, last_event_id: str) -> list[bytes]:
        if not last_event_id:
            return [frame("hello", b"{}", self._id(self._number))]
        boot, _, number = last_event_id.partition("-")
        kept_from = self._history[0].number if self._history else self._number + 1
        known = boot == self._boot and number.isdecimal() and len(number) < 16
        if not known or int(number) + 1 < (kept_from or 0) or int(number) > self._number:
            return [frame("resync", b"{}", self._id(self._number))]
        return [
            one.frame
            for one in self._history
            if one.number is not None and one.number > int(number) and page.wants(one.site)
        ]

    def _flush(self) -> None:
        with self._lock:
            self._scheduled = False
            levels, self._levels = list(self._levels.values()), {}
            water, self._water = list(self._water.values()), {}
            events, self._events = list(self._events), deque()
        for one in events:
            if one.number is not None:
                self._history.append(one)
        rendered: dict[frozenset[str] | None, list[bytes]] = {}
        for page in list(self._clients):
            batch = rendered.get(page.sites)
            if batch is None:
                batch = rendered[page.sites] = _render(page, levels, water, events)
            self._send(page, batch)

    def _send(self, page: Subscription, batch: Sequence[bytes]) -> None:
        for one in batch:
            if len(page.queue) >= self._queue_messages:
                page.queue.popleft()
                page.lost += 1
                self.stats.dropped += 1
            page.queue.append(one)
        self.stats.sent += len(batch)
        if batch:
            page.wake.set()

    def _close_all(self) -> None:
        for page in list(self._clients):
            self.unsubscribe(page)

    # -- hand-over ---------------------------------------------------------------------------------------------

    def _publish(self, name: str, site: str, body: Any, *, replayed: bool) -> None:
        data = _encode(body)
        with self._lock:
            number = None
            if replayed:
                self._number += 1
                number = self._number
            if len(self._events) >= _MOST_PENDING_EVENTS:
                self._events.popleft()
                self.stats.events_dropped += 1
            sent = frame(name, data, self._id(number) if number is not None else "")
            self._events.append(_Event(site, sent, number))
        self._schedule()

    def _schedule(self) -> None:
        with self._lock:
            loop = self._loop
            if self._scheduled or loop is None or loop.is_closed():
                return
            self._scheduled = True
        try:
            loop.call_soon_threadsafe(loop.call_later, self._flush_s, self._flush)
        except RuntimeError:  # the loop closed between the look and the call
            with self._lock:
                self._scheduled = False

    def _id(self, number: int) -> str:
        return f"{self._boot}-{number}"


def frame(event: str, data: bytes, event_id: str = "") -> bytes:
    """Encode one message of an event stream; ``data`` is JSON on one line."""
    head = f"id: {event_id}\n" if event_id else ""
    return f"{head}event: {event}\ndata: ".encode() + data + b"\n\n"


def _render(
    page: Subscription, levels: Sequence[LiveLevel], water: Sequence[LiveWater], events: Sequence[_Event]
) -> list[bytes]:
    batch = [one.frame for one in events if page.wants(one.site)]
    now = [one for one in levels if page.wants(one.site)]
    if now:
        batch.append(frame("levels", _encode({"levels": now})))
    readings = [one for one in water if page.wants(one.site)]
    if readings:
        batch.append(frame("water", _encode({"readings": readings})))
    return batch


def _encode(body: Any) -> bytes:
    return msgspec.json.encode(body)
