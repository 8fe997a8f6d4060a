"""Live messages from the MQTT broker. QoS 0 and no session: what is missed here is stored by ingest all the same."""

from __future__ import annotations

from typing import Final
from urllib.parse import urlsplit

from api.live_feed import LiveFeed
from api.mqtt_link import Broker, MqttLink, Pace
from contract.topics import TopicKind, kind_filter

_KINDS: Final[tuple[TopicKind, ...]] = ("noise", "water", "event", "status")
_PACE: Final = Pace(keepalive_s=15, backoff_s=0.2, backoff_most_s=10.0, steady_s=10.0)


class LiveMqtt(MqttLink):
    """Feeds a :class:`~api.live_feed.LiveFeed` from a broker, reconnecting for ever until stopped."""

    def __init__(
        self, url: str, feed: LiveFeed, *, username: str | None = None, password: str | None = None
    ) -> None:
        """``url`` is ``mqtt://host:port``, or several of one cluster with commas between them.

        Raises ``ValueError`` for another scheme.
        """
        nodes = [urlsplit(one.strip()) for one in url.split(",")]
        if any(node.scheme != "mqtt" for node in nodes):
            raise ValueError(f"broker address must be mqtt://host:port, not {url!r}")
        first, *others = [(node.hostname or "127.0.0.1", node.port or 1883) for node in nodes]
        broker = Broker(*first, username, password, others=tuple(others))
        super().__init__("api-live", broker, [(kind_filter(kind), 0) for kind in _KINDS], _PACE)
        self._feed = feed

    def _on_message(self, topic: str, payload: bytes) -> None:
        self._feed.accept(topic, payload)
