"""Messages from the MQTT broker: the one file of ingest that imports paho.

A message is acknowledged by :meth:`MqttSource.acknowledge`, after the store has committed it; until then the
broker keeps it. What paho was measured to do is handled here: an exception in a callback ends its loop, an
acknowledgement does not know which connection it belongs to, unacknowledged messages come back only after a
reconnect, and each message is read by four calls of ``recv``. What nats-server was measured to do as well: it sends a
message again on the same connection when it was not acknowledged within ``ack_wait``, under the same number.
"""

from __future__ import annotations

import contextlib
import queue
import random
import select
import socket
import ssl
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import paho.mqtt.client as mqtt
import structlog
from paho.mqtt.enums import CallbackAPIVersion, MQTTErrorCode
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode

from contract.codec import encode
from contract.messages import MAX_PAYLOAD_BYTES, Stored
from contract.topics import READING_KINDS, Topic, kind_filter
from ingest.source import KEPT_OF_OVERSIZE_BYTES, Arrival, BrokerAddress, SourceStats

log = structlog.get_logger(__name__)

_WINDOW: Final = 4_000
"""Messages without our acknowledgement at most, where the broker lets us say so (MQTT 5)."""
_QUEUE_MESSAGES: Final = 20_000
"""Above what a broker sends without acknowledgement: then the bytes are what stops us from reading."""
_QUEUE_BYTES: Final = 64 << 20
_KEEPALIVE_S: Final = 60
_SESSION_EXPIRY_S: Final = 30 * 86_400
_BACKOFF_FIRST_S: Final = 0.2
_BACKOFF_MOST_S: Final = 15.0
_STEADY_S: Final = 10.0
_TURN_MS: Final = 200
_PACKETS_A_TURN: Final = 200
_CHUNK_BYTES: Final = 64 << 10
_UNSUPPORTED_PROTOCOL: Final = 132
_TAKEN_OVER: Final = 142


class _Client(mqtt.Client):
    """Paho, but what has arrived is taken from the socket in one piece."""

    _chunk = b""
    _at = 0

    @property
    def holds_bytes(self) -> bool:
        """Whether bytes were taken from the socket that are not read yet; the socket does not show them."""
        return self._at < len(self._chunk)

    def _sock_recv(self, bufsize: int) -> bytes:
        if self._at >= len(self._chunk):
            if bufsize >= _CHUNK_BYTES:
                return super()._sock_recv(bufsize)
            self._chunk, self._at = super()._sock_recv(_CHUNK_BYTES), 0
        part = self._chunk[self._at : self._at + bufsize]
        self._at += len(part)
        return part


@dataclass(slots=True)
class _Session:
    number: int
    client: _Client
    held: set[int] = field(default_factory=set)
    """Numbers of messages that are not acknowledged yet."""


class MqttSource:
    """Receives readings and statuses into a bounded queue and answers ``stored``.

    When the queue is full (messages or bytes) nothing is read from the socket until it has room: the broker waits.
    One thread does all input and output; every connection has a client of its own.
    """

    def __init__(
        self, broker: BrokerAddress, *, queue_messages: int = _QUEUE_MESSAGES, queue_bytes: int = _QUEUE_BYTES
    ) -> None:
        self._broker = broker
        self._queue_messages = queue_messages
        self._queue_bytes = queue_bytes
        self._queue: queue.SimpleQueue[Arrival] = queue.SimpleQueue()
        self._bytes = 0
        self._bytes_lock = threading.Lock()
        self._stop = threading.Event()
        self._end_session = threading.Event()
        self._connected = threading.Event()
        self._subscribed = threading.Event()
        self._answered = False
        self._connections = 0
        self._turn_of = 0
        self._live: _Session | None = None
        self._version = mqtt.MQTTv5
        self._wake_r, self._wake_w = socket.socketpair()
        self._wake_r.setblocking(False)
        self._wake_w.setblocking(False)
        self._is_full = False
        self._thread = threading.Thread(target=self._run, name="ingest-mqtt", daemon=True)
        self._last_trouble = ""
        self.stats = SourceStats()

    def start(self) -> None:
        """Begin to connect, in a thread of its own."""
        self._thread.start()

    def stop(self) -> None:
        """End the session; what is not acknowledged stays with the broker."""
        self._stop.set()
        self._wake()
        if self._thread.is_alive():
            self._thread.join(timeout=5.0)

    @property
    def connected(self) -> bool:
        """Whether the session is up and the broker has taken the subscription."""
        return self._subscribed.is_set() and self._thread.is_alive()

    @property
    def waiting(self) -> int:
        """Messages in the queue."""
        return self._queue.qsize()

    @property
    def queue_bound(self) -> int:
        """Messages that the queue holds at most."""
        return self._queue_messages

    def take(self, timeout_s: float) -> Arrival | None:
        """Return the next message, waiting at most ``timeout_s``."""
        try:
            arrival = self._queue.get(timeout=timeout_s) if timeout_s > 0 else self._queue.get_nowait()
        except queue.Empty:
            return None
        with self._bytes_lock:
            self._bytes -= len(arrival.payload)
        if self._is_full and not self._full():
            self._wake()
        return arrival

    def acknowledge(self, arrival: Arrival) -> None:
        """Tell the broker that a message is dealt with; a no-op for one of an earlier connection."""
        session = self._live
        if arrival.mid and session is not None and arrival.connection == session.number:
            session.held.discard(arrival.mid)
            session.client.ack(arrival.mid, 1)

    def answer(self, site: str, device: str, stored: Stored) -> None:
        """Tell a device what is stored; if this is lost the device sends again."""
        session = self._live
        if session is not None and self._connected.is_set():
            info = session.client.publish(str(Topic(site, device, "stored")), encode(stored), qos=1)
            if info.rc == MQTTErrorCode.MQTT_ERR_SUCCESS:
                return
        self.stats.answers_lost += 1

    # -- network thread ----------------------------------------------------------------------------------------

    def _run(self) -> None:
        failures = 0
        while not self._stop.is_set():
            self._answered = False
            reached = None
            try:
                reached = self._session()
            except Exception as error:  # the thread must live: whatever is raised is a lost connection
                self._trouble(f"{type(error).__name__}: {error}")
            self._connected.clear()
            self._subscribed.clear()
            self._live = None
            if reached is None or self._answered or not self._suspect_version():
                self._turn_of += 1  # where the broker has several nodes, the next one may be well
            lasted = reached is not None and self._answered and time.monotonic() - reached > _STEADY_S
            failures = 0 if lasted else failures + 1
            most = min(_BACKOFF_MOST_S, _BACKOFF_FIRST_S * 2.0 ** min(failures, 8))
            self._stop.wait(random.uniform(0.3, 1.0) * most)  # noqa: S311
            while self._full() and not self._stop.wait(_TURN_MS / 1000):
                pass  # the store is away: what a new connection brought could not be taken
        self._wake_r.close()
        self._wake_w.close()

    def _session(self) -> float:
        """Live one session from connect to end; return when the broker was reached."""
        self._end_session.clear()
        client = self._make_client()
        host, port = self._broker.node(self._turn_of)
        client.connect(host, port, keepalive=_KEEPALIVE_S, **self._connect_options())
        reached = time.monotonic()
        self._connections += 1
        self._live = _Session(self._connections, client)
        poller = select.poll()
        poller.register(self._wake_r, select.POLLIN)
        while not self._stop.is_set() and not self._end_session.is_set():
            if not self._turn(client, poller):
                break
        client.loop_write()  # acknowledgements of what is committed go before the good-bye
        client.disconnect()
        client.loop_write()
        return reached

    def _turn(self, client: _Client, poller: select.poll) -> bool:
        """Wait for the network for a moment and serve it; return whether the connection still stands."""
        sock = client.socket()
        if sock is None:
            return False
        number = sock.fileno()
        poller.register(number, self._wanted() | (select.POLLOUT if client.want_write() else 0))
        ahead = client.holds_bytes and not self._is_full
        ready = dict(poller.poll(0 if ahead else _TURN_MS))
        poller.unregister(number)
        if self._wake_r.fileno() in ready:
            with contextlib.suppress(BlockingIOError):
                self._wake_r.recv(65_536)
        if ahead or ready.get(number, 0) & ~select.POLLOUT:
            self._read(client, sock)
        if client.want_write():
            client.loop_write()
        return client.loop_misc() == MQTTErrorCode.MQTT_ERR_SUCCESS

    def _wanted(self) -> int:
        was_full, self._is_full = self._is_full, self._full()
        if self._is_full and not was_full:
            self.stats.paused += 1
        return 0 if self._is_full else select.POLLIN

    def _read(self, client: _Client, sock: Any) -> None:
        for _ in range(_PACKETS_A_TURN):
            before = self.stats.received
            client.loop_read()
            if client.socket() is not sock:
                return
            more = client.holds_bytes or (isinstance(sock, ssl.SSLSocket) and sock.pending())
            if self._full() or (self.stats.received == before and not more):
                return

    def _full(self) -> bool:
        return self._queue.qsize() >= self._queue_messages or self._bytes >= self._queue_bytes

    def _connect_options(self) -> dict[str, Any]:
        if self._version != mqtt.MQTTv5:
            return {}
        properties = Properties(PacketTypes.CONNECT)
        properties.SessionExpiryInterval = _SESSION_EXPIRY_S
        properties.ReceiveMaximum = _WINDOW
        return {"clean_start": False, "properties": properties}

    def _make_client(self) -> _Client:
        options: dict[str, Any] = {} if self._version == mqtt.MQTTv5 else {"clean_session": False}
        client = _Client(
            CallbackAPIVersion.VERSION2,
            client_id=f"qw_{self._broker.name}",
            protocol=self._version,
            manual_ack=True,
            reconnect_on_failure=False,
            **options,
        )
        if self._broker.username:
            client.username_pw_set(self._broker.username, self._broker.password)
        if self._broker.tls:
            client.tls_set_context(self._broker.tls_files.context())
        client.max_inflight_messages_set(1_000)
        client.max_queued_messages_set(20_000)
        client.on_connect = self._guard(self._handle_connect)
        client.on_disconnect = self._guard(self._handle_disconnect)
        client.on_subscribe = self._guard(self._handle_subscribe)
        client.on_message = self._guard(self._handle_message)
        # With this set, paho leaves all writing to _turn.
        client.on_socket_register_write = self._guard(lambda *_: self._wake())
        return client

    def _wake(self) -> None:
        with contextlib.suppress(OSError):  # full: it is awake already; closed: it has ended
            self._wake_w.send(b"\0")

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
        self._answered = True
        if code.is_failure:
            self._end_session.set()
            if code.value == _UNSUPPORTED_PROTOCOL and self._version == mqtt.MQTTv5:
                self._use_3_1_1()
            else:
                self._trouble(f"the broker refused: {code}")
            return
        self.stats.connects += 1
        if self.stats.connects > 1 and not flags.session_present:
            # Devices send again what they have no answer for, so this costs time and not readings.
            self.stats.sessions_lost += 1
            log.warning("the broker has forgotten our session")
        self._subscribe(client)
        self._last_trouble = ""
        self._connected.set()
        log.info(
            "ingest is connected", broker=self._node,
            session_present=flags.session_present, group=self._broker.group,
        )  # fmt: skip

    def _subscribe(self, client: mqtt.Client) -> None:
        plain = [kind_filter(kind) for kind in READING_KINDS]  # type: ignore[arg-type]
        filters = plain
        if self._broker.group is not None and self._version == mqtt.MQTTv5:
            # A session that was not shared before would go on to get everything.
            client.unsubscribe(plain)
            filters = [f"$share/{self._broker.group}/{one}" for one in plain]
        # The status is not shared: the broker tells retained ones to plain subscriptions alone.
        client.subscribe([(one, 1) for one in (*filters, kind_filter("status"))])

    def _handle_subscribe(
        self, _client: mqtt.Client, _data: Any, _mid: int, codes: Sequence[ReasonCode], _more: Any
    ) -> None:
        if any(code.is_failure for code in codes):
            refused = ", ".join(map(str, codes))
            self._trouble(
                f"the broker refuses our subscription ({refused}); let {self._broker.username} read qw/v1/#"
            )
            self._end_session.set()
        else:
            self._subscribed.set()

    def _handle_disconnect(
        self, _client: mqtt.Client, _data: Any, _flags: Any, code: ReasonCode, _more: Any
    ) -> None:
        if self._connected.is_set() and not self._stop.is_set() and not self._end_session.is_set():
            more = ""
            if code.value == _TAKEN_OVER:
                more = f"; another process uses the name {self._broker.name!r}: give each ingest its own"
            self._trouble(f"connection lost: {code}{more}")
        self._connected.clear()
        self._subscribed.clear()
        self._end_session.set()

    def _handle_message(self, _client: mqtt.Client, _data: Any, message: mqtt.MQTTMessage) -> None:
        self.stats.received += 1
        session = self._live
        if session is None:
            return
        mid = message.mid if message.qos else 0
        if mid and mid in session.held:
            self.stats.repeated += 1
            return
        payload = message.payload
        size = len(payload)
        if size > MAX_PAYLOAD_BYTES:
            payload = payload[:KEPT_OF_OVERSIZE_BYTES]
        arrival = Arrival(_topic_of(message), bytes(payload), size, mid, session.number, bool(message.retain))
        if mid:
            session.held.add(mid)
        with self._bytes_lock:
            self._bytes += len(payload)
        self._queue.put(arrival)

    @property
    def _node(self) -> str:
        return ":".join(map(str, self._broker.node(self._turn_of)))

    def _use_3_1_1(self) -> None:
        log.info("broker speaks no MQTT 5, using 3.1.1")
        if self._broker.group is not None:
            log.warning("this broker cannot share the load: every ingest process gets everything")
        self._version = mqtt.MQTTv311

    def _suspect_version(self) -> bool:
        """Note that the broker hung up; return whether it is to be asked again in MQTT 3.1.1."""
        # Some brokers just hang up on an MQTT version that they do not know: try them in turn. But a group needs
        # MQTT 5, and a proxy in front of a broker that restarts hangs up as well.
        self._trouble("the broker hung up without an answer")
        if self._broker.group is None:
            self._version = mqtt.MQTTv311 if self._version == mqtt.MQTTv5 else mqtt.MQTTv5
        return self._version == mqtt.MQTTv311

    def _trouble(self, text: str) -> None:
        if text != self._last_trouble:
            log.warning("ingest has no broker", broker=self._node, cause=text)
        self._last_trouble = text


def _topic_of(message: mqtt.MQTTMessage) -> str:
    try:
        return message.topic
    except UnicodeDecodeError:
        return message._topic.decode("utf-8", "replace")
