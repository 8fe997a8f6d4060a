"""The trial of the cluster: nodes, fleet, ingests, InfluxDB and a live view; what is killed and cut; and the count."""

from __future__ import annotations

import contextlib
import json
import os
import sys
import threading
import time
from contextlib import ExitStack
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

from api.live_mqtt import LiveMqtt
from contract.codec import decode_readings
from contract.topics import parse
from ingest.source_nats import STREAM
from store.registry.quarantine import counts
from store.series.address import InfluxAddress
from store.series.influx_setup import init_store
from store.series.influx_store import InfluxStore
from store.series.retention import Retention
from tests.broker import quarter, wait_for
from tests.chaos.parts import Child
from tests.cluster.fleet import reading
from tests.cluster.nodes import Cluster, cluster
from tests.store.series.servers import influxdb


@dataclass(frozen=True)
class Plan:
    """How long, how many devices, how many readings a second of each, and how long an outage lasts."""

    seconds: float = 180.0
    devices: int = 50
    rate: int = 100
    outage_s: float = 20.0
    fleets: int = 2


class LiveView:
    """What a page would show: the newest second of each device, and how long each stood still."""

    def __init__(self) -> None:
        self._newest: dict[str, object] = {}
        self._seen: dict[str, float] = {}
        self._any = 0.0
        self.on = False
        self.phase = "start"
        self.gaps: dict[str, float] = {}
        self.gap_of_all: dict[str, float] = {}

    def accept(self, topic_name: str, payload: bytes) -> None:
        topic = parse(topic_name)
        if topic.kind != "noise":
            return
        newest = decode_readings("noise", payload).readings[-1].t
        if topic.device in self._newest and newest <= self._newest[topic.device]:  # type: ignore[operator]
            return
        self._newest[topic.device] = newest
        now = time.monotonic()
        if self.on:
            self._note(self.gaps, now - self._seen.get(topic.device, now))
            self._note(self.gap_of_all, now - (self._any or now))
        self._seen[topic.device] = self._any = now

    def devices(self) -> int:
        return len(self._seen)

    def close(self) -> None:
        """Count what stands still at the end as well."""
        now, self.on = time.monotonic(), False
        for seen in list(self._seen.values()):
            self._note(self.gaps, now - seen)

    def _note(self, gaps: dict[str, float], gap_s: float) -> None:
        gaps[self.phase] = max(gaps.get(self.phase, 0.0), gap_s)


@dataclass
class Outcome:
    """What was made, what is stored, and how long the live view stood still, by phase, in seconds."""

    made: int = 0
    stored: int = 0
    missing: int = 0
    doubled: int = 0
    wrong: int = 0
    quarantined: int = 0
    seconds: float = 0.0
    settled_s: float = 0.0
    load: float = 0.0
    gaps: dict[str, float] = field(default_factory=dict)
    gap_of_all: dict[str, float] = field(default_factory=dict)
    faults: list[str] = field(default_factory=list)


class Trial:
    """Runs a plan below ``folder``."""

    def __init__(self, folder: Path, plan: Plan, influxd: str):
        self._folder, self._plan, self._influxd = folder, plan, influxd
        self._stack = ExitStack()
        self._view = LiveView()
        self._outcome = Outcome()
        self._first = datetime.fromtimestamp(int(time.time()) // 86_400 * 86_400, UTC) - timedelta(days=5)

    def run(self) -> Outcome:
        with self._stack:
            self._start()
            began = time.monotonic()
            self._view.on = True
            self._break_things()
            self._view.close()
            self._outcome.seconds = time.monotonic() - began
            self._settle()
            self._count()
        return self._outcome

    def _start(self) -> None:
        plan, folder = self._plan, self._folder
        people = quarter(folder / "data", devices=plan.devices, meters=0)
        self._stack.callback(people.registry.close)
        self._registry = people.registry
        (folder / "influx").mkdir()
        server = self._stack.enter_context(influxdb(self._influxd, folder / "influx"))
        self._store_url = server.url
        init_store(InfluxAddress(server.url), Retention())
        self._cluster: Cluster = self._stack.enter_context(cluster(folder / "nodes"))
        self._ingests = [self._ingest(name) for name in ("one", "two")]
        wait_for(lambda: all(b"ready" in one.log.read_bytes() for one in self._ingests), 60, "both ingests")
        live = LiveMqtt(self._cluster.mqtt_url, self._view)  # type: ignore[arg-type]
        live.start()
        self._stack.callback(live.stop)
        wait_for(lambda: live.connected, 30, "the live view")
        self._fleets = [self._fleet(part) for part in range(plan.fleets)]
        wait_for(lambda: self._view.devices() == plan.devices, 60, "every device in the live view")

    def _ingest(self, name: str) -> Child:
        command = [
            sys.executable, "-m", "tests.ingest_runner", str(self._folder / "data"), self._cluster.nats_url,
            "--name", name, "--influx", self._store_url,
        ]  # fmt: skip
        return self._child(Child(command, self._folder / f"ingest-{name}.log"))

    def _fleet(self, part: int) -> Child:
        share = self._plan.devices // self._plan.fleets
        command = [
            sys.executable, "-m", "tests.cluster.fleet", str(self._folder), self._cluster.mqtt_url,
            str(1 + part * share), str(share), str(self._plan.rate),
            str(int(self._first.timestamp())),
        ]  # fmt: skip
        return self._child(Child(command, self._folder / f"fleet-{part}.log"))

    def _child(self, child: Child) -> Child:
        self._stack.callback(child.end)
        child.start()
        return child

    # -- what goes wrong -----------------------------------------------------------------------------------------

    def _break_things(self) -> None:
        outage_s = self._plan.outage_s
        calm_s = max(1.0, (self._plan.seconds - 3 * outage_s) / 4)
        self._phase("undisturbed", calm_s)
        # The devices of the killed node move to the others: if it were 1 or 2, nothing would be left there to cut off.
        self._cluster.lead(STREAM, self._cluster.nodes[2])
        leader = wait_for(lambda: self._cluster.leader(STREAM), 30, "a leader")
        leader.kill()
        self._phase(f"kill -9 of the stream's leader ({leader.name})", outage_s)
        leader.start()
        self._phase("the node comes back", calm_s)
        self._ingests[0].stop_at_once()
        self._phase("kill -9 of an ingest", outage_s)
        self._ingests[0].start()
        self._phase("the ingest comes back", calm_s)
        leader = self._cluster.leader(STREAM)
        self._cluster.between.cut()
        self._phase(f"n1 and n2 cut off from one another (leader {leader.name if leader else '-'})", outage_s)
        self._cluster.between.mend()
        self._phase("mended", calm_s)

    def _phase(self, name: str, seconds: float) -> None:
        self._view.phase = name
        self._outcome.faults.append(name)
        threading.Event().wait(seconds)

    def _settle(self) -> None:
        began = time.monotonic()
        (self._folder / "enough").touch()
        wait_for(lambda: all(one.pid is None for one in self._fleets), 300, "every reading confirmed")
        self._outcome.settled_s = time.monotonic() - began
        self._outcome.load = os.getloadavg()[0]
        for one in self._ingests:
            one.end()

    def _count(self) -> None:
        made: dict[str, int] = {}
        for path in self._folder.glob("made-*.json"):
            made |= json.loads(path.read_text())
        assert len(made) == self._plan.devices, "a fleet ended without its count"
        store = InfluxStore(InfluxAddress(self._store_url))
        with contextlib.closing(store):
            for device, count in made.items():
                self._count_device(store, device, count)
        with self._registry.reader() as session:
            self._outcome.quarantined = sum(counts(session).values())
        self._outcome.gaps, self._outcome.gap_of_all = self._view.gaps, self._view.gap_of_all

    def _count_device(self, store: InfluxStore, device: str, count: int) -> None:
        until = self._first + timedelta(seconds=count + 1)
        found = store.noise_seconds("s1", device, self._first, until, limit=count * 2 + 1)
        levels = dict(zip(found.t, found.laeq_db, strict=True))
        expected = {one.t: one.laeq_db for one in (reading(self._first, n) for n in range(count))}
        outcome = self._outcome
        outcome.made += count
        outcome.stored += len(levels)
        outcome.doubled += len(found.t) - len(levels)
        outcome.missing += len(expected.keys() - levels.keys())
        outcome.wrong += sum(abs(level - expected.get(t, -99.0)) > 0.06 for t, level in levels.items())


def told(outcome: Outcome) -> str:
    """Return the outcome as lines to print."""
    lines = [
        f"made {outcome.made} in {outcome.seconds:.0f} s, stored {outcome.stored}, missing {outcome.missing}, "
        f"twice {outcome.doubled}, wrong {outcome.wrong}, quarantined {outcome.quarantined}; "
        f"all confirmed {outcome.settled_s:.1f} s after the last; load {outcome.load:.1f}",
        "live view stood still at most, s (one device / all devices):",
    ]
    lines += [
        f"  {name:<60} {outcome.gaps.get(name, 0):6.2f} {outcome.gap_of_all.get(name, 0):6.2f}"
        for name in outcome.faults
    ]
    return "\n".join(lines)
