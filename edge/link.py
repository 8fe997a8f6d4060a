"""The link to the MQTT broker: the one file of the edge that imports paho.

paho's own queue is a window here, never a store: readings leave the outbox on the server's ``stored`` alone. Callbacks
only hand over; an exception in one would kill paho's network thread while it still says "connected".
"""

from __future__ import annotations

import random
import ssl
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final, Literal
from urllib.parse import urlsplit

import paho.mqtt.client as mqtt
import structlog
from paho.mqtt.enums import CallbackAPIVersion, MQTTErrorCode
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode

from contract.codec import decode_config, decode_stored, encode
from contract.messages import DeviceConfig, DeviceStatus, Stored
from contract.topics import Topic

log = structlog.get_logger(__name__)

Protocol = Literal["auto", "5", "3.1.1"]
_WINDOW: Final = 40
"""Publishes without the broker's PUBACK at most."""
_KEEPALIVE_S: Final = 20
_SESSION_EXPIRY_S: Final = 7 * 86_400
_BACKOFF_FIRST_S: Final = 1.0
_BACKOFF_MOST_S: Final = 60.0
_UNSUPPORTED_PROTOCOL: Final = "Unsupported protocol version"


@dataclass(frozen=True, slots=True)
class Broker:
    """Where the broker is and who we are there. ``ca_file`` and the client certificate are for ``mqtts``."""

    url: str
    username: str | None = None
    password: str | None = None
    protocol: Protocol = "auto"
    ca_file: str | None = None
    cert_file: str | None = None
    key_file: str | None = None

    @property
    def host(self) -> str:
        """Host name or address."""
        return urlsplit(self.url).hostname or "127.0.0.1"

    @property
    def tls(self) -> bool:
        """Whether the link is encrypted (``mqtts://``)."""
        return urlsplit(self.url).scheme == "mqtts"

    @property
    def port(self) -> int:
        """TCP port; 1883, or 8883 with TLS, unless the address says otherwise."""
        return urlsplit(self.url).port or (8883 if self.tls else 1883)

    def __post_init__(self) -> None:
        scheme = urlsplit(self.url).scheme
        if scheme not in ("mqtt", "mqtts"):
            raise ValueError(
                f"broker address must be mqtt://host:port or mqtts://host:port, not {self.url!r}"
            )


class Link:
    """Keeps a session at the broker: reconnects with back-off and jitter, falls back from MQTT 5 to 3.1.1.

    ``on_stored``, ``on_config`` and ``on_connected`` are called from the network thread and must be quick.
    """

    def __init__(
        self,
        broker: Broker,
        site: str,
        device: str,
        *,
        on_stored: Callable[[Stored], None],
        on_config: Callable[[DeviceConfig], None],
        on_connected: Callable[[], None],
    ) -> None:
        self._broker = broker
        self._site = site
        self._device = device
        self._on_stored = on_stored
        self._on_config = on_config
        self._on_connected = on_connected
        self._stop = threading.Event()
        self._drop = threading.Event()
        self._connected = threading.Event()
        self._window = threading.Semaphore(_WINDOW)
        self._unacked: set[int] = set()
        self._unacked_lock = threading.Lock()
        self._version = mqtt.MQTTv311 if broker.protocol == "3.1.1" else mqtt.MQTTv5
        self._client = self._make_client()
        self._thread = threading.Thread(target=self._run, name=f"link-{device}", daemon=True)
        self._last_trouble = ""

    def start(self) -> None:
        """Begin to connect, in a thread of its own."""
        self._thread.start()

    @property
    def connected(self) -> bool:
        """Whether the session is up and its network thread alive."""
        return self._connected.is_set() and self._thread.is_alive()

    def publish(self, kind: str, payload: bytes, *, timeout_s: float = 5.0) -> bool:
        """Hand a readings payload to the broker; ``False`` when the link is down or its window stays full."""
        if not self.connected or not self._window.acquire(timeout=timeout_s):
            return False
        topic = str(Topic(self._site, self._device, kind))  # type: ignore[arg-type]
        with self._unacked_lock:
            info = self._client.publish(topic, payload, qos=1)
            if info.rc == MQTTErrorCode.MQTT_ERR_SUCCESS:
                self._unacked.add(info.mid)
                return True
        self._window.release()
        return False

    def publish_status(self, status: DeviceStatus) -> None:
        """Publish the retained status; skipped while the link is down (the next one will tell)."""
        if self.connected:
            self._client.publish(self._topic("status"), encode(status), qos=1, retain=True)

    def drop(self) -> None:
        """Drop the connection and make a new one: what to do when ``stored`` stays away."""
        self._drop.set()

    def stop(self, *, last_status: DeviceStatus) -> None:
        """Say good-bye and end the network thread."""
        if self.connected:
            info = self._client.publish(self._topic("status"), encode(last_status), qos=1, retain=True)
            try:
                info.wait_for_publish(timeout=2.0)
            except (RuntimeError, ValueError):
                log.debug("last status was not acknowledged", device=self._device)
        self._stop.set()
        if self._thread.is_alive():
            self._thread.join(timeout=5.0)

    # -- network thread ----------------------------------------------------------------------------------------

    def _run(self) -> None:
        failures = 0
        while not self._stop.is_set():
            started = time.monotonic()
            try:
                self._session()
            except Exception as error:  # the thread must live: whatever paho raises is a lost connection
                self._trouble(f"{type(error).__name__}: {error}")
            self._connected.clear()
            self._release_window()
            failures = 0 if time.monotonic() - started > _BACKOFF_MOST_S else failures + 1
            most = min(_BACKOFF_MOST_S, _BACKOFF_FIRST_S * 2 ** min(failures, 10))
            self._stop.wait(random.uniform(0.2, 1.0) * most if failures > 1 else 0.2)  # noqa: S311

    def _session(self) -> None:
        self._drop.clear()
        client = self._client
        client.connect(
            self._broker.host, self._broker.port, keepalive=_KEEPALIVE_S, **self._connect_options()
        )
        while not self._stop.is_set() and not self._drop.is_set():
            if client.loop(timeout=0.2) != MQTTErrorCode.MQTT_ERR_SUCCESS:
                break
        client.disconnect()
        client.loop(timeout=0.1)

    def _connect_options(self) -> dict[str, Any]:
        if self._version != mqtt.MQTTv5:
            return {}
        properties = Properties(PacketTypes.CONNECT)
        properties.SessionExpiryInterval = _SESSION_EXPIRY_S
        return {"clean_start": False, "properties": properties}

    def _make_client(self) -> mqtt.Client:
        options: dict[str, Any] = {} if self._version == mqtt.MQTTv5 else {"clean_session": False}
        client = mqtt.Client(
            CallbackAPIVersion.VERSION2,
            # NATS allows no dot in a client id, and site and device hold none of these underscores.
            client_id=f"qw_{self._site}_{self._device}",
            protocol=self._version,
            reconnect_on_failure=False,  # _run makes each new connection, with jitter
            **options,
        )
        if self._broker.username:
            client.username_pw_set(self._broker.username, self._broker.password)
        if self._broker.tls:
            client.tls_set_context(_tls_context(self._broker))
        client.max_queued_messages_set(_WINDOW + 10)
        client.max_inflight_messages_set(_WINDOW)
        client.will_set(self._topic("status"), encode(DeviceStatus(state="offline")), qos=1, retain=True)
        client.on_connect = self._guard(self._handle_connect)
        client.on_disconnect = self._guard(self._handle_disconnect)
        client.on_publish = self._guard(self._handle_publish)
        client.on_message = self._guard(self._handle_message)
        return client

    def _topic(self, kind: Literal["status", "stored", "config"]) -> str:
        return str(Topic(self._site, self._device, kind))

    def _guard(self, callback: Callable[..., None]) -> Callable[..., None]:
        def guarded(*arguments: Any) -> None:
            try:
                callback(*arguments)
            except Exception:
                log.exception("link callback failed", device=self._device, callback=callback.__name__)

        return guarded

    def _handle_connect(
        self, client: mqtt.Client, _data: Any, _flags: Any, code: ReasonCode, _more: Any
    ) -> None:
        if code.is_failure:
            if str(code) == _UNSUPPORTED_PROTOCOL and self._broker.protocol == "auto":
                log.info("broker speaks no MQTT 5, using 3.1.1", device=self._device)
                self._version = mqtt.MQTTv311
                self._client = self._make_client()
                self._drop.set()
                return
            self._trouble(f"the broker refused: {code}")
            self._drop.set()
            return
        client.subscribe([(self._topic("stored"), 1), (self._topic("config"), 1)])
        if self._last_trouble:
            log.info("link is up again", device=self._device, host=self._broker.host)
        self._last_trouble = ""
        self._connected.set()
        self._on_connected()

    def _handle_disconnect(
        self, _client: mqtt.Client, _data: Any, _flags: Any, code: ReasonCode, _more: Any
    ) -> None:
        if self._connected.is_set() and not self._stop.is_set():
            self._trouble(f"connection lost: {code}")
        self._connected.clear()
        self._drop.set()

    def _handle_publish(self, _client: mqtt.Client, _data: Any, mid: int, _code: Any, _more: Any) -> None:
        with self._unacked_lock:
            if mid not in self._unacked:
                return
            self._unacked.discard(mid)
        self._window.release()

    def _handle_message(self, _client: mqtt.Client, _data: Any, message: mqtt.MQTTMessage) -> None:
        if message.topic == self._topic("stored"):
            self._on_stored(decode_stored(bytes(message.payload)))
        elif message.topic == self._topic("config") and message.payload:
            self._on_config(decode_config(bytes(message.payload)))

    def _release_window(self) -> None:
        with self._unacked_lock:
            count = len(self._unacked)
            self._unacked.clear()
        for _ in range(count):
            self._window.release()

    def _trouble(self, text: str) -> None:
        if text != self._last_trouble:
            log.warning("link is down", device=self._device, host=self._broker.host, cause=text)
        self._last_trouble = text


def _tls_context(broker: Broker) -> ssl.SSLContext:
    context = ssl.create_default_context(cafile=broker.ca_file)
    if broker.cert_file:
        context.load_cert_chain(broker.cert_file, broker.key_file)
    return context
