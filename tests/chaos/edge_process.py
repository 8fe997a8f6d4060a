"""An edge without a microphone: outbox, courier and link for real, readings from a counter, and a journal.

The journal says, before and after each commit of the outbox, what it adds, removes and drops, and the ``seq`` of the
events that tell it: what the outbox has promised to keep. Once the file ``enough`` lies beside the journal it makes no
more readings, and ends when the server has confirmed all.
"""

from __future__ import annotations

import argparse
import json
import os
import sqlite3
import sys
import threading
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

from contract.clock import SystemClock
from contract.messages import DeviceStatus, NoiseSecond, Stored, WaterReading
from edge.courier import Courier
from edge.link import Broker, Link
from edge.outbox import Outbox
from edge.outbox_file import OutboxFile
from edge.schedule import Schedule


class Journal:
    """Append-only; each line is one JSON list."""

    def __init__(self, path: Path):
        self._file = path.open("a", buffering=1)

    def write(self, *row: object) -> None:
        self._file.write(json.dumps(row) + "\n")

    def watch(self) -> None:
        """Watch every commit from now on: an outbox that finds its file damaged makes one while it opens."""
        apply = OutboxFile.apply

        def journaled(file, add, remove, *, tell, **more):
            events: list[int] = []

            def telling(one):
                entry = tell(one)
                events.append(entry.seq)
                self.write("tells", entry.seq)
                return entry

            self.write("begin", [[one.seq, one.kind, one.t_ms] for one in add], sorted(remove))
            try:
                dropped = apply(file, add, remove, tell=telling, **more)
            except sqlite3.Error:
                self.write("undone")
                raise
            told = zip(dropped, events, strict=True)
            self.write("end", [[d.kind, d.count, d.first_seq, d.last_seq, seq] for d, seq in told])
            return dropped

        OutboxFile.apply = journaled  # type: ignore[method-assign]


class Answers:
    """Hands the link's callbacks on to the courier, which needs the link first."""

    courier: Courier

    def on_stored(self, answer: Stored) -> None:
        self.courier.on_stored(answer)

    def on_connected(self) -> None:
        self.courier.on_connected()


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("outbox", type=Path)
    parser.add_argument("journal", type=Path)
    parser.add_argument("counter", type=Path)
    for name in ("site", "device", "url", "user"):
        parser.add_argument(name)
    parser.add_argument("--rate", type=float, default=10.0)
    parser.add_argument("--max-kb", type=int, default=4096)
    options = parser.parse_args()
    clock = SystemClock()
    Journal(options.journal).watch()
    outbox = Outbox(options.outbox, now=clock.now(), max_bytes=options.max_kb << 10, memory_limit=5_000)
    answers = Answers()
    link = Link(
        Broker(options.url, options.user or None, os.environ["EDGE_PASSWORD"] or None), options.site, options.device,
        on_stored=answers.on_stored, on_config=print, on_connected=answers.on_connected,
    )  # fmt: skip
    courier = Courier(outbox, link, clock, commit_interval_s=0.5, schedule=Schedule(answer_timeout_s=4.0))
    answers.courier = courier
    stop = threading.Event()
    link.start()
    thread = threading.Thread(target=courier.run, args=(stop,))
    thread.start()
    _make_readings(outbox, options, options.journal.with_name("enough"))
    while outbox.depth():
        time.sleep(0.05)
    stop.set()
    thread.join()
    link.stop(last_status=DeviceStatus(state="offline"))
    outbox.close()
    sys.exit(0)


def _make_readings(outbox: Outbox, options: argparse.Namespace, enough: Path) -> None:
    # Every reading has a time of its own; the counter skips ahead after a crash, so none comes twice.
    n = int(options.counter.read_text()) if options.counter.exists() else 0
    start = datetime.fromtimestamp(int(time.time()) // 86_400 * 86_400, UTC) - timedelta(days=5)
    while not enough.exists():
        time.sleep(1.0 / options.rate)
        if n % 500 == 0:
            draft = options.counter.with_suffix(".new")
            draft.write_text(str(n + 500))
            draft.replace(options.counter)
        t = start + timedelta(seconds=n)
        outbox.append(NoiseSecond(seq=0, t=t, laeq_db=50.0, lafmax_db=55.0, lafmin_db=45.0, laf_db=50.0))
        if n % 10 == 0:
            meter = f"{options.device}-m1"
            outbox.append(WaterReading(seq=0, t=t, meter=meter, volume_steps=n, step_ml=1000))
        n += 1


main()
