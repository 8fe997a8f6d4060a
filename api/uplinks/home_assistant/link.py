"""The connection to Home Assistant's broker: the one file of this package that imports paho.

An exception in a paho callback would kill its thread while ``is_connected()`` stays true, so callbacks are guarded and
connections are made in a loop of our own, with pauses that grow and vary.
"""

from __future__ import annotations

import random
import secrets
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

import paho.mqtt.client as mqtt
import structlog
from paho.mqtt.enums import CallbackAPIVersion
from paho.mqtt.reasoncodes import ReasonCode

from api.uplinks.home_assistant.outbox import Outbox
from api.uplinks.home_assistant.payloads import OFFLINE, ONLINE, Naming

log = structlog.get_logger(__name__)

_KEEPALIVE_S: Final = 30
_CONNECT_S: Final = 10.0
_STEADY_S: Final = 30.0
_BACKOFF_MOST_S: Final = 60.0
_MOST_UNACKNOWLEDGED: Final = 100
"""Paho sends its whole queue at once after a reconnect and numbers with 16 bits: it is handed little."""
_MOST_SEEN: Final = 200_000


@dataclass(frozen=True, slots=True)
class Address:
    """The broker, and how to log in. With ``tls`` and no ``ca_file`` the machine's authorities count."""

    host: str
    port: int
    username: str | None = None
    password: str | None = None
    tls: bool = False
    ca_file: str | None = None


class HomeAssistantLink:
    """Sends what is in ``outbox`` while there is a connection, reconnecting until stopped.

    ``epoch`` counts connections and births of Home Assistant: whenever it has changed, everything is to be told anew.
    ``seen`` holds the topics of the configs that the broker keeps for this node.
    """

    def __init__(
        self, name: str, address: Address, naming: Naming, outbox: Outbox, *, backoff_s: float = 1.0
    ) -> None:
        self._name = name
        self._address = address
        self._naming = naming
        self._outbox = outbox
        self._backoff_s = backoff_s
        self._stop = threading.Event()
        self._ended = threading.Event()
        self._ready = threading.Event()
        self._room = threading.BoundedSemaphore(_MOST_UNACKNOWLEDGED)
        self._lock = threading.Lock()
        self._seen: set[str] = set()
        self._trouble_told = ""
        self.epoch = 0
        self.published = 0
        self._thread = threading.Thread(target=self._run, name=f"home-assistant-{name}", daemon=True)

    def start(self) -> None:
        """Begin to connect, in a thread of its own."""
        self._thread.start()

    def stop(self) -> None:
        """Say ``offline``, disconnect and wait."""
        self._stop.set()
        self._ended.set()
        if self._thread.ident is not None:
            self._thread.join(_CONNECT_S + 5.0)

    @property
    def connected(self) -> bool:
        """Whether messages go out now."""
        return self._ready.is_set() and self._thread.is_alive()

    def seen(self) -> set[str]:
        """Return the topics of the configs that the broker keeps for this node, as far as it has told them."""
        with self._lock:
            return set(self._seen)

    # -- its thread --------------------------------------------------------------------------------------------

    def _run(self) -> None:
        failures = 0
        while not self._stop.is_set():
            started = time.monotonic()
            try:
                self._session()
            except Exception as error:  # the thread must live: whatever is raised is a lost connection
                self._trouble(f"{type(error).__name__}: {error}")
            self._ready.clear()
            failures = 0 if time.monotonic() - started > _STEADY_S else failures + 1
            pause_s = min(_BACKOFF_MOST_S, self._backoff_s * 2.0 ** min(failures, 8))
            self._stop.wait(random.uniform(0.5, 1.0) * pause_s)  # noqa: S311

    def _session(self) -> None:
        self._ended.clear()
        self._room = threading.BoundedSemaphore(_MOST_UNACKNOWLEDGED)
        with self._lock:
            self._seen.clear()
        client = self._make_client()
        client.connect(self._address.host, self._address.port, keepalive=_KEEPALIVE_S)
        client.loop_start()
        try:
            while not self._ended.is_set():
                if not self._ready.is_set() or not self._send(client):
                    self._ended.wait(0.05)
            if self._ready.is_set() and self._stop.is_set():
                told = client.publish(self._naming.availability_topic, OFFLINE, qos=1, retain=True)
                told.wait_for_publish(2.0)
        finally:
            client.disconnect()
            client.loop_stop()

    def _send(self, client: mqtt.Client) -> bool:
        """Publish one message; return whether there was one and room for it."""
        room = self._room
        if not len(self._outbox) or not room.acquire(timeout=0.5):
            return False
        message = self._outbox.take()
        if message is None:
            room.release()
            return False
        client.publish(message.topic, message.payload, qos=1, retain=message.retain)
        return True

    def _make_client(self) -> mqtt.Client:
        address = self._address
        client = mqtt.Client(
            CallbackAPIVersion.VERSION2,
            client_id=f"qw_ha_{secrets.token_hex(6)}",
            protocol=mqtt.MQTTv311,
            clean_session=True,
            reconnect_on_failure=False,
        )
        client.connect_timeout = _CONNECT_S
        if address.username:
            client.username_pw_set(address.username, address.password)
        if address.tls:
            client.tls_set(ca_certs=address.ca_file)
        client.will_set(self._naming.availability_topic, OFFLINE, qos=1, retain=True)
        client.on_connect = self._guard(self._handle_connect)
        client.on_subscribe = self._guard(self._handle_subscribe)
        client.on_disconnect = self._guard(self._handle_disconnect)
        client.on_message = self._guard(self._handle_message)
        client.on_publish = self._guard(self._handle_publish)
        return client

    def _guard(self, callback: Callable[..., None]) -> Callable[..., None]:
        def guarded(*arguments: Any) -> None:
            try:
                callback(*arguments)
            except Exception:
                log.exception("callback of the uplink failed", callback=callback.__name__)

        return guarded

    def _handle_connect(
        self, client: mqtt.Client, _data: Any, _flags: Any, code: ReasonCode, _more: Any
    ) -> None:
        if code.is_failure:
            self._trouble(f"the broker refused: {code}")
            self._ended.set()
            return
        client.subscribe([(self._naming.birth_topic, 1), (self._naming.configs_filter, 1)])

    def _handle_subscribe(
        self, client: mqtt.Client, _data: Any, _mid: int, codes: list[ReasonCode], _more: Any
    ) -> None:
        if any(code.is_failure for code in codes):
            self._trouble(f"the broker refuses the subscription: {', '.join(map(str, codes))}")
            self._ended.set()
            return
        self._outbox.clear()
        self._room.acquire(blocking=False)  # every acknowledgement gives room, this message's too
        client.publish(self._naming.availability_topic, ONLINE, qos=1, retain=True)
        self.epoch += 1
        self._trouble_told = ""
        self._ready.set()
        log.info("Home Assistant's broker is connected", uplink=self._name, host=self._address.host)

    def _handle_publish(
        self, _client: mqtt.Client, _data: Any, _mid: int, _code: ReasonCode, _more: Any
    ) -> None:
        self.published += 1
        try:
            self._room.release()
        except ValueError:  # the farewell takes no room
            return

    def _handle_disconnect(
        self, _client: mqtt.Client, _data: Any, _flags: Any, code: ReasonCode, _more: Any
    ) -> None:
        if self._ready.is_set() and not self._stop.is_set():
            self._trouble(f"connection lost: {code}")
        if not self._stop.is_set():
            self._ready.clear()
        self._ended.set()

    def _handle_message(self, _client: mqtt.Client, _data: Any, message: mqtt.MQTTMessage) -> None:
        if message.topic == self._naming.birth_topic:
            if bytes(message.payload) == ONLINE:
                self.epoch += 1
            return
        with self._lock:
            if not message.payload:
                self._seen.discard(message.topic)
            elif len(self._seen) < _MOST_SEEN:
                self._seen.add(message.topic)

    def _trouble(self, text: str) -> None:
        if text != self._trouble_told:
            log.warning(
                "Home Assistant's broker is away", uplink=self._name, host=self._address.host, cause=text
            )
        self._trouble_told = text
