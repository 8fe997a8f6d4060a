"""Edge processes, broker, ingest process and store, and everything that can go wrong with them."""

from __future__ import annotations

import contextlib
import os
import random
import signal
import subprocess
import sys
import time
from collections import Counter
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

from store.series.duckdb_store import DuckDbStore
from tests.broker import embedded, quarter, wait_for
from tests.chaos.ledger import Verdict, judge, read_journal
from tests.proxy import Proxy

PROJECT = Path(__file__).parents[2]


@dataclass
class Child:
    """A process that is started again when it was killed."""

    command: list[str]
    log: Path
    env: dict[str, str] = field(default_factory=dict)
    process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        with self.log.open("ab") as output:
            self.process = subprocess.Popen(
                self.command, stdout=output, stderr=output, cwd=PROJECT, env={**os.environ, **self.env}
            )

    def kill(self) -> None:
        assert self.process is not None
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()

    def running(self) -> bool:
        return self.process is not None and self.process.poll() is None


class ChaosTown:
    """Starts everything below ``folder`` and ends it again (a context manager)."""

    def __init__(
        self, folder: Path, port: int, *, edges: int, seed: int, pause_s: float, small_disks: int = 2
    ):
        self.folder = folder
        self.chance = random.Random(seed)
        self.pause_s = pause_s
        self.faults: Counter[str] = Counter()
        self.damage: dict[str, set[int]] = {}
        self._stack = ExitStack()
        self._port = port
        self._edge_count = edges
        self._small_disks = small_disks
        self.edges: dict[str, Child] = {}
        self.disks: dict[str, Path] = {}

    def __enter__(self) -> ChaosTown:
        try:
            self._start()
        except BaseException:
            self._stack.close()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def _start(self) -> None:
        town = quarter(self.folder / "data", devices=self._edge_count, meters=1)
        self._stack.callback(town.registry.close)
        self.broker = self._stack.enter_context(embedded(self.folder / "broker", town.registry, self._port))
        self.near, self.far = Proxy(self._port), Proxy(self._port)
        self._stack.callback(self.near.close)
        self._stack.callback(self.far.close)
        self.fault_file = self.folder / "store-fault"
        user, password = self.broker.login
        self.ingest = Child(
            [sys.executable, "-m", "tests.ingest_runner", str(self.folder / "data"),
             f"mqtt://127.0.0.1:{self.far.port}", user, password, "--fault-file", str(self.fault_file)],
            self.folder / "ingest.log",
        )  # fmt: skip
        self._stack.callback(self._end, self.ingest)
        self.ingest.start()
        for n in range(1, self._edge_count + 1):
            device = f"d{n}"
            user, password = town.login("s1", device)
            self.edges[device] = edge = Child(
                [sys.executable, "-m", "tests.chaos.edge_process", str(self._outbox(device, n)),
                 str(self.folder / f"{device}.journal"), str(self.folder / f"{device}.counter"), "s1", device,
                 f"mqtt://127.0.0.1:{self.near.port}", user, "--max-kb", "24" if n % 5 == 0 else "4096"],
                self.folder / f"{device}.log", {"EDGE_PASSWORD": password},
            )  # fmt: skip
            self._stack.callback(self._end, edge)
            edge.start()

    def _outbox(self, device: str, n: int) -> Path:
        disk = self.folder / f"{device}.disk"
        disk.mkdir()
        if n <= self._small_disks and os.geteuid() == 0:
            mounted = subprocess.run(
                ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(disk)], check=False
            )
            if mounted.returncode == 0:
                self.disks[device] = disk
                self._stack.callback(subprocess.run, ["umount", "-l", str(disk)], check=False)
        return disk / "outbox.sqlite"

    def _end(self, child: Child) -> None:
        if child.running():
            with contextlib.suppress(ProcessLookupError):
                child.process.send_signal(signal.SIGCONT)
            child.process.terminate()
            try:
                child.process.wait(15)
            except subprocess.TimeoutExpired:
                child.kill()

    # -- what can go wrong -------------------------------------------------------------------------------------

    def one_fault(self) -> None:
        """Do one fault, chosen at random, and note it."""
        fault = self.chance.choice((
            self.kill_an_edge, self.kill_an_edge, self.kill_ingest, self.kill_broker, self.freeze, self.cut_edges,
            self.cut_ingest, self.store_away, self.fill_a_disk, self.truncate_an_outbox,
        ))  # fmt: skip
        if fault():
            self.faults[fault.__name__] += 1

    def kill_an_edge(self) -> bool:
        edge = self.edges[self.chance.choice(sorted(self.edges))]
        edge.kill()
        edge.start()
        return True

    def kill_ingest(self) -> bool:
        self.ingest.kill()
        self.ingest.start()
        return True

    def kill_broker(self) -> bool:
        pid = self.broker.pid
        if pid is None:
            return False
        os.kill(pid, signal.SIGKILL)
        return True

    def freeze(self) -> bool:
        victim = self.chance.choice(("edge", "ingest", "broker"))
        if victim == "broker":
            pid = self.broker.pid
        else:
            child = self.ingest if victim == "ingest" else self.edges[self.chance.choice(sorted(self.edges))]
            pid = child.process.pid if child.running() else None
        if pid is None:
            return False
        os.kill(pid, signal.SIGSTOP)
        time.sleep(self.pause_s)
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGCONT)
        return True

    def cut_edges(self) -> bool:
        return self._cut(self.near)

    def cut_ingest(self) -> bool:
        return self._cut(self.far)

    def _cut(self, proxy: Proxy) -> bool:
        (proxy.cut if self.chance.random() < 0.7 else proxy.go_silent)()
        time.sleep(self.pause_s)
        proxy.mend()
        return True

    def store_away(self) -> bool:
        self.fault_file.write_text(self.chance.choice(("503", "slow")))
        time.sleep(self.pause_s)
        self.fault_file.unlink()
        return True

    def fill_a_disk(self) -> bool:
        if not self.disks:
            return False
        disk = self.disks[self.chance.choice(sorted(self.disks))]
        ballast = disk / "ballast"
        with contextlib.suppress(OSError), ballast.open("wb", buffering=0) as file:
            while True:
                file.write(b"\0" * 4096)
        time.sleep(self.pause_s)
        ballast.unlink(missing_ok=True)
        return True

    def truncate_an_outbox(self) -> bool:
        device = self.chance.choice([one for one in sorted(self.edges) if one not in self.disks])
        edge = self.edges[device]
        edge.kill()
        path = self.folder / f"{device}.disk" / "outbox.sqlite"
        if path.exists():
            promised = read_journal(self.folder / f"{device}.journal")
            self.damage.setdefault(device, set()).update(promised.on_disk | promised.doubtful)
            os.truncate(path, int(path.stat().st_size * self.chance.random()))
            path.with_name(path.name + "-wal").unlink(missing_ok=True)
        edge.start()
        return True

    # -- the end -----------------------------------------------------------------------------------------------

    def settle(self, timeout_s: float) -> None:
        """Let everything run undisturbed until every edge says that all is confirmed."""
        if not self.ingest.running():
            self.ingest.start()
        for edge in self.edges.values():
            if not edge.running():
                edge.start()
        (self.folder / "enough").touch()
        deadline = time.monotonic() + timeout_s
        while any(edge.running() for edge in self.edges.values()):
            if time.monotonic() > deadline:
                left = [name for name, edge in self.edges.items() if edge.running()]
                raise AssertionError(f"not drained within {timeout_s} s: {left}")
            time.sleep(0.2)
        codes = {
            name: edge.process.returncode for name, edge in self.edges.items() if edge.process.returncode
        }
        assert not codes, f"edges ended with {codes}"

    def verdict(self) -> Verdict:
        """End ingest and compare the store with the journals."""
        self._end(self.ingest)
        store = DuckDbStore(self.folder / "data" / "ingest.duckdb")
        try:
            return judge(self.folder, store, [("s1", device) for device in self.edges], self.damage)
        finally:
            store.close()


def run(
    folder: Path, port: int, *, edges: int, seconds: float, seed: int, pause_s: float
) -> tuple[ChaosTown, Verdict]:
    """Let things go wrong for ``seconds``, settle, and judge."""
    with ChaosTown(folder, port, edges=edges, seed=seed, pause_s=pause_s) as town:
        wait_for(lambda: sum((folder / f"{one}.journal").exists() for one in town.edges) == edges, 120)
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            town.one_fault()
            time.sleep(town.chance.uniform(0.2, pause_s / 2))
        town.settle(240)
        return town, town.verdict()
