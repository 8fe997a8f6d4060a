"""Simulated meters on a real transport, and the product's reader on the other end."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import msgspec

from contract.clock import Clock, SystemClock
from contract.messages import EdgeEvent, Reading, WaterReading
from edge.water.poller import Poller
from edge.water.settings import WaterSettings
from edge.water.simulator.faults import Fault, parse
from edge.water.simulator.serve import Pty, Server, Tcp
from edge.water.simulator.slaves import Cjt188Segment, MbusSegment, ModbusSegment, SimulatedMeter


def wait_until(condition: Callable[[], bool], within_s: float = 90.0, what: str = "") -> None:
    deadline = time.monotonic() + within_s
    while not condition():
        assert time.monotonic() < deadline, what or "waited in vain"
        threading.Event().wait(0.01)


class Output:
    """What a poller emits, from whichever thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._items: list[Reading] = []

    def __call__(self, reading: Reading) -> None:
        with self._lock:
            self._items.append(reading)

    @property
    def items(self) -> list[Reading]:
        with self._lock:
            return list(self._items)

    @property
    def readings(self) -> list[WaterReading]:
        return [one for one in self.items if isinstance(one, WaterReading)]

    @property
    def events(self) -> list[EdgeEvent]:
        return [one for one in self.items if isinstance(one, EdgeEvent)]

    def count(self) -> Counter[str]:
        return Counter(one.meter for one in self.readings)

    def kinds(self) -> list[tuple[str, str | None]]:
        return [(one.kind, one.meter) for one in self.events]


@contextmanager
def served(
    driver: str, count: int, *, over: str = "pty", baud: int = 115_200, faults: Sequence[str | Fault] = (),
    telegrams: int = 1, framing: str | None = None, clock: Clock | None = None, flow_lph: int = 60,
    numbers: Sequence[int] | None = None, port: int = 0,
) -> Iterator[tuple[str, list[SimulatedMeter], Server]]:  # fmt: skip
    """Serve meters; yields where, the meters, and the server."""
    meters = [SimulatedMeter(number, flow_lph) for number in numbers or range(1, count + 1)]
    framing = framing or ("tcp" if over == "tcp" else "rtu")
    if driver == "cjt188":
        segment = Cjt188Segment(meters)
    elif driver == "mbus":
        segment = MbusSegment(meters, telegrams)
    else:
        segment = ModbusSegment(meters, framing=framing)
    endpoint = Pty() if over == "pty" else Tcp("127.0.0.1", port)
    parsed = [parse(one) if isinstance(one, str) else one for one in faults]
    server = Server(segment, endpoint, clock or SystemClock(), baud=baud, faults=parsed, seed=7)
    stop = threading.Event()
    thread = threading.Thread(target=server.run, args=(stop,), daemon=True)
    thread.start()
    try:
        yield endpoint.where, meters, server
    finally:
        stop.set()
        thread.join(timeout=60)
        endpoint.close()
        assert not thread.is_alive()


def bus_tables(
    driver: str, where: str, meters: Sequence[SimulatedMeter], *, over: str = "pty", baud: int = 115_200,
    secondary: bool = False, framing: str | None = None, interval_s: int = 1, **more: Any,
) -> dict[str, Any]:  # fmt: skip
    """Return the ``[water]`` table that reads served meters."""
    bus = {"name": "bus", "baud": baud, "timeout_s": 0.25, ("port" if over == "pty" else "tcp"): where}
    bus |= {key: more.pop(key) for key in ("timeout_s", "retries") if key in more}
    if framing is not None:
        bus["framing"] = framing
    tables = []
    for one in meters:
        address = {
            "cjt188": {"address": one.cjt188_address},
            "mbus": {"secondary": one.mbus_serial} if secondary else {"primary": one.number},
            "modbus": {"unit": one.number, "profile": "modbus-litres"},
        }[driver]
        name = f"m{one.number}"
        tables.append(
            {
                "name": name,
                "driver": driver,
                "bus": "bus",
                "interval_s": interval_s,
                "jitter_s": 0,
                **address,
                **more,
            }
        )
    return {"buses": [bus], "meters": tables}


@contextmanager
def polled(
    tables: dict[str, Any], folder: Path, *, clock: Clock | None = None, synced: bool | None = True
) -> Iterator[Output]:
    """Run a poller; yields what it emits."""
    output = Output()
    settings = msgspec.convert(tables, WaterSettings)
    poller = Poller(settings, clock or SystemClock(), output, folder, clock_synced=lambda: synced)
    stop = threading.Event()
    thread = threading.Thread(target=poller.run, args=(stop,), daemon=True)
    thread.start()
    try:
        yield output
    finally:
        stop.set()
        thread.join(timeout=60)
        assert not thread.is_alive()
