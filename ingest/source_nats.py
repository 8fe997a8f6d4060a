"""Messages from a NATS JetStream cluster: the one file of ingest that imports nats-py.

Devices speak MQTT to any node. A stream, replicated to three nodes, captures what they publish, and ingest pulls from
it. All processes of a group share one durable consumer: each message goes to one of them, and to another one when it
was not acknowledged within ``_ACK_WAIT_S``. Unlike MQTT's, an acknowledgement belongs to the message and not to the
connection: it counts after a change to another node too.

The status of a device goes to every process, in order, by a consumer of its own: shared, an ``offline`` could be
recorded after the ``online`` that followed it.
"""

from __future__ import annotations

import asyncio
import contextlib
import queue
import random
import threading
import time
from collections import deque
from collections.abc import Coroutine
from typing import Any, Final

import structlog
from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.js import JetStreamContext
from nats.js.api import (
    ConsumerConfig,
    DeliverPolicy,
    RetentionPolicy,
    StorageType,
    StreamConfig,
)
from nats.js.errors import APIError, NotFoundError

from contract.codec import encode
from contract.messages import MAX_PAYLOAD_BYTES, Stored
from contract.topics import READING_KINDS, Topic, kind_filter
from ingest.source import KEPT_OF_OVERSIZE_BYTES, Arrival, BrokerAddress, SourceStats

log = structlog.get_logger(__name__)

STREAM: Final = "QW"
_MAX_BYTES: Final = 8 << 30
_MAX_AGE_S: Final = 86_400.0
"""The stream is a window and no store: what it drops unread, the devices still have."""
_REPLICAS: Final = 3
_QUEUE_MESSAGES: Final = 5_000
_QUEUE_BYTES: Final = 64 << 20
_WINDOW: Final = 20_000
"""Messages without acknowledgement, of all processes together."""
_ACK_WAIT_S: Final = 10.0
_PULL: Final = 500
_PULL_WAIT_S: Final = 2.0
_FORGET_S: Final = 7 * 86_400.0
"""A consumer of statuses that nobody asks for so long is forgotten by the broker."""
_CALL_S: Final = 5.0
_PING_S: Final = 3
_BACKOFF_FIRST_S: Final = 0.2
_BACKOFF_MOST_S: Final = 10.0
_STEADY_S: Final = 10.0
_FULL_S: Final = 0.02
_NOT_CLUSTERED: Final = 10_074


class NatsSource:
    """Pulls readings and statuses into a bounded queue and answers ``stored``.

    When the queue is full (messages or bytes) nothing is pulled until it has room: the stream keeps the rest. One
    thread does all input and output; when a node is lost the next one of the address is tried.
    """

    def __init__(
        self, broker: BrokerAddress, *, queue_messages: int = _QUEUE_MESSAGES, queue_bytes: int = _QUEUE_BYTES
    ) -> None:
        self._broker = broker
        self._queue_messages = queue_messages
        self._queue_bytes = queue_bytes
        self._queue: queue.SimpleQueue[Arrival] = queue.SimpleQueue()
        self._bytes = 0
        self._lock = threading.Lock()
        self._held: dict[int, str] = {}
        """Where the acknowledgement of each message in our hands goes, by the message's number in the stream."""
        self._to_send: deque[tuple[str, bytes]] = deque()
        self._told = False
        """Whether the loop knows that there is something to send."""
        self._connected = threading.Event()
        self._loop = asyncio.new_event_loop()
        self._stop = asyncio.Event()
        self._outgoing = asyncio.Event()
        self._turn = 0
        self._last_trouble = ""
        self._thread = threading.Thread(target=self._run, name="ingest-nats", daemon=True)
        self.stats = SourceStats()

    def start(self) -> None:
        """Begin to connect, in a thread of its own."""
        self._thread.start()

    def stop(self) -> None:
        """Send the acknowledgements that are due and leave; what is not acknowledged stays in the stream."""
        if self._thread.is_alive():
            self._loop.call_soon_threadsafe(self._stop.set)
            self._thread.join(timeout=10.0)

    @property
    def connected(self) -> bool:
        """Whether a node is connected and has both consumers."""
        return self._connected.is_set() and self._thread.is_alive()

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
        with self._lock:
            self._bytes -= len(arrival.payload)
        return arrival

    def acknowledge(self, arrival: Arrival) -> None:
        """Tell the stream that a message is dealt with; kept for the next connection while there is none."""
        with self._lock:
            reply = self._held.pop(arrival.mid, None)
        if reply is not None:
            self._send(reply, b"")

    def answer(self, site: str, device: str, stored: Stored) -> None:
        """Tell a device what is stored; if this is lost the device sends again."""
        if not self._connected.is_set():
            self.stats.answers_lost += 1
            return
        self._send(_subject(str(Topic(site, device, "stored"))), encode(stored))

    def _send(self, subject: str, payload: bytes) -> None:
        self._to_send.append((subject, payload))
        if not self._told:
            self._told = True
            with contextlib.suppress(RuntimeError):  # the loop is closed: the stream sends it again
                self._loop.call_soon_threadsafe(self._outgoing.set)

    # -- network thread ----------------------------------------------------------------------------------------

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        try:
            self._loop.run_until_complete(self._live())
        finally:
            self._connected.clear()
            self._loop.close()

    async def _live(self) -> None:
        failures = 0
        while not self._stop.is_set():
            began = time.monotonic()
            try:
                await self._session()
            except Exception as error:  # the thread must live: whatever is raised is a lost connection
                self._trouble(str(error) or type(error).__name__)
            self._connected.clear()
            self._turn += 1  # the next node may be well
            failures = 0 if time.monotonic() - began > _STEADY_S else failures + 1
            most = min(_BACKOFF_MOST_S, _BACKOFF_FIRST_S * 2.0 ** min(failures, 8))
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._stop.wait(), random.uniform(0.3, 1.0) * most)  # noqa: S311

    async def _session(self) -> None:
        """Live one session, from connect until the node is lost or we stop."""
        client, closed = Client(), asyncio.Event()
        await self._connect(client, closed)
        try:
            stream = client.jetstream(timeout=_CALL_S)
            await _ensure_stream(stream)
            readings = await self._shared(stream)
            statuses, old = await self._own(stream)
            self.stats.connects += 1
            self._last_trouble = ""
            self._connected.set()
            log.info("ingest is connected", broker=self._node, durable=self._durable, name=self._broker.name)
            await _until_one_ends(
                closed.wait(), self._stop.wait(), self._pull(readings), self._pull(statuses, old=old),
                self._sender(client),
            )  # fmt: skip
            if not self._stop.is_set():
                self._trouble("connection lost")
        finally:
            self._connected.clear()
            with contextlib.suppress(Exception):
                await self._leave(client)

    async def _connect(self, client: Client, closed: asyncio.Event) -> None:
        async def on_closed() -> None:
            closed.set()

        async def on_error(error: Exception) -> None:
            log.debug("nats", error=str(error))

        broker = self._broker
        host, port = broker.node(self._turn)
        try:
            await client.connect(
                f"{'tls' if broker.tls else 'nats'}://{host}:{port}",
                name=f"quietwater {broker.name}", user=broker.username, password=broker.password,
                tls=broker.tls_files.context() if broker.tls else None,
                # We change nodes ourselves: the reconnection of the library would go on by itself after stop().
                allow_reconnect=False, connect_timeout=int(_CALL_S), ping_interval=_PING_S, max_outstanding_pings=2,
                closed_cb=on_closed, error_cb=on_error,
            )  # fmt: skip
        except BaseException:
            with contextlib.suppress(Exception):
                await client.close()
            raise

    @property
    def _node(self) -> str:
        return ":".join(map(str, self._broker.node(self._turn)))

    @property
    def _durable(self) -> str:
        return self._broker.group or "ingest"

    async def _shared(self, stream: JetStreamContext) -> JetStreamContext.PullSubscription:
        config = ConsumerConfig(
            durable_name=self._durable, ack_wait=_ACK_WAIT_S, max_ack_pending=_WINDOW,
            filter_subjects=[_filter(kind) for kind in READING_KINDS],
        )  # fmt: skip
        await stream.add_consumer(STREAM, config)
        return await self._bind(stream, self._durable)

    async def _own(self, stream: JetStreamContext) -> tuple[JetStreamContext.PullSubscription, int]:
        """Return the subscription to statuses and how many of them are from before."""
        name = f"{self._durable}-status-{self._broker.name}"
        config = ConsumerConfig(
            durable_name=name, ack_wait=_ACK_WAIT_S, max_ack_pending=_WINDOW, filter_subject=_filter("status"),
            deliver_policy=DeliverPolicy.LAST_PER_SUBJECT, inactive_threshold=_FORGET_S,
        )  # fmt: skip
        info = await stream.add_consumer(STREAM, config)
        return await self._bind(stream, name), info.num_pending or 0

    async def _bind(self, stream: JetStreamContext, durable: str) -> JetStreamContext.PullSubscription:
        # A burst of large messages beyond the limit is dropped by the library, and comes again.
        return await stream.pull_subscribe_bind(
            durable=durable, stream=STREAM, pending_bytes_limit=self._queue_bytes
        )

    async def _pull(self, consumer: JetStreamContext.PullSubscription, *, old: int = 0) -> None:
        failures = 0
        while True:
            room = await self._room()
            try:
                messages = await consumer.fetch(min(_PULL, room), timeout=_PULL_WAIT_S)
            except TimeoutError:
                continue
            except APIError as error:
                # Such as a change of the leader: asked again, and of a new session when it goes on.
                failures += 1
                if failures >= 5:
                    raise
                log.debug("the stream did not answer a pull", error=str(error))
                await asyncio.sleep(_BACKOFF_FIRST_S)
                continue
            failures = 0
            for message in messages:
                self._accept(message, retained=old > 0)
                old -= 1

    async def _room(self) -> int:
        """Wait until the queue has room; return for how many messages."""
        if self._full():
            self.stats.paused += 1
            while self._full():  # noqa: ASYNC110  take() is of another thread
                await asyncio.sleep(_FULL_S)
        return self._queue_messages - self._queue.qsize()

    def _full(self) -> bool:
        return self._queue.qsize() >= self._queue_messages or self._bytes >= self._queue_bytes

    def _accept(self, message: Msg, *, retained: bool) -> None:
        self.stats.received += 1
        number = message.metadata.sequence.stream
        payload, size = message.data, len(message.data)
        if size > MAX_PAYLOAD_BYTES:
            payload = payload[:KEPT_OF_OVERSIZE_BYTES]
        topic = message.subject.replace(".", "/")
        with self._lock:
            repeated = number in self._held
            self._held[number] = message.reply
            self._bytes += 0 if repeated else len(payload)
        if repeated:
            self.stats.repeated += 1
        else:
            self._queue.put(Arrival(topic, payload, size, number, self.stats.connects, retained))

    async def _sender(self, client: Client) -> None:
        while True:
            await self._outgoing.wait()
            self._outgoing.clear()
            await self._send_all(client)

    async def _send_all(self, client: Client) -> None:
        self._told = False
        while self._to_send:
            subject, payload = self._to_send[0]
            await client.publish(subject, payload)
            self._to_send.popleft()

    async def _leave(self, client: Client) -> None:
        if client.is_connected:
            await self._send_all(client)
            await client.flush(timeout=int(_CALL_S))
        await client.close()

    def _trouble(self, text: str) -> None:
        if text != self._last_trouble:
            log.warning("ingest has no broker", broker=self._node, cause=text)
        self._last_trouble = text


async def _ensure_stream(stream: JetStreamContext) -> None:
    """Make the stream if there is none. One that is there is left as it is: an operator may have made it."""
    try:
        await stream.stream_info(STREAM)
        return
    except NotFoundError:
        pass
    for replicas in (_REPLICAS, 1):
        config = StreamConfig(
            name=STREAM, subjects=[_filter(kind) for kind in (*READING_KINDS, "status")],
            retention=RetentionPolicy.LIMITS, storage=StorageType.FILE, num_replicas=replicas,
            max_bytes=_MAX_BYTES, max_age=_MAX_AGE_S,
        )  # fmt: skip
        try:
            await stream.add_stream(config)
        except APIError as error:
            if error.err_code != _NOT_CLUSTERED or replicas == 1:
                raise
            log.warning("this broker is no cluster: what it holds is on one node alone")
            continue
        log.info("the stream is made", stream=STREAM, replicas=replicas, max_gib=_MAX_BYTES >> 30)
        return


async def _until_one_ends(*works: Coroutine[Any, Any, object]) -> None:
    """Run all until the first one ends, end the others, and raise what it raised."""
    tasks = [asyncio.ensure_future(work) for work in works]
    try:
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
    for task in done:
        task.result()


def _filter(kind: Any) -> str:
    return _subject(kind_filter(kind))


def _subject(topic: str) -> str:
    """Return NATS's name of an MQTT topic or filter of ours, which hold no dot and no ``#``."""
    return topic.replace("/", ".").replace("+", "*")
