"""The connection to Home Assistant's broker: sends what waits, and hears births and the configs that are kept."""

from __future__ import annotations

import threading
from typing import Final

from api.mqtt_link import Broker, MqttLink, Pace
from api.uplinks.home_assistant.outbox import Outbox
from api.uplinks.home_assistant.payloads import OFFLINE, ONLINE, Naming

_MOST_UNACKNOWLEDGED: Final = 100
"""Paho sends its whole queue at once after a reconnect and numbers with 16 bits: it is handed little."""
_MOST_SEEN: Final = 200_000


class HomeAssistantLink(MqttLink):
    """Sends what is in ``outbox`` while there is a connection, reconnecting until stopped.

    ``epoch`` counts connections and births of Home Assistant: whenever it has changed, everything is to be told anew.
    ``seen`` holds the topics of the configs that the broker keeps for this node.
    """

    def __init__(
        self, name: str, broker: Broker, naming: Naming, outbox: Outbox, *, backoff_s: float = 1.0
    ) -> None:
        topics = [(naming.birth_topic, 1), (naming.configs_filter, 1)]
        pace = Pace(keepalive_s=30, backoff_s=backoff_s, backoff_most_s=60.0, steady_s=30.0, idle_s=0.05)
        super().__init__(
            f"home-assistant-{name}", broker, topics, pace, will=(naming.availability_topic, OFFLINE)
        )
        self._naming = naming
        self._outbox = outbox
        self._room = threading.BoundedSemaphore(_MOST_UNACKNOWLEDGED)
        self._lock = threading.Lock()
        self._seen: set[str] = set()
        self.epoch = 0
        self.published = 0

    def seen(self) -> set[str]:
        """Return the topics of the configs that the broker keeps for this node, as far as it has told them."""
        with self._lock:
            return set(self._seen)

    # -- its connection ------------------------------------------------------------------------------------------

    def _begin(self) -> None:
        self._room = threading.BoundedSemaphore(_MOST_UNACKNOWLEDGED)
        with self._lock:
            self._seen.clear()

    def _on_ready(self) -> None:
        self._outbox.clear()
        self._room.acquire(blocking=False)  # every acknowledgement gives room, this message's too
        self._publish(self._naming.availability_topic, ONLINE, retain=True)
        self.epoch += 1

    def _work(self) -> bool:
        """Publish one message; return whether there was one and room for it."""
        room = self._room
        if not len(self._outbox) or not room.acquire(timeout=0.5):
            return False
        message = self._outbox.take()
        if message is None:
            room.release()
            return False
        self._publish(message.topic, message.payload, retain=message.retain)
        return True

    def _on_published(self) -> None:
        self.published += 1
        try:
            self._room.release()
        except ValueError:  # the farewell takes no room
            return

    def _on_message(self, topic: str, payload: bytes) -> None:
        if topic == self._naming.birth_topic:
            if payload == ONLINE:
                self.epoch += 1
            return
        with self._lock:
            if not payload:
                self._seen.discard(topic)
            elif len(self._seen) < _MOST_SEEN:
                self._seen.add(topic)

    def _farewell(self) -> None:
        self._publish(self._naming.availability_topic, OFFLINE, retain=True, wait_s=2.0)
