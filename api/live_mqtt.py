"""Live messages from the MQTT broker. QoS 0 and no session: what is missed here is stored by ingest all the same."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Final

from api.live_feed import LiveFeed
from api.mqtt_link import Broker, MqttLink, Pace, brokers_of
from contract.tls import TlsFiles
from contract.topics import TopicKind, kind_filter

_KINDS: Final[tuple[TopicKind, ...]] = ("noise", "water", "event", "status")
_PACE: Final = Pace(keepalive_s=15, backoff_s=0.2, backoff_most_s=10.0, steady_s=10.0)
_COPY_S: Final = 2.0
"""The nodes' copies of a message arrive within this time of one another."""


class LiveMqtt:
    """Feeds a :class:`~api.live_feed.LiveFeed` from a broker, reconnecting for ever until stopped.

    Of a cluster it listens at every node: a node that dies, or that is cut off from another one, takes nothing out of
    the live view that any node has heard. Each message arrives once a node; the copies are dropped before anything is
    decoded.
    """

    def __init__(
        self, url: str, feed: LiveFeed, *, username: str | None = None, password: str | None = None,
        tls_files: TlsFiles = TlsFiles(),  # noqa: B008  it cannot change
    ) -> None:  # fmt: skip
        """``url`` is ``mqtt://host:port`` or ``mqtts://host:port``, or a cluster's nodes with commas between them.

        Raises ``ValueError`` for another scheme.
        """
        brokers = brokers_of(url, username, password, tls_files)
        self._feed = feed
        self._lock = threading.Lock()
        self._copies = Copies(_COPY_S, time.monotonic) if len(brokers) > 1 else None
        self._links = [_NodeLink(broker, self._accept) for broker in brokers]

    def start(self) -> None:
        """Begin to connect, in a thread for each node."""
        for link in self._links:
            link.start()

    def stop(self) -> None:
        """Disconnect and wait."""
        for link in self._links:
            link.stop()

    @property
    def connected(self) -> bool:
        """Whether a node has taken the subscription."""
        return any(link.connected for link in self._links)

    def _accept(self, topic: str, payload: bytes) -> None:
        with self._lock:  # the feed is for one thread at a time
            if self._copies is None or not self._copies.has(topic, payload):
                self._feed.accept(topic, payload)


class Copies:
    """Knows messages by topic and content for at least ``for_s`` and at most thrice as long; ``now_s`` is a clock.

    Longer would be wrong: a device's ``offline`` is the same bytes each time.
    """

    def __init__(self, for_s: float, now_s: Callable[[], float]) -> None:
        self._for_s = for_s
        self._now_s = now_s
        self._new: set[tuple[str, bytes]] = set()
        self._old: set[tuple[str, bytes]] = set()
        self._since_s = now_s()

    def has(self, topic: str, payload: bytes) -> bool:
        """Return whether the message was here a moment ago, and remember it."""
        now_s = self._now_s()
        if now_s - self._since_s > self._for_s:
            stale = now_s - self._since_s > 2 * self._for_s
            self._old, self._new, self._since_s = set() if stale else self._new, set(), now_s
        message = (topic, payload)
        if message in self._new or message in self._old:
            return True
        self._new.add(message)
        return False


class _NodeLink(MqttLink):
    def __init__(self, broker: Broker, accept: Callable[[str, bytes], None]) -> None:
        super().__init__("api-live", broker, [(kind_filter(kind), 0) for kind in _KINDS], _PACE)
        self._accept = accept

    def _on_message(self, topic: str, payload: bytes) -> None:
        self._accept(topic, payload)
