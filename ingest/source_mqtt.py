"""Messages from the MQTT broker: the one file of ingest that imports paho.

A message is acknowledged by :meth:`MqttSource.acknowledge`, after the store has committed it; until then the
broker keeps it. What paho was measured to do is handled here: an exception in a callback kills its thread, an
acknowledgement does not know which connection it belongs to, unacknowledged messages come back only after a
reconnect.
"""

from __future__ import annotations

import queue
import random
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import urlsplit

import paho.mqtt.client as mqtt
import structlog
from paho.mqtt.enums import CallbackAPIVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode

from contract.codec import encode
from contract.messages import MAX_PAYLOAD_BYTES, Stored
from contract.topics import READING_KINDS, Topic, kind_filter

log = structlog.get_logger(__name__)

KEPT_OF_OVERSIZE_BYTES: Final = 64 << 10
_WINDOW: Final = 2_000
"""Messages without our acknowledgement at most, where the broker lets us say so (MQTT 5)."""
_QUEUE_MESSAGES: Final = 4_000
_QUEUE_BYTES: Final = 64 << 20
_KEEPALIVE_S: Final = 30
_SESSION_EXPIRY_S: Final = 30 * 86_400
_BACKOFF_MOST_S: Final = 15.0


@dataclass(frozen=True, slots=True)
class Arrival:
    """A message as it arrived; of an oversize payload the beginning. ``connection`` guards its acknowledgement."""

    topic: str
    payload: bytes
    size_bytes: int
    mid: int
    connection: int
    retained: bool = False


@dataclass(slots=True)
class SourceStats:
    """What happened at the source since the start."""

    received: int = 0
    connects: int = 0
    sessions_lost: int = 0
    refused_full: int = 0
    """Messages not taken because the queue was full: unacknowledged, so the broker sends them again."""


class MqttSource:
    """Receives readings and statuses into a bounded queue and answers ``stored``.

    When the queue is full (messages or bytes) a message is left unacknowledged and counted, and once the queue
    has emptied the connection is renewed so that the broker sends it again.
    """

    def __init__(
        self, url: str, *, username: str | None = None, password: str | None = None, name: str = "ingest"
    ):
        parts = urlsplit(url)
        if parts.scheme != "mqtt":
            raise ValueError(f"broker address must be mqtt://host:port, not {url!r}")
        self._host, self._port = parts.hostname or "127.0.0.1", parts.port or 1883
        self._login = (username, password)
        self._name = name
        self._queue: queue.SimpleQueue[Arrival] = queue.SimpleQueue()
        self._bytes = 0
        self._bytes_lock = threading.Lock()
        self._overflowed = False
        self._stop = threading.Event()
        self._end_session = threading.Event()
        self._connected = threading.Event()
        self._connection = 0
        self._version = mqtt.MQTTv5
        self._client = self._make_client()
        self._thread = threading.Thread(target=self._run, name="ingest-mqtt", daemon=True)
        self._last_trouble = ""
        self.stats = SourceStats()

    def start(self) -> None:
        """Begin to connect, in a thread of its own."""
        self._thread.start()

    def stop(self) -> None:
        """End the session; what is not acknowledged stays with the broker."""
        self._stop.set()
        self._end_session.set()
        if self._thread.is_alive():
            self._thread.join(timeout=5.0)

    @property
    def connected(self) -> bool:
        """Whether the session is up."""
        return self._connected.is_set() and self._thread.is_alive()

    @property
    def waiting(self) -> int:
        """Messages in the queue."""
        return self._queue.qsize()

    def take(self, timeout_s: float) -> Arrival | None:
        """Return the next message, waiting at most ``timeout_s``."""
        try:
            arrival = self._queue.get(timeout=timeout_s) if timeout_s > 0 else self._queue.get_nowait()
        except queue.Empty:
            if self._overflowed:
                self._overflowed = False
                self.renew("the queue was full and is empty again")
            return None
        with self._bytes_lock:
            self._bytes -= len(arrival.payload)
        return arrival

    def acknowledge(self, arrival: Arrival) -> None:
        """Tell the broker that a message is dealt with; a no-op for one of an earlier connection."""
        if arrival.connection == self._connection:
            self._client.ack(arrival.mid, 1)

    def answer(self, site: str, device: str, stored: Stored) -> None:
        """Tell a device what is stored; if this is lost the device sends again."""
        self._client.publish(str(Topic(site, device, "stored")), encode(stored), qos=1)

    def renew(self, why: str) -> None:
        """Drop the connection and make a new one: unacknowledged messages come again."""
        log.info("renewing the broker connection", why=why)
        self._end_session.set()

    # -- network thread ----------------------------------------------------------------------------------------

    def _run(self) -> None:
        failures = 0
        while not self._stop.is_set():
            started = time.monotonic()
            try:
                self._session()
            except Exception as error:  # the thread must live: whatever is raised is a lost connection
                self._trouble(f"{type(error).__name__}: {error}")
            self._connected.clear()
            failures = 0 if time.monotonic() - started > _BACKOFF_MOST_S else failures + 1
            wait_s = random.uniform(0.3, 1.0) * min(_BACKOFF_MOST_S, 0.5 * 2.0 ** min(failures, 8))  # noqa: S311
            self._stop.wait(wait_s if failures > 1 else 0.1)

    def _session(self) -> None:
        self._end_session.clear()
        client = self._client
        self._connection += 1
        client.connect(self._host, self._port, keepalive=_KEEPALIVE_S, **self._connect_options())
        client.loop_start()
        try:
            while not self._stop.is_set() and not self._end_session.wait(0.5):
                pass
        finally:
            client.disconnect()
            client.loop_stop()

    def _connect_options(self) -> dict[str, Any]:
        if self._version != mqtt.MQTTv5:
            return {}
        properties = Properties(PacketTypes.CONNECT)
        properties.SessionExpiryInterval = _SESSION_EXPIRY_S
        properties.ReceiveMaximum = _WINDOW
        return {"clean_start": False, "properties": properties}

    def _make_client(self) -> mqtt.Client:
        options: dict[str, Any] = {} if self._version == mqtt.MQTTv5 else {"clean_session": False}
        client = mqtt.Client(
            CallbackAPIVersion.VERSION2,
            client_id=f"qw_{self._name}",
            protocol=self._version,
            manual_ack=True,
            reconnect_on_failure=False,
            **options,
        )
        if self._login[0]:
            client.username_pw_set(*self._login)
        client.max_inflight_messages_set(1_000)
        client.max_queued_messages_set(10_000)
        client.on_connect = self._guard(self._handle_connect)
        client.on_disconnect = self._guard(self._handle_disconnect)
        client.on_message = self._guard(self._handle_message)
        return client

    def _guard(self, callback: Callable[..., None]) -> Callable[..., None]:
        def guarded(*arguments: Any) -> None:
            try:
                callback(*arguments)
            except Exception:
                log.exception("ingest callback failed", callback=callback.__name__)

        return guarded

    def _handle_connect(
        self, client: mqtt.Client, _data: Any, flags: Any, code: ReasonCode, _more: Any
    ) -> None:
        if code.is_failure:
            if str(code) == "Unsupported protocol version" and self._version == mqtt.MQTTv5:
                log.info("broker speaks no MQTT 5, using 3.1.1")
                self._version = mqtt.MQTTv311
                self._client = self._make_client()
            else:
                self._trouble(f"the broker refused: {code}")
            self._end_session.set()
            return
        self.stats.connects += 1
        if self.stats.connects > 1 and not flags.session_present:
            # Devices send again what they have no answer for, so this costs time and not readings.
            self.stats.sessions_lost += 1
            log.warning("the broker has forgotten our session")
        client.subscribe([(kind_filter(kind), 1) for kind in (*READING_KINDS, "status")])  # type: ignore[arg-type]
        self._last_trouble = ""
        self._connected.set()
        log.info(
            "ingest is connected", host=self._host, port=self._port, session_present=flags.session_present
        )

    def _handle_disconnect(
        self, _client: mqtt.Client, _data: Any, _flags: Any, code: ReasonCode, _more: Any
    ) -> None:
        if self._connected.is_set() and not self._stop.is_set() and not self._end_session.is_set():
            self._trouble(f"connection lost: {code}")
        self._connected.clear()
        self._end_session.set()

    def _handle_message(self, _client: mqtt.Client, _data: Any, message: mqtt.MQTTMessage) -> None:
        payload = message.payload
        size = len(payload)
        self.stats.received += 1
        if size > MAX_PAYLOAD_BYTES:
            payload = payload[:KEPT_OF_OVERSIZE_BYTES]
        if self._queue.qsize() >= _QUEUE_MESSAGES or self._bytes + len(payload) > _QUEUE_BYTES:
            self.stats.refused_full += 1
            self._overflowed = True
            return
        with self._bytes_lock:
            self._bytes += len(payload)
        self._queue.put(
            Arrival(message.topic, bytes(payload), size, message.mid, self._connection, bool(message.retain))
        )

    def _trouble(self, text: str) -> None:
        if text != self._last_trouble:
            log.warning("ingest has no broker", host=self._host, port=self._port, cause=text)
        self._last_trouble = text
