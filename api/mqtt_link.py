"""A connection to an MQTT broker that comes back by itself: the one file of the API that imports paho.

An exception in a paho callback would kill its thread while ``is_connected()`` stays true, so callbacks are guarded and
connections are made in a loop of our own, with pauses that grow and vary.
"""

from __future__ import annotations

import random
import secrets
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import urlsplit

import paho.mqtt.client as mqtt
import structlog
from paho.mqtt.enums import CallbackAPIVersion, MQTTErrorCode
from paho.mqtt.reasoncodes import ReasonCode

from contract.tls import TlsFiles

log = structlog.get_logger(__name__)

_PORTS: Final = {"mqtt": 1883, "mqtts": 8883}
_CONNECT_S: Final = 10.0
_CHUNK_BYTES: Final = 64 << 10


@dataclass(frozen=True, slots=True)
class Broker:
    """The broker, and how to log in. ``tls_files`` of ``None`` means without TLS."""

    host: str
    port: int
    username: str | None = None
    password: str | None = None
    tls_files: TlsFiles | None = None


def brokers_of(url: str, username: str | None, password: str | None, tls_files: TlsFiles) -> list[Broker]:
    """Return the broker of ``mqtt://host:port`` or ``mqtts://host:port``, or a cluster's nodes with commas between.

    Raises ``ValueError`` for another scheme, or for several in one address.
    """
    nodes = [urlsplit(one.strip()) for one in url.split(",")]
    schemes = {node.scheme for node in nodes}
    if len(schemes) != 1 or not schemes <= _PORTS.keys():
        raise ValueError(f"broker address must be mqtt://host:port or mqtts://host:port, not {url!r}")
    scheme = schemes.pop()
    files = tls_files if scheme == "mqtts" else None
    return [
        Broker(node.hostname or "127.0.0.1", node.port or _PORTS[scheme], username, password, files)
        for node in nodes
    ]


@dataclass(frozen=True, slots=True)
class Pace:
    """Times of a connection, seconds.

    The pause before the next try begins at ``backoff_s`` and doubles up to ``backoff_most_s``; it begins anew after a
    connection that lasted ``steady_s``. Work is looked for every ``idle_s`` while there is none.
    """

    keepalive_s: int
    backoff_s: float
    backoff_most_s: float
    steady_s: float
    idle_s: float = 1.0


class _Client(mqtt.Client):
    """Paho, but what has arrived is taken from the socket in one piece.

    Paho asks the socket four times for each message and gives the interpreter away each time, to threads that may be
    busy; a burst of a thousand devices would wait for that.
    """

    _chunk = b""
    _at = 0

    def loop_read(self, max_packets: int = 1) -> MQTTErrorCode:
        """Read everything that was taken: the socket does not show it any more."""
        code = super().loop_read(max_packets)
        while code == MQTTErrorCode.MQTT_ERR_SUCCESS and self._at < len(self._chunk):
            code = super().loop_read(max_packets)
        return code

    def _sock_recv(self, bufsize: int) -> bytes:
        if self._at >= len(self._chunk):
            self._chunk, self._at = super()._sock_recv(_CHUNK_BYTES), 0
        part = self._chunk[self._at : self._at + bufsize]
        self._at += len(part)
        return part


class MqttLink:
    """Subscribes to ``topics`` (filter and QoS) at a broker, reconnecting until stopped. Subclasses say what it is for.

    ``name`` names its thread and its log lines. ``will`` is a topic and the retained payload that the broker publishes
    when the connection is lost.
    """

    def __init__(
        self, name: str, broker: Broker, topics: Sequence[tuple[str, int]], pace: Pace, *,
        will: tuple[str, bytes] | None = None,
    ) -> None:  # fmt: skip
        self._name = name
        self._broker = broker
        self._topics = list(topics)
        self._pace = pace
        self._will = will
        self._stop = threading.Event()
        self._ended = threading.Event()
        self._ready = threading.Event()
        self._client: mqtt.Client | None = None
        self._trouble_told = ""
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)

    def start(self) -> None:
        """Begin to connect, in a thread of its own."""
        self._thread.start()

    def stop(self) -> None:
        """Say farewell, disconnect and wait."""
        self._stop.set()
        self._ended.set()
        if self._thread.ident is not None:
            self._thread.join(_CONNECT_S + 5.0)

    @property
    def connected(self) -> bool:
        """Whether the broker has taken the subscription, so that messages come and go."""
        return self._ready.is_set() and self._thread.is_alive()

    # -- what a subclass does with it ----------------------------------------------------------------------------

    def _begin(self) -> None:
        """Prepare for a new connection."""

    def _on_ready(self) -> None:
        """Begin to work: the broker has taken the subscription."""

    def _on_message(self, topic: str, payload: bytes) -> None:
        """Take a message."""

    def _on_published(self) -> None:
        """Note that the broker has acknowledged a message."""

    def _work(self) -> bool:
        """Do a piece of work while there is a connection; return whether there was any."""
        return False

    def _farewell(self) -> None:
        """Say what is to be said before the connection is ended."""

    def _publish(self, topic: str, payload: bytes, *, retain: bool, wait_s: float = 0.0) -> None:
        """Publish with QoS 1; wait so long for the acknowledgement."""
        assert self._client is not None
        told = self._client.publish(topic, payload, qos=1, retain=retain)
        if wait_s > 0.0:
            told.wait_for_publish(wait_s)

    # -- its thread ----------------------------------------------------------------------------------------------

    def _run(self) -> None:
        failures = 0
        while not self._stop.is_set():
            started = time.monotonic()
            try:
                self._session()
            except Exception as error:  # the thread must live: whatever is raised is a lost connection
                self._trouble(f"{type(error).__name__}: {error}")
            self._ready.clear()
            pace = self._pace
            failures = 0 if time.monotonic() - started > pace.steady_s else failures + 1
            pause_s = min(pace.backoff_most_s, pace.backoff_s * 2.0 ** min(failures, 8))
            self._stop.wait(random.uniform(0.5, 1.0) * pause_s)  # noqa: S311

    def _session(self) -> None:
        self._ended.clear()
        self._begin()
        client = self._client = self._make_client()
        client.connect(self._broker.host, self._broker.port, keepalive=self._pace.keepalive_s)
        client.loop_start()
        try:
            while not self._stop.is_set() and not self._ended.is_set():
                if not self._ready.is_set() or not self._work():
                    self._ended.wait(self._pace.idle_s)
            if self._ready.is_set() and self._stop.is_set():
                self._farewell()
        finally:
            client.disconnect()
            client.loop_stop()

    def _make_client(self) -> mqtt.Client:
        broker = self._broker
        client = _Client(
            CallbackAPIVersion.VERSION2,
            client_id=f"{self._name[:10]}_{secrets.token_hex(6)}",  # 23 characters are what every broker takes
            protocol=mqtt.MQTTv311,
            clean_session=True,
            reconnect_on_failure=False,
        )
        client.connect_timeout = _CONNECT_S
        if broker.username:
            client.username_pw_set(broker.username, broker.password)
        if broker.tls_files is not None:
            client.tls_set_context(broker.tls_files.context())
        if self._will:
            client.will_set(*self._will, qos=1, retain=True)
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
                log.exception("a callback of the broker failed", link=self._name, callback=callback.__name__)

        return guarded

    def _handle_connect(
        self, client: mqtt.Client, _data: Any, _flags: Any, code: ReasonCode, _more: Any
    ) -> None:
        if code.is_failure:
            self._trouble(f"the broker refused: {code}")
            self._ended.set()
            return
        client.subscribe(self._topics)

    def _handle_subscribe(
        self, _client: mqtt.Client, _data: Any, _mid: int, codes: Sequence[ReasonCode], _more: Any
    ) -> None:
        if any(code.is_failure for code in codes):
            self._trouble(f"the broker refuses the subscription: {', '.join(map(str, codes))}")
            self._ended.set()
            return
        self._on_ready()
        self._trouble_told = ""
        self._ready.set()
        log.info("the broker is connected", link=self._name, host=self._broker.host, port=self._broker.port)

    def _handle_publish(
        self, _client: mqtt.Client, _data: Any, _mid: int, _code: ReasonCode, _more: Any
    ) -> None:
        self._on_published()

    def _handle_disconnect(
        self, _client: mqtt.Client, _data: Any, _flags: Any, code: ReasonCode, _more: Any
    ) -> None:
        if self._ready.is_set() and not self._stop.is_set():
            self._trouble(f"connection lost: {code}")
        if not self._stop.is_set():
            self._ready.clear()
        self._ended.set()

    def _handle_message(self, _client: mqtt.Client, _data: Any, message: mqtt.MQTTMessage) -> None:
        self._on_message(message.topic, bytes(message.payload))

    def _trouble(self, text: str) -> None:
        if text != self._trouble_told:
            log.warning(
                "the broker is away", link=self._name, host=self._broker.host, port=self._broker.port, cause=text
            )  # fmt: skip
        self._trouble_told = text
