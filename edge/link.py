"""The link to the MQTT broker: the one file of the edge that imports paho.

paho's own queue is a window here, never a store: readings leave the outbox on the server's ``stored`` alone. Callbacks
only hand over; an exception in one would end the network thread while paho still says "connected".
"""

from __future__ import annotations

import contextlib
import random
import select
import socket
import ssl
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
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
from contract.topics import ReadingKind, Topic

log = structlog.get_logger(__name__)

Protocol = Literal["auto", "5", "3.1.1"]
_WINDOW: Final = 40
"""Publishes without the broker's PUBACK at most."""
_KEEPALIVE_S: Final = 20
_SESSION_EXPIRY_S: Final = 7 * 86_400
_BACKOFF_FIRST_S: Final = 1.0
_BACKOFF_MOST_S: Final = 60.0
_UNSUPPORTED_PROTOCOL: Final = 132
_STEADY_S: Final = 10.0
"""A session that lasted this long was a good one: the next connection is tried soon."""
_TURN_MS: Final = 200
_GOODBYE_S: Final = 2.0
_STUCK_S: Final = 8.0
"""A node that lets a publish wait so long for its PUBACK is left where there is another."""


@dataclass(frozen=True, slots=True)
class Broker:
    """Where the broker is and who we are there. ``ca_file`` and the client certificate are for ``mqtts``.

    ``renewed_file`` holds a certificate with its key, where the device has renewed its own.
    """

    url: str
    username: str | None = None
    password: str | None = None
    protocol: Protocol = "auto"
    ca_file: str | None = None
    cert_file: str | None = None
    key_file: str | None = None
    renewed_file: str | None = None

    @property
    def nodes(self) -> list[str]:
        """Each node's address: ``url`` is one, or several of a cluster with commas between them."""
        return [node.strip() for node in self.url.split(",")]

    @property
    def tls(self) -> bool:
        """Whether the link is encrypted (``mqtts://``)."""
        return urlsplit(self.nodes[0]).scheme == "mqtts"

    def node(self, turn: int) -> tuple[str, int]:
        """Return host and port of the node whose turn it is; 1883, or 8883 with TLS, where no port is given."""
        parts = urlsplit(self.nodes[turn % len(self.nodes)])
        return parts.hostname or "127.0.0.1", parts.port or (8883 if self.tls else 1883)

    def __post_init__(self) -> None:
        schemes = {urlsplit(node).scheme for node in self.nodes}
        if len(schemes) != 1 or not schemes <= {"mqtt", "mqtts"}:
            raise ValueError(
                f"broker address must be mqtt://host:port or mqtts://host:port, not {self.url!r}"
            )


@dataclass(slots=True)
class _Session:
    """One connection and what was published on it without the broker's PUBACK yet."""

    client: mqtt.Client
    under_way: list[tuple[float, mqtt.MQTTMessageInfo]] = field(default_factory=list)
    """When each was handed over; replaced as a whole, so that another thread may read it."""

    def is_full(self) -> bool:
        if len(self.under_way) >= _WINDOW:
            self.under_way = [one for one in self.under_way if not one[1].is_published()]
        return len(self.under_way) >= _WINDOW

    def waits_since(self) -> float | None:
        """Return since when the oldest of them waits."""
        return next((at for at, info in self.under_way.copy() if not info.is_published()), None)


class Link:
    """Keeps a session at the broker: reconnects with back-off and jitter, falls back from MQTT 5 to 3.1.1.

    Of a broker with several nodes each connection takes the next one, beginning with any: the devices spread, and one
    whose node dies, or is cut off from the others so that nothing is acknowledged or confirmed, moves on.

    One thread does all input and output (paho's loop for an event loop of one's own): a publish from another thread
    only queues. Each session has a client of its own, so that nothing of an earlier one is sent again: what is not
    confirmed is the outbox's to send. ``on_stored``, ``on_config``, ``on_bad_config`` (with the reason) and
    ``on_connected`` are called from that thread and must be quick.
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
        on_bad_config: Callable[[str], None] = lambda _reason: None,
    ) -> None:
        self._broker = broker
        self._site = site
        self._device = device
        self._on_stored = on_stored
        self._on_config = on_config
        self._on_connected = on_connected
        self._on_bad_config = on_bad_config
        self._stop = threading.Event()
        self._end_session = threading.Event()
        self._connected = threading.Event()
        self._failures = 0
        self._login_of = 0
        self._let_in = False
        self._answered = False
        """Whether the broker answered our CONNECT in this session, be it with a refusal."""
        self._live: _Session | None = None
        self._version = mqtt.MQTTv311 if broker.protocol == "3.1.1" else mqtt.MQTTv5
        self._turn_of = random.randrange(len(broker.nodes))  # noqa: S311
        self._wake_r, self._wake_w = socket.socketpair()
        self._wake_r.setblocking(False)
        self._wake_w.setblocking(False)
        self._thread = threading.Thread(target=self._run, name=f"link-{device}", daemon=True)
        self._last_trouble = ""

    def start(self) -> None:
        """Begin to connect, in a thread of its own."""
        self._thread.start()

    @property
    def connected(self) -> bool:
        """Whether the session is up and its network thread alive."""
        return self._connected.is_set() and self._thread.is_alive()

    def publish(self, kind: ReadingKind, payload: bytes) -> bool:
        """Hand a readings payload to the broker; ``False`` when the link is down or its window is full."""
        session = self._live
        if session is None or not self.connected or session.is_full():
            return False
        # No lock of ours is held here: paho calls back with its own locks held.
        info = session.client.publish(str(Topic(self._site, self._device, kind)), payload, qos=1)
        if info.rc != MQTTErrorCode.MQTT_ERR_SUCCESS:
            return False
        session.under_way.append((time.monotonic(), info))
        return True

    def publish_status(self, status: DeviceStatus) -> None:
        """Publish the retained status; skipped while the link is down (the next one will tell)."""
        self._publish_status(status)

    def drop(self) -> None:
        """Drop the connection and make a new one: what to do when ``stored`` stays away."""
        self._end_session.set()

    def stop(self, *, last_status: DeviceStatus) -> None:
        """Say good-bye and end the network thread."""
        info = self._publish_status(last_status)
        if info is not None:
            try:
                info.wait_for_publish(timeout=_GOODBYE_S)
            except (RuntimeError, ValueError):
                log.debug("last status was not acknowledged", device=self._device)
        self._stop.set()
        self._wake()
        if self._thread.is_alive():
            self._thread.join(timeout=5.0)

    # -- network thread ----------------------------------------------------------------------------------------

    def _run(self) -> None:
        while not self._stop.is_set():
            self._answered = self._let_in = False
            reached = None
            try:
                reached = self._session()
            except Exception as error:  # the thread must live: whatever paho raises is a lost connection
                self._trouble(f"{type(error).__name__}: {error}")
            self._connected.clear()
            self._live = None
            if reached is None or self._answered or not self._suspect_version():
                self._turn_of += 1
            if not self._let_in and (self._answered or reached is not None):
                self._login_of += 1
            lasted = reached is not None and self._answered and time.monotonic() - reached > _STEADY_S
            self._failures = 0 if lasted else self._failures + 1
            # Another node is worth a try at once; the pauses grow with each round of them.
            self._stop.wait(backoff_s(self._failures // len(self._broker.nodes), random.random()))  # noqa: S311
        self._wake_r.close()
        self._wake_w.close()

    def _session(self) -> float:
        """Live one session from connect to end; return when the broker was reached."""
        self._end_session.clear()
        client = self._make_client()
        host, port = self._broker.node(self._turn_of)
        client.connect(host, port, keepalive=_KEEPALIVE_S, **self._connect_options())
        reached = time.monotonic()
        self._live = session = _Session(client)
        poller = select.poll()
        poller.register(self._wake_r, select.POLLIN)
        while not self._stop.is_set() and not self._end_session.is_set():
            if not self._turn(client, poller):
                break
            if self._is_stuck(session):
                self._trouble(
                    f"nothing that we publish was acknowledged for {_STUCK_S:g} s; trying another node"
                )
                break
        client.disconnect()
        client.loop_write()
        return reached

    def _turn(self, client: mqtt.Client, poller: select.poll) -> bool:
        """Wait for the network for a moment and serve it; return whether the connection still stands."""
        sock = client.socket()
        if sock is None:
            return False
        number = sock.fileno()
        poller.register(number, select.POLLIN | (select.POLLOUT if client.want_write() else 0))
        ready = dict(poller.poll(_TURN_MS))
        poller.unregister(number)
        if self._wake_r.fileno() in ready:
            self._wake_r.recv(4096)
        if ready.get(number, 0) & ~select.POLLOUT:
            client.loop_read()
            while isinstance(sock, ssl.SSLSocket) and client.socket() is sock and sock.pending():
                client.loop_read()  # what TLS has already decrypted does not show in poll
        if client.want_write():
            client.loop_write()
        return client.loop_misc() == MQTTErrorCode.MQTT_ERR_SUCCESS

    def _is_stuck(self, session: _Session) -> bool:
        if len(self._broker.nodes) == 1:
            return False  # there is nowhere else; it acknowledges when it can
        since = session.waits_since()
        return since is not None and time.monotonic() - since > _STUCK_S

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
        logins = _logins(self._broker)
        login = logins[self._login_of % len(logins)]
        if self._broker.username:
            client.username_pw_set(
                self._broker.username, self._broker.password if login.with_password else None
            )
        if self._broker.tls:
            client.tls_set_context(login.context(self._broker.ca_file))
        client.max_queued_messages_set(_WINDOW + 10)
        client.max_inflight_messages_set(_WINDOW)
        client.will_set(self._topic("status"), encode(DeviceStatus(state="offline")), qos=1, retain=True)
        client.on_connect = self._guard(self._handle_connect)
        client.on_disconnect = self._guard(self._handle_disconnect)
        client.on_publish = self._guard(self._handle_publish)
        client.on_subscribe = self._guard(self._handle_subscribe)
        client.on_message = self._guard(self._handle_message)
        # With this set, paho leaves all writing to _turn.
        client.on_socket_register_write = self._guard(lambda *_: self._wake())
        return client

    def _wake(self) -> None:
        with contextlib.suppress(OSError):  # full: it is awake already; closed: it has ended
            self._wake_w.send(b"\0")

    def _publish_status(self, status: DeviceStatus) -> mqtt.MQTTMessageInfo | None:
        session = self._live
        if session is None or not self.connected:
            return None
        return session.client.publish(self._topic("status"), encode(status), qos=1, retain=True)

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
        self._answered = True
        if code.is_failure:
            self._end_session.set()
            if code.value == _UNSUPPORTED_PROTOCOL and self._broker.protocol == "auto":
                self._use_3_1_1()
            else:
                self._trouble(f"the broker refused: {code}")
            return
        # Up only once the broker has taken this: what it has not, it does not keep for us when the connection breaks.
        client.subscribe([(self._topic("stored"), 1), (self._topic("config"), 1)])

    def _handle_disconnect(
        self, _client: mqtt.Client, _data: Any, _flags: Any, code: ReasonCode, _more: Any
    ) -> None:
        if self._connected.is_set() and not self._stop.is_set() and not self._end_session.is_set():
            self._trouble(f"connection lost: {code}")
        self._connected.clear()
        self._end_session.set()

    def _handle_publish(
        self, _client: mqtt.Client, _data: Any, _mid: int, code: ReasonCode, _more: Any
    ) -> None:
        if code.is_failure:
            self._trouble(f"the broker refuses what we publish: {code}")

    def _handle_subscribe(
        self, _client: mqtt.Client, _data: Any, _mid: int, codes: Sequence[ReasonCode], _more: Any
    ) -> None:
        if any(code.is_failure for code in codes):
            self._trouble(
                f"the broker refuses our subscription ({', '.join(map(str, codes))}): nothing can be confirmed; "
                f"let {self._broker.username or 'this device'} read {self._topic('stored')}"
            )
        else:
            if self._last_trouble:
                log.info("link is up again", device=self._device, host=self._broker.node(self._turn_of)[0])
            self._last_trouble = ""
        self._let_in = True
        self._connected.set()
        self._on_connected()

    def _handle_message(self, _client: mqtt.Client, _data: Any, message: mqtt.MQTTMessage) -> None:
        if message.topic == self._topic("stored"):
            self._on_stored(decode_stored(bytes(message.payload)))
        elif message.topic == self._topic("config") and message.payload:
            try:
                config = decode_config(bytes(message.payload))
            except ValueError as error:  # msgspec's are of this kind
                self._on_bad_config(f"the configuration cannot be read: {error}")
            else:
                self._on_config(config)

    def _use_3_1_1(self) -> None:
        log.info("broker speaks no MQTT 5, using 3.1.1", device=self._device)
        self._version = mqtt.MQTTv311

    def _suspect_version(self) -> bool:
        """Note that the broker hung up; return whether it is to be asked again in MQTT 3.1.1."""
        # Some brokers just hang up on an MQTT version that they do not know: try them in turn.
        self._trouble("the broker hung up without an answer")
        if self._broker.protocol != "auto":
            return False
        self._version = mqtt.MQTTv311 if self._version == mqtt.MQTTv5 else mqtt.MQTTv5
        return self._version == mqtt.MQTTv311

    def _trouble(self, text: str) -> None:
        if text != self._last_trouble:
            log.warning(
                "link is down", device=self._device, host=self._broker.node(self._turn_of)[0], cause=text
            )
        self._last_trouble = text


def backoff_s(failures: int, chance: float) -> float:
    """Return how long to wait before the next connection; ``chance`` is random, 0 to 1.

    The first try follows within two seconds: ten thousand devices do not come back at one instant.
    """
    most = min(_BACKOFF_MOST_S, _BACKOFF_FIRST_S * 2.0 ** min(failures, 10))
    return most * (0.1 + 0.9 * chance)


@dataclass(frozen=True, slots=True)
class _Login:
    """One way to come in: a certificate with its key, a password, or both."""

    pair: tuple[str, str | None] | None
    with_password: bool

    def context(self, ca_file: str | None) -> ssl.SSLContext:
        context = ssl.create_default_context(cafile=ca_file)
        if self.pair is not None:
            context.load_cert_chain(*self.pair)
        return context


def _logins(broker: Broker) -> list[_Login]:
    """Return the ways to come in. Tried in turn when one is refused: the one that was let in is kept.

    nats-server takes no password beside a certificate, and Mosquitto may want the password alone; a broker that was not
    told of a new certificate yet takes the one before.
    """
    if not broker.tls or (broker.cert_file is None and broker.renewed_file is None):
        return [_Login(None, True)]
    from edge.certificate import pairs

    shown = pairs(broker.cert_file, broker.key_file, broker.renewed_file)
    passwords = (False, True) if broker.password else (False,)
    return [_Login(pair, has) for pair in shown for has in passwords] or [_Login(None, True)]
