"""What can go wrong in a town, drawn from a shuffled deck: every kind comes before any comes again."""

from __future__ import annotations

import contextlib
import os
import signal
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import TYPE_CHECKING

from tests.chaos.parts import Child, Part
from tests.proxy import Proxy

if TYPE_CHECKING:
    from tests.chaos.town import ChaosTown

Undo = Callable[[], object]
FREEZE_S = 10.0
_AT_ONCE = 2
"""Faults that last at the same time, at most."""


@dataclass(frozen=True)
class Fault:
    """One kind of fault. ``begin`` does it and returns what ends it, or ``None`` where it is over at once."""

    name: str
    subject: str
    begin: Callable[[], Undo | None]
    lasts_s: float = 0.0


class Faults:
    """Draws faults and ends them in their time; counts them by kind."""

    def __init__(self, town: ChaosTown, chance: Random, pause_s: float):
        self._chance = chance
        self._pause_s = pause_s
        self.kinds = _kinds(town, chance, pause_s)
        self.count: Counter[str] = Counter()
        self._deck: list[Fault] = []
        self._lasting: dict[str, tuple[float, Undo]] = {}

    def rage(self, seconds: float) -> None:
        """Let things go wrong for so long, and until every kind did."""
        until = time.monotonic() + seconds
        while time.monotonic() < until or len(self.count) < len(self.kinds):
            self._end_due(time.monotonic())
            if len(self._lasting) < _AT_ONCE:
                self._begin_one()
                time.sleep(self._chance.uniform(0.2, self._pause_s / 2))
            else:
                time.sleep(0.05)
        self.calm()

    def calm(self) -> None:
        """End whatever lasts."""
        self._end_due(float("inf"))

    def _begin_one(self) -> None:
        if not self._deck:
            self._deck = self._chance.sample(self.kinds, len(self.kinds))
        fault = next((one for one in self._deck if one.subject not in self._lasting), None)
        if fault is None:
            return
        self._deck.remove(fault)
        undo = fault.begin()
        self.count[fault.name] += 1
        if undo is not None:
            self._lasting[fault.subject] = (time.monotonic() + fault.lasts_s, undo)

    def _end_due(self, now: float) -> None:
        for subject, (until, undo) in list(self._lasting.items()):
            if now >= until:
                del self._lasting[subject]
                undo()


def _kinds(town: ChaosTown, chance: Random, pause_s: float) -> list[Fault]:
    edges, ingests = list(town.edges.values()), town.ingests

    def one_of(parts: list[Child]) -> Callable[[], Part]:
        return lambda: chance.choice(parts)

    parts: list[tuple[str, Callable[[], Part]]] = [
        ("an edge", one_of(edges)), ("ingest", one_of(ingests)), ("the broker", lambda: town.broker),
    ]  # fmt: skip
    if town.influxd is not None:
        parts.append(("the store", one_of([town.influxd])))
    kinds = [Fault(f"kill -9 {name}", f"kill {name}", _kill(part)) for name, part in parts]
    kinds += [
        Fault(f"SIGSTOP {name} for {FREEZE_S:.0f} s", f"freeze {name}", _freeze(part), FREEZE_S)
        for name, part in parts
    ]
    for name, proxy in (("the edges", town.near), ("ingest", town.far)):
        kinds += [
            Fault(f"cut {name} off", name, _cut(proxy), pause_s),
            Fault(f"let nothing through to {name}", name, _silence(proxy), pause_s),
        ]
    kinds += [
        Fault(f"the store {name}", "the store", lambda mode=mode: town.trouble_store(mode), pause_s)
        for name, mode in town.store_modes
    ]
    if town.postgres is not None:
        kinds += [
            Fault("kill -9 the registry", "the registry", town.postgres.kill),
            Fault("restart the registry", "the registry", town.postgres.restart),
            Fault(
                f"SIGSTOP the registry for {FREEZE_S:.0f} s", "the registry", town.postgres.freeze, FREEZE_S
            ),
        ]
    if town.disks:
        kinds.append(
            Fault(
                "fill a disk", "disk", lambda: _fill(town.disks[chance.choice(sorted(town.disks))]), pause_s
            )
        )
    sound = [name for name in sorted(town.edges) if name not in town.disks]
    kinds.append(
        Fault("truncate an outbox", "outbox", lambda: town.truncate(chance.choice(sound), chance.random()))
    )
    return kinds


def _kill(part: Callable[[], Part]) -> Callable[[], None]:
    def kill() -> None:
        part().kill()

    return kill


def _freeze(part: Callable[[], Part]) -> Callable[[], Undo | None]:
    def freeze() -> Undo | None:
        pid = part().pid
        if pid is None:
            return None
        os.kill(pid, signal.SIGSTOP)
        return lambda: _thaw(pid)

    return freeze


def _thaw(pid: int) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, signal.SIGCONT)


def _cut(proxy: Proxy) -> Callable[[], Undo]:
    def cut() -> Undo:
        proxy.cut()
        return proxy.mend

    return cut


def _silence(proxy: Proxy) -> Callable[[], Undo]:
    def silence() -> Undo:
        proxy.go_silent()
        return proxy.mend

    return silence


def _fill(disk: Path) -> Undo:
    ballast = disk / "ballast"
    with contextlib.suppress(OSError), ballast.open("wb", buffering=0) as file:
        while True:
            file.write(b"\0" * 4096)
    return lambda: ballast.unlink(missing_ok=True)
