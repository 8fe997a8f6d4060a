"""What reading 32 meters a minute costs, and whether a slow bus keeps its schedule.

Serves simulated meters on a pseudo-terminal with the timing of 2400 baud, one silent and one noisy, in a process of
its own, and reads them with the product's poller in this one, whose processor time is measured.

``python -m benchmarks.water_bus [--driver cjt188] [--minutes 3]`` prints one JSON object a driver.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import threading
import time
import tomllib
from collections import defaultdict
from pathlib import Path

import msgspec

from contract.clock import SystemClock
from contract.messages import EdgeEvent, Reading, WaterReading
from edge.water.poller import Poller
from edge.water.settings import WaterSettings

METERS, SILENT, NOISY = 32, 5, 9


def serve(driver: str, link: Path, baud: int) -> tuple[subprocess.Popen[str], dict]:
    """Start the simulator; return it and the ``[water]`` tables that it prints."""
    command = [
        sys.executable, "-c", "from edge.water.cli import simulate_meters; simulate_meters()", driver,
        "--count", str(METERS), "--link", str(link), "--baud", str(baud),
        "--fault", f"silent@{SILENT}", "--fault", f"noise:0.7@{NOISY}", "--fault", f"checksum:0.3@{NOISY}",
    ]  # fmt: skip
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    lines: list[str] = []
    while sum("interval_s" in line for line in lines) < METERS:
        lines.append(process.stdout.readline())
    return process, tomllib.loads("".join(lines))["water"]


def cpu_s() -> float:
    """Return the processor time of this process, s."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


def measure(driver: str, minutes: float, interval_s: int, baud: int) -> dict[str, object]:
    """Read for some minutes and return what it cost and how late the readings were."""
    with tempfile.TemporaryDirectory() as folder:
        server, tables = serve(driver, Path(folder) / "bus", baud)
        try:
            for meter in tables["meters"]:
                meter |= {"interval_s": interval_s, "jitter_s": 0, "silent_after": 2}
            return _read(tables, Path(folder), minutes, interval_s)
        finally:
            server.terminate()
            server.wait(10)


def _read(tables: dict, folder: Path, minutes: float, interval_s: int) -> dict[str, object]:
    read: dict[str, list[float]] = defaultdict(list)
    events: list[str] = []

    def emit(reading: Reading) -> None:
        if isinstance(reading, WaterReading):
            read[reading.meter].append(time.time())
        elif isinstance(reading, EdgeEvent):
            events.append(f"{reading.kind} {reading.meter}")

    poller = Poller(
        msgspec.convert(tables, WaterSettings), SystemClock(), emit, folder, clock_synced=lambda: True
    )
    stop = threading.Event()
    thread = threading.Thread(target=poller.run, args=(stop,))
    # Wait for the beginning of a turn, so that full turns are measured.
    time.sleep(interval_s - time.time() % interval_s)
    before_s, started = cpu_s(), time.time()
    thread.start()
    time.sleep(minutes * 60)
    stop.set()
    used_s, lasted_s = cpu_s() - before_s, time.time() - started
    thread.join(timeout=30)
    return _report(read, events, used_s, lasted_s, started, interval_s)


def _report(
    read: dict[str, list[float]],
    events: list[str],
    used_s: float,
    lasted_s: float,
    started: float,
    interval_s: int,
) -> dict[str, object]:
    turns = int(lasted_s // interval_s)
    good = [name for name in read if name not in (f"meter-{SILENT}", f"meter-{NOISY}")]
    # A turn is kept where the meter was read between its beginning and the next one's.
    kept = {
        name: len({int((at - started) // interval_s) for at in times if at - started < turns * interval_s})
        for name, times in read.items()
    }
    late_s = max((at - started) % interval_s for name in good for at in read[name])
    readings = sum(map(len, read.values()))
    return {
        "turns": turns,
        "meters read in every turn": sum(kept[name] == turns for name in good),
        "of": METERS - 2,
        "noisy meter read in turns": kept.get(f"meter-{NOISY}", 0),
        "silent meter read": len(read.get(f"meter-{SILENT}", [])),
        "latest in its turn, s": round(late_s, 1),
        "events": events,
        "readings": readings,
        "processor time, ms a reading": round(1000 * used_s / max(1, readings), 2),
        "share of one core, percent": round(100 * used_s / lasted_s, 3),
    }


def main() -> None:
    """Print one JSON object a driver."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--driver", action="append", choices=["cjt188", "mbus", "modbus"])
    parser.add_argument("--minutes", type=float, default=3.0)
    parser.add_argument("--interval", type=int, default=60, help="seconds between readings of a meter")
    parser.add_argument("--baud", type=int, default=2400)
    asked = parser.parse_args()
    print(json.dumps({"cores": os.cpu_count(), "python": sys.version.split()[0]}))
    for driver in asked.driver or ["cjt188", "mbus", "modbus"]:
        print(
            json.dumps({"driver": driver, **measure(driver, asked.minutes, asked.interval, asked.baud)}),
            flush=True,
        )


if __name__ == "__main__":
    main()
