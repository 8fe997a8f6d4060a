"""One MQTT connection of the fleet on asyncio: it comes back by itself, its window is bounded, callbacks cannot end it.

It carries one device with that device's login, or, as a gateway, the devices of some sites.
"""

from __future__ import annotations

import asyncio
import random
import ssl
import time
from collections.abc import Callable, Sequence
from typing import Final, cast

import structlog

from app.simulate import mqtt_packets as packets

log = structlog.get_logger(__name__)

_KEEPALIVE_S: Final = 60
_FILTERS_A_PACKET: Final = 50
_CONNECT_S: Final = 20.0
_BACKOFF_FIRST_S: Final = 1.0
_BACKOFF_MOST_S: Final = 60.0
_STUCK_S: Final = 30.0
"""A broker that acknowledges nothing for so long is left."""
REFUSALS: Final = {
    1: "it does not speak MQTT 3.1.1", 2: "it refuses the client id", 3: "it is not available",
    4: "user name or password is wrong", 5: "the user is not allowed in",
}  # fmt: skip


class Connection(asyncio.Protocol):
    """Keeps a session: :meth:`start`, :meth:`publish` while it is up, :meth:`hold` for an outage, :meth:`close`."""

    def __init__(
        self, address: tuple[str, int], tls: ssl.SSLContext | None, login: packets.Login, filters: Sequence[str], *,
        qos: int, window: int, limit: asyncio.Semaphore, is_own: bool, on_message: Callable[[str, bytes], None],
        on_up: Callable[[], None], on_down: Callable[[], None],
    ) -> None:  # fmt: skip
        self._address, self._tls, self._login, self._filters, self._qos = address, tls, login, filters, qos
        self._window, self._limit = window, limit
        self._on_message, self._on_up, self._on_down = on_message, on_up, on_down
        self._transport: asyncio.Transport | None = None
        self._parser = packets.Parser()
        self._in_flight: set[int] = set()
        self._last_mid = 0
        self._awaited = 0
        self._paused = False
        self._wanted = False
        self._failures = 0
        self._acknowledged_at = self._wrote_at = 0.0
        self._task: asyncio.Task[None] | None = None
        self._decided = asyncio.Event()
        """Whether the broker has let us in, or the connection is gone."""
        self.is_own = is_own
        """Whether it is one device's own."""
        self.up = False
        self.connects = 0
        self.trouble = ""

    def start(self) -> None:
        """Connect, and go on doing so when the connection is lost."""
        self._wanted = True
        self._plan(0.0)

    def hold(self) -> None:
        """Break off without a good-bye, as a device does whose network is gone; :meth:`start` ends it."""
        self._wanted = False
        if self._task is not None:
            self._task.cancel()
        if self._transport is not None:
            self._transport.abort()

    def close(self) -> None:
        """Say good-bye."""
        self._wanted = False
        if self._task is not None:
            self._task.cancel()
        if self._transport is not None:
            self._transport.write(packets.DISCONNECT)
            self._transport.close()

    @property
    def settled(self) -> bool:
        """Whether the broker has acknowledged all that was published."""
        return not self._in_flight

    def publish(self, topic: bytes, payload: bytes, *, retain: bool = False) -> bool:
        """Hand a message to the broker; ``False`` when the link is down or its window is full."""
        if not self.up or self._paused or len(self._in_flight) >= self._window:
            return False
        assert self._transport is not None
        mid = self._next_mid()
        if not self._in_flight:
            self._acknowledged_at = time.monotonic()
        self._in_flight.add(mid)
        self._transport.write(packets.publish(topic, payload, mid, retain=retain))
        self._wrote_at = time.monotonic()
        return True

    def keep_alive(self, now_s: float) -> None:
        """Tell the broker that we are there, leave one that acknowledges nothing; to be called every few seconds."""
        if self._transport is None or not self.up:
            return
        if self._in_flight and now_s - self._acknowledged_at > _STUCK_S:
            self.trouble = "the broker acknowledges nothing"
            self._transport.abort()
        elif now_s - self._wrote_at > _KEEPALIVE_S / 3:
            self._transport.write(packets.PINGREQ)
            self._wrote_at = now_s

    # -- asyncio's side ------------------------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Log in."""
        stream = cast(asyncio.Transport, transport)  # uvloop's is none by inheritance
        self._transport = stream
        self._parser = packets.Parser()
        self._in_flight = set()
        self._paused = False
        self._decided.clear()
        stream.write(packets.connect(self._login, _KEEPALIVE_S))

    def data_received(self, data: bytes) -> None:
        """Take what arrived; whatever is wrong with it costs the connection and nothing more."""
        try:
            for head, body in self._parser.feed(data):
                self._take(head, body)
        except Exception as error:
            log.exception("a simulated connection is made anew", cause=str(error))
            if self._transport is not None:
                self._transport.abort()

    def pause_writing(self) -> None:
        """Publish nothing more: the socket is full."""
        self._paused = True

    def resume_writing(self) -> None:
        """Go on publishing."""
        self._paused = False

    def connection_lost(self, exc: Exception | None) -> None:
        """Come back, unless it is to stay away."""
        was_up, self.up, self._transport = self.up, False, None
        self._decided.set()
        if exc is not None:
            self.trouble = str(exc)
        self._failures = 1 if was_up else self._failures + 1
        if was_up:
            self._on_down()
        if self._wanted:
            most = min(_BACKOFF_MOST_S, _BACKOFF_FIRST_S * 2.0 ** min(self._failures - 1, 8))
            self._plan(random.uniform(0.3, 1.0) * most)  # noqa: S311

    # -- inside --------------------------------------------------------------------------------------------------

    def _plan(self, after_s: float) -> None:
        self._task = asyncio.get_running_loop().create_task(self._connect(after_s))

    async def _connect(self, after_s: float) -> None:
        await asyncio.sleep(after_s)
        host, port = self._address
        while self._wanted:
            try:
                async with self._limit, asyncio.timeout(_CONNECT_S):
                    await asyncio.get_running_loop().create_connection(
                        lambda: self, host, port, ssl=self._tls
                    )
                    await self._decided.wait()
                return
            except (OSError, TimeoutError) as error:
                self.trouble = str(error) or "no answer"
                self._failures += 1
                if self._transport is not None:
                    self._transport.abort()
                    return
            await asyncio.sleep(min(_BACKOFF_MOST_S, _BACKOFF_FIRST_S * 2.0 ** min(self._failures, 8)))

    def _take(self, head: int, body: bytes) -> None:
        kind = head >> 4
        if kind == packets.PUBACK:
            self._in_flight.discard(int.from_bytes(body, "big"))
            self._acknowledged_at = time.monotonic()
        elif kind == packets.PUBLISH:
            topic, payload, mid = packets.published(head, body)
            if mid and self._transport is not None:
                self._transport.write(packets.puback(mid))
            self._on_message(topic, payload)
        elif kind == packets.CONNACK:
            self._let_in(body[1])
        elif kind == packets.SUBACK:
            self._subscribed(body[2:])

    def _let_in(self, code: int) -> None:
        assert self._transport is not None
        if code:
            self.trouble = REFUSALS.get(code, f"code {code}")
            self._transport.abort()
            return
        self._awaited = 0
        for at in range(0, len(self._filters), _FILTERS_A_PACKET):
            part = self._filters[at : at + _FILTERS_A_PACKET]
            self._transport.write(packets.subscribe(self._next_mid(), part, self._qos))
            self._awaited += 1

    def _subscribed(self, codes: bytes) -> None:
        if max(codes) >= 0x80:
            self.trouble = "the broker refuses our subscription"
            if self._transport is not None:
                self._transport.abort()
            return
        self._awaited -= 1
        if self._awaited == 0:
            self.up, self.connects, self.trouble = True, self.connects + 1, ""
            self._acknowledged_at = self._wrote_at = time.monotonic()
            self._decided.set()
            self._on_up()

    def _next_mid(self) -> int:
        self._last_mid = self._last_mid % 65_535 + 1
        while self._last_mid in self._in_flight:
            self._last_mid = self._last_mid % 65_535 + 1
        return self._last_mid
