"""Live messages from the MQTT broker: the one file of the API that imports paho.

QoS 0 and no session: what is missed here is stored by ingest all the same. An exception in a paho callback would kill
its thread while ``is_connected()`` stays true, so callbacks are guarded and connections made in a loop of our own.
"""

from __future__ import annotations

import random
import secrets
import threading
import time
from collections.abc import Callable, Sequence
from typing import Any, Final
from urllib.parse import urlsplit

import paho.mqtt.client as mqtt
import structlog
from paho.mqtt.enums import CallbackAPIVersion, MQTTErrorCode
from paho.mqtt.reasoncodes import ReasonCode

from api.live_feed import LiveFeed
from contract.topics import TopicKind, kind_filter

log = structlog.get_logger(__name__)

_KINDS: Final[tuple[TopicKind, ...]] = ("noise", "water", "event", "status")
_KEEPALIVE_S: Final = 15
_CHUNK_BYTES: Final = 64 << 10
_BACKOFF_MOST_S: Final = 10.0


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


class LiveMqtt:
    """Feeds a :class:`~api.live_feed.LiveFeed` from a broker, reconnecting for ever until stopped."""

    def __init__(
        self, url: str, feed: LiveFeed, *, username: str | None = None, password: str | None = None
    ) -> None:
        """``url`` is ``mqtt://host:port``. Raises ``ValueError`` for another scheme."""
        parts = urlsplit(url)
        if parts.scheme != "mqtt":
            raise ValueError(f"broker address must be mqtt://host:port, not {url!r}")
        self._host, self._port = parts.hostname or "127.0.0.1", parts.port or 1883
        self._login = (username, password)
        self._feed = feed
        self._stop = threading.Event()
        self._ended = threading.Event()
        self._connected = threading.Event()
        self._last_trouble = ""
        self._thread = threading.Thread(target=self._run, name="api-live", daemon=True)

    def start(self) -> None:
        """Begin to connect, in a thread of its own."""
        self._thread.start()

    def stop(self) -> None:
        """Disconnect and wait."""
        self._stop.set()
        self._ended.set()
        if self._thread.is_alive():
            self._thread.join(timeout=5.0)

    @property
    def connected(self) -> bool:
        """Whether messages arrive."""
        return self._connected.is_set() and self._thread.is_alive()

    # -- its thread --------------------------------------------------------------------------------------------

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
            self._stop.wait(random.uniform(0.5, 1.0) * min(_BACKOFF_MOST_S, 0.2 * 2.0 ** min(failures, 8)))  # noqa: S311

    def _session(self) -> None:
        self._ended.clear()
        client = self._make_client()
        client.connect(self._host, self._port, keepalive=_KEEPALIVE_S)
        client.loop_start()
        try:
            while not self._stop.is_set() and not self._ended.wait(1.0):
                pass
        finally:
            client.disconnect()
            client.loop_stop()

    def _make_client(self) -> mqtt.Client:
        client = _Client(
            CallbackAPIVersion.VERSION2,
            client_id=f"qw_live_{secrets.token_hex(6)}",
            protocol=mqtt.MQTTv311,
            clean_session=True,
            reconnect_on_failure=False,
        )
        if self._login[0]:
            client.username_pw_set(*self._login)
        client.on_connect = self._guard(self._handle_connect)
        client.on_subscribe = self._guard(self._handle_subscribe)
        client.on_disconnect = self._guard(self._handle_disconnect)
        client.on_message = self._guard(self._handle_message)
        return client

    def _guard(self, callback: Callable[..., None]) -> Callable[..., None]:
        def guarded(*arguments: Any) -> None:
            try:
                callback(*arguments)
            except Exception:
                log.exception("live callback failed", callback=callback.__name__)

        return guarded

    def _handle_connect(
        self, client: mqtt.Client, _data: Any, _flags: Any, code: ReasonCode, _more: Any
    ) -> None:
        if code.is_failure:
            self._trouble(f"the broker refused: {code}")
            self._ended.set()
            return
        client.subscribe([(kind_filter(kind), 0) for kind in _KINDS])

    def _handle_subscribe(
        self, _client: mqtt.Client, _data: Any, _mid: int, codes: Sequence[ReasonCode], _more: Any
    ) -> None:
        if any(code.is_failure for code in codes):
            self._trouble(f"the broker refuses the subscription: {', '.join(map(str, codes))}")
            self._ended.set()
            return
        self._last_trouble = ""
        self._connected.set()
        log.info("live push is connected", host=self._host, port=self._port)

    def _handle_disconnect(
        self, _client: mqtt.Client, _data: Any, _flags: Any, code: ReasonCode, _more: Any
    ) -> None:
        if self._connected.is_set() and not self._stop.is_set():
            self._trouble(f"connection lost: {code}")
        self._connected.clear()
        self._ended.set()

    def _handle_message(self, _client: mqtt.Client, _data: Any, message: mqtt.MQTTMessage) -> None:
        self._feed.accept(message.topic, bytes(message.payload))

    def _trouble(self, text: str) -> None:
        if text != self._last_trouble:
            log.warning("live push has no broker", host=self._host, port=self._port, cause=text)
        self._last_trouble = text
