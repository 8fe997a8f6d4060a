"""A source that meters send to by themselves, by radio: wireless M-Bus and LoRaWAN."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from queue import Empty, Full, Queue
from typing import Final, Protocol

import structlog

from contract.clock import Clock
from contract.messages import WaterReading
from edge.water.register import NoAnswer
from edge.water.settings_meters import MeterSettings
from edge.water.watch import Watch

log = structlog.get_logger(__name__)

_WAIT_S: Final = 0.5
_QUEUE_MOST: Final = 10_000
_UNREAD_MOST: Final = 1_000


class Message(Protocol):
    """Something that was received."""

    def done(self) -> None:
        """Tell the sender that its content has been taken in."""
        ...


class Heard:
    """One meter's readings that have arrived and were not read yet, oldest first. When full, the oldest goes."""

    def __init__(self, meter: str) -> None:
        self._meter = meter
        self._unread: deque[WaterReading] = deque(maxlen=_UNREAD_MOST)

    def hear(self, reading: WaterReading) -> None:
        """Take in a reading."""
        if len(self._unread) == _UNREAD_MOST:
            log.warning(
                "readings of a meter arrive faster than they are read; the oldest goes", meter=self._meter
            )
        self._unread.append(reading)

    def read(self, at: datetime) -> WaterReading:  # noqa: ARG002 - a driver's interface; radio has its own time
        """Return the oldest reading that has arrived. Raises ``NoAnswer`` where there is none."""
        if not self._unread:
            raise NoAnswer("nothing was received from the meter")
        return self._unread.popleft()


class HeardSource:
    """Emits one reading an interval of what its meters send, and tells when one falls silent."""

    def __init__(
        self,
        name: str,
        meters: Mapping[str, tuple[MeterSettings, float | None]],
        watch: Watch,
        clock: Clock,
        *,
        receive: Callable[[threading.Event, Callable[[Message], bool]], None],
        readings: Callable[[Message, datetime], list[WaterReading]],
    ) -> None:
        """``receive`` runs in a thread of its own and puts messages; ``readings`` makes readings of one.

        Putting says ``False`` where the queue is full, and the message is not taken.
        """
        self.name = name
        self._meters = meters
        self._watch = watch
        self._clock = clock
        self._receive = receive
        self._readings = readings
        self._queue: Queue[Message] = Queue(_QUEUE_MOST)
        self._heard = {meter: Heard(meter) for meter in meters}
        self._slots: dict[str, int] = {}

    def run(self, stop: threading.Event) -> None:
        """Listen until ``stop`` is set. Raises what the receiving thread raised."""
        failure: list[BaseException] = []
        ended = threading.Event()

        def listen() -> None:
            try:
                self._receive(ended, self._put)
            except BaseException as error:  # handed over to the thread that supervises this source
                failure.append(error)

        listener = threading.Thread(target=listen, name=f"listen-{self.name}", daemon=True)
        listener.start()
        now = self._now()
        self._slots = {meter: self._slot(meter, now) for meter in self._meters}
        try:
            while not stop.is_set():
                self._take_next()
                self._count_misses(self._now())
                if failure:
                    raise failure[0]
        finally:
            ended.set()
            listener.join(timeout=5.0)
            self._watch.save()

    def _put(self, message: Message) -> bool:
        try:
            self._queue.put_nowait(message)
        except Full:
            return False
        return True

    def _take_next(self) -> None:
        try:
            message = self._queue.get(timeout=_WAIT_S)
        except Empty:
            return
        now = self._now()
        for reading in self._readings(message, now):
            if reading.meter in self._heard:
                self._heard[reading.meter].hear(reading)
                self._emit(reading.meter, now)
        message.done()

    def _emit(self, meter: str, now: datetime) -> None:
        reading = self._heard[meter].read(now)
        last_t = self._watch.last_t(meter)
        if last_t is None or self._slot(meter, reading.t) > self._slot(meter, last_t) or last_t > now:
            self._watch.accept(reading, self._meters[meter][1])

    def _count_misses(self, now: datetime) -> None:
        """A turn that ended without a reading is missed."""
        for meter in self._meters:
            slot = self._slot(meter, now)
            if slot > self._slots[meter]:
                last_t = self._watch.last_t(meter)
                if last_t is None or self._slot(meter, last_t) < self._slots[meter]:
                    self._watch.miss(meter, now, "nothing was received from the meter")
                self._slots[meter] = slot
            elif slot < self._slots[meter] - 1:
                self._slots[meter] = slot

    def _slot(self, meter: str, t: datetime) -> int:
        return int(t.timestamp() // self._meters[meter][0].interval_s)

    def _now(self) -> datetime:
        return self._clock.now().astimezone(UTC)
