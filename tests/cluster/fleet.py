"""A part of the fleet in one process: devices with the edge's own outbox, courier and link, readings from a counter.

``python -m tests.cluster.fleet FOLDER BROKER_URLS FIRST COUNT RATE START``: devices ``d<FIRST>`` and on make ``RATE``
readings a second each, of the seconds from ``START`` (Unix time) on, until the file ``enough`` lies in ``FOLDER``; when
every one is confirmed it writes ``made-<FIRST>.json``, how many each device made, and ends.
"""

from __future__ import annotations

import json
import sys
import threading
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

from contract.clock import SystemClock
from contract.messages import DeviceStatus, NoiseSecond, Stored
from edge.courier import Courier
from edge.link import Broker, Link
from edge.outbox import Outbox
from edge.schedule import Schedule

TURN_S = 0.1


def reading(start: datetime, n: int) -> NoiseSecond:
    """Return the ``n``-th reading of any device: each has a second of its own, and a level that tells which it is."""
    return NoiseSecond(
        seq=0, t=start + timedelta(seconds=n), laeq_db=30.0 + n % 500 / 10, lafmax_db=90.0, lafmin_db=20.0, laf_db=50.0,
    )  # fmt: skip


class Device:
    """An edge without a microphone."""

    def __init__(self, folder: Path, url: str, name: str, start: datetime):
        clock = SystemClock()
        self._start = start
        self.made = 0
        self.outbox = Outbox(
            folder / f"{name}.sqlite", now=clock.now(), max_bytes=64 << 20, memory_limit=50_000
        )
        self._link = Link(
            Broker(url, protocol="3.1.1"), "s1", name,
            on_stored=self._on_stored, on_config=print, on_connected=self._on_connected,
        )  # fmt: skip
        self._courier = Courier(self.outbox, self._link, clock, schedule=Schedule())
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._courier.run, args=(self._stop,))

    def start(self) -> None:
        self._link.start()
        self._thread.start()

    def make(self, count: int) -> None:
        for _ in range(count):
            self.outbox.append(reading(self._start, self.made))
            self.made += 1

    def stop(self) -> None:
        self._stop.set()
        self._thread.join()
        self._link.stop(last_status=DeviceStatus(state="offline"))
        self.outbox.close()

    def _on_stored(self, answer: Stored) -> None:
        self._courier.on_stored(answer)

    def _on_connected(self) -> None:
        self._courier.on_connected()


def main() -> None:
    folder, url, first, count, rate = Path(sys.argv[1]), sys.argv[2], *map(int, sys.argv[3:6])
    start = datetime.fromtimestamp(int(sys.argv[6]), UTC)
    devices = {f"d{n}": Device(folder, url, f"d{n}", start) for n in range(first, first + count)}
    for device in devices.values():
        device.start()
    began, owed = time.monotonic(), 0
    while not (folder / "enough").exists():
        time.sleep(TURN_S)
        due = int((time.monotonic() - began) * rate)
        for device in devices.values():
            device.make(due - owed)
        owed = due
    while any(device.outbox.depth() for device in devices.values()):
        time.sleep(TURN_S)
    for device in devices.values():
        device.stop()
    (folder / f"made-{first}.json").write_text(json.dumps({name: one.made for name, one in devices.items()}))


if __name__ == "__main__":
    main()
