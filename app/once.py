"""Parts of which one runs for all processes that serve: uplinks, and what tells devices their configuration."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from typing import Final, Protocol

import structlog

from store.registry.database import Registry
from store.registry.lease_keeper import LeaseKeeper, LeaseTiming

log = structlog.get_logger(__name__)

POOL: Final = "serve"
_LOOK_EVERY_S: Final = 0.5


class Part(Protocol):
    """Something that is started and stopped once."""

    def start(self) -> None:
        """Begin."""
        ...

    def stop(self) -> None:
        """End."""
        ...


class OnceParts:
    """Runs the parts whose leases this process holds; each is made anew when its lease comes."""

    def __init__(
        self, registry: Registry, name: str, makers: Mapping[str, Callable[[], Part]], timing: LeaseTiming
    ) -> None:
        self._makers = makers
        self.keeper = LeaseKeeper(registry, POOL, name, lambda _session: makers, timing=timing, fair=False)
        self._running: dict[str, tuple[int, Part]] = {}
        self._failing: set[str] = set()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="once", daemon=True)

    def start(self) -> None:
        """Begin; where nobody else serves, all parts run when this returns."""
        self.keeper.start()
        self.round()
        self._thread.start()

    def stop(self) -> None:
        """Stop the parts and let others run them."""
        self._stop.set()
        if self._thread.ident is not None:
            self._thread.join(timeout=60.0)
        for name in list(self._running):
            self._end(name)
        self.keeper.stop()

    def running(self) -> list[tuple[str, Part]]:
        """Return the parts that run here, by their names."""
        return [(name, part) for name, (_, part) in list(self._running.items())]

    def round(self) -> None:
        """Stop what is others' to run, start what is ours. What a part raises is logged, and tried again."""
        leaving = self.keeper.unwanted()
        held = {name: epoch for name, epoch in self.keeper.held().items() if name not in leaving}
        for name, (epoch, _) in list(self._running.items()):
            if held.get(name) != epoch:
                self._end(name)
        try:
            self.keeper.give_back(leaving)
        except Exception as error:
            log.warning("parts cannot be handed over now; trying again", cause=str(error))
        for name, epoch in held.items():
            if name not in self._running:
                self._begin(name, epoch)

    def _begin(self, name: str, epoch: int) -> None:
        try:
            part = self._makers[name]()
            part.start()
        except Exception:
            if name not in self._failing:
                log.exception("a part cannot be started; trying again", part=name)
            self._failing.add(name)
            return
        self._failing.discard(name)
        self._running[name] = (epoch, part)

    def _end(self, name: str) -> None:
        _, part = self._running.pop(name)
        try:
            part.stop()
        except Exception:
            log.exception("a part did not stop cleanly", part=name)

    def _run(self) -> None:
        while not self._stop.wait(_LOOK_EVERY_S):
            self.round()
