"""Edge processes, a broker, ingest and a store, all of them real, and what happens to them."""

from __future__ import annotations

import os
import random
import shutil
import subprocess
import sys
import time
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy import select

from store.registry.address import PASSWORD_VARIABLE
from store.registry.database import Registry as OpenRegistry
from store.registry.models import DeviceState
from store.series.address import InfluxAddress
from store.series.duckdb_store import DuckDbStore
from store.series.influx_setup import init_store
from store.series.influx_store import InfluxStore
from store.series.interface import SeriesStore
from store.series.retention import Retention
from tests.broker import Quarter, embedded, quarter, wait_for
from tests.chaos.faults import Faults, Undo
from tests.chaos.ledger import Verdict, judge
from tests.chaos.parts import (
    Broker,
    Child,
    KeptBroker,
    KeptRegistry,
    Part,
    Registry,
    Store,
    answers,
    mosquitto,
)
from tests.chaos.store_proxy import StoreProxy
from tests.postgres import DURABLE, PASSWORD, postgresql, programs
from tests.proxy import Proxy
from tests.store.series.servers import influxdb

_STORE_TIMEOUT_MS = 3_000


@dataclass(frozen=True)
class Plan:
    """What kind of town, and how it is treated."""

    edges: int = 20
    seconds: float = 1_800.0
    seed: int = 0
    pause_s: float = 10.0
    """How long an outage lasts, and twice the longest time between two."""
    store: Store = "influxdb"
    broker: Broker = "embedded"
    ingests: int = 1
    registry: Registry = "sqlite"
    small_disks: int = 2


class ChaosTown:
    """Starts everything below ``folder`` and ends it again (a context manager)."""

    broker: Part

    def __init__(self, folder: Path, port: int, plan: Plan):
        self.folder = folder
        self.plan = plan
        self._port = port
        self._stack = ExitStack()
        self.edges: dict[str, Child] = {}
        self.ingests: list[Child] = []
        self.disks: dict[str, Path] = {}
        self.influxd: Child | None = None
        self.postgres: KeptRegistry | None = None
        self._registry_words: list[str] = []
        self._store_proxy: StoreProxy | None = None
        self._fault_file = folder / "store-fault"
        self._store_words: list[str] = []

    def __enter__(self) -> ChaosTown:
        try:
            self._start()
        except BaseException:
            self._stack.close()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    # -- starting ----------------------------------------------------------------------------------------------

    def _start(self) -> None:
        people = quarter(
            self.folder / "data", devices=self.plan.edges, meters=1, registry=self._start_registry()
        )  # fmt: skip
        self._registry = people.registry
        self._stack.callback(people.registry.close)
        login = self._start_broker(people)
        self.near, self.far = Proxy(self._port), Proxy(self._port)
        self._stack.callback(self.near.close)
        self._stack.callback(self.far.close)
        self._start_store()
        for n in range(1, self.plan.ingests + 1):
            self._start_ingest(f"ingest-{n}", login)
        for n in range(1, self.plan.edges + 1):
            self._start_edge(n, people)

    def _start_registry(self) -> OpenRegistry | None:
        """Return the registry where it is on a server; ``None`` for the file in the folder."""
        if self.plan.registry == "sqlite":
            return None
        found = programs()
        if found is None:
            raise FileNotFoundError("postgres is not installed; on Debian: apt-get install postgresql")
        server = self._stack.enter_context(postgresql(found, *DURABLE))
        self.postgres = KeptRegistry(server)
        address = server.address(server.make_database())
        self._registry_words = ["--registry", str(address)]
        return address.open()

    def _start_broker(self, people: Quarter) -> tuple[str, str]:
        if self.plan.broker == "embedded":
            broker = self._stack.enter_context(embedded(self.folder / "broker", people.registry, self._port))
            self.broker = KeptBroker(broker)
            return broker.login
        child = mosquitto(_program("mosquitto"), self.folder / "broker", self._port)
        self._run(child)
        self.broker = child
        return "", ""

    def _start_store(self) -> None:
        if self.plan.store == "duckdb":  # it lives within ingest
            self._store_words = ["--fault-file", str(self._fault_file)]
            return
        folder = self.folder / "influxdb"
        folder.mkdir()
        server = self._stack.enter_context(influxdb(_program("influxd"), folder))
        self._influx_url = server.url
        init_store(InfluxAddress(server.url), Retention())
        server.stop()  # from now on it is one of those that are killed
        self.influxd = Child([*server.command], server.log, dict(server.environment))
        self._run(self.influxd)
        wait_for(lambda: answers(server.url), 60, "influxd")
        self._store_proxy = StoreProxy(self._influx_url)
        self._stack.callback(self._store_proxy.close)
        self._store_words = ["--influx", self._store_proxy.url, "--timeout-ms", str(_STORE_TIMEOUT_MS)]

    def _start_ingest(self, name: str, login: tuple[str, str]) -> None:
        group = ["--group", "ingest"] if self.plan.ingests > 1 else []
        ingest = Child(
            [sys.executable, "-m", "tests.ingest_runner", str(self.folder / "data"),
             f"mqtt://127.0.0.1:{self.far.port}", *login, "--name", name, *group, *self._store_words,
             *self._registry_words],
            self.folder / f"{name}.log", {PASSWORD_VARIABLE: PASSWORD},
        )  # fmt: skip
        self.ingests.append(ingest)
        self._run(ingest)

    def _start_edge(self, n: int, people: Quarter) -> None:
        device = f"d{n}"
        user, password = people.login("s1", device) if self.plan.broker == "embedded" else ("", "")
        self.edges[device] = edge = Child(
            [sys.executable, "-m", "tests.chaos.edge_process", str(self._outbox(device, n)),
             str(self._journal(device)), str(self.folder / f"{device}.counter"), "s1", device,
             f"mqtt://127.0.0.1:{self.near.port}", user, "--max-kb", "16" if n % 5 == 0 else "4096"],
            self.folder / f"{device}.log", {"EDGE_PASSWORD": password},
        )  # fmt: skip
        self._run(edge)

    def _run(self, child: Child) -> None:
        self._stack.callback(child.end)
        child.start()

    def _journal(self, device: str) -> Path:
        return self.folder / f"{device}.journal"

    def _outbox(self, device: str, n: int) -> Path:
        disk = self.folder / f"{device}.disk"
        disk.mkdir()
        if n <= self.plan.small_disks and os.geteuid() == 0:
            mounted = subprocess.run(
                ["mount", "-t", "tmpfs", "-o", "size=2m", "tmpfs", str(disk)], check=False
            )
            if mounted.returncode == 0:
                self.disks[device] = disk
                self._stack.callback(subprocess.run, ["umount", "-l", str(disk)], check=False)
        return disk / "outbox.sqlite"

    # -- what can go wrong and is more than a signal -------------------------------------------------------------

    @property
    def store_modes(self) -> list[tuple[str, str]]:
        """Return how the store can fail, in words and as a mode."""
        if self._store_proxy is None:
            return [("answers 503", "503"), ("is slow and fails", "slow")]
        return [
            ("answers 503", "refuses"),
            ("does not answer", "hangs"),
            ("stores and does not answer", "mute"),
        ]

    def trouble_store(self, mode: str) -> Undo:
        """Make the store fail; return what ends that."""
        proxy = self._store_proxy
        if proxy is None:
            self._fault_file.write_text(mode)
            return self._fault_file.unlink
        proxy.mode = mode  # type: ignore[assignment]
        return lambda: setattr(proxy, "mode", "well")

    def truncate(self, device: str, share: float) -> None:
        """Kill an edge, cut its outbox short, and start it again."""
        edge = self.edges[device]
        edge.stop_at_once()
        path = self.folder / f"{device}.disk" / "outbox.sqlite"
        if path.exists():
            os.truncate(path, int(path.stat().st_size * share))
            path.with_name(path.name + "-wal").unlink(missing_ok=True)
            with self._journal(device).open("a") as journal:
                journal.write('\n["damaged"]\n')  # the line of a killed process may have no end
        edge.start()

    # -- the end -----------------------------------------------------------------------------------------------

    def settle(self, timeout_s: float) -> None:
        """Let everything run undisturbed until every edge says that all is confirmed."""
        (self.folder / "enough").touch()
        deadline = time.monotonic() + timeout_s
        while left := [name for name, edge in self.edges.items() if edge.pid is not None]:
            if time.monotonic() > deadline:
                raise AssertionError(f"not drained within {timeout_s} s: {left}; {self.last_words()}")
            time.sleep(0.2)
        codes = {name: edge.process.returncode for name, edge in self.edges.items() if edge.process}
        assert not any(codes.values()), f"edges ended with {codes}"

    def every_edge_is_told(self) -> bool:
        """Whether the registry has each edge's last words: what ingest wrote there came through as well."""
        with self._registry.reader() as session:
            states = dict(session.execute(select(DeviceState.device, DeviceState.state)).tuples().all())
        return all(states.get(name) == "offline" for name in self.edges)

    def last_words(self) -> str:
        """Return the end of ingest's logs."""
        return " | ".join(one.log.read_text(errors="replace")[-1_000:] for one in self.ingests)

    def verdict(self) -> Verdict:
        """End ingest and compare the store with the journals."""
        for ingest in self.ingests:
            ingest.end()
        store = self._open_store()
        try:
            return judge(self.folder, store, [("s1", device) for device in self.edges])
        finally:
            store.close()

    def _open_store(self) -> SeriesStore:
        if self.influxd is None:
            return DuckDbStore(self.folder / "data" / "ingest-1.duckdb")
        return InfluxStore(InfluxAddress(self._influx_url))


def run(folder: Path, port: int, plan: Plan) -> tuple[Faults, Verdict]:
    """Let things go wrong for ``seconds`` and until every kind of fault was there, settle, and judge."""
    with ChaosTown(folder, port, plan) as town:
        wait_for(lambda: all((folder / f"{one}.journal").exists() for one in town.edges), 120)
        faults = Faults(town, random.Random(plan.seed), plan.pause_s)
        try:
            faults.rage(plan.seconds)
        finally:
            faults.calm()
        town.settle(300)
        wait_for(town.every_edge_is_told, 60, "each edge's last status in the registry")
        return faults, town.verdict()


def _program(name: str) -> str:
    path = shutil.which(name, path=f"{os.environ.get('PATH', '')}:/usr/sbin:/usr/local/sbin")
    if path is None:
        raise FileNotFoundError(f"{name} is not installed; the chaos test needs it")
    return path
