"""Reads every meter of the settings: one thread a source, none of which can die unseen."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path
from typing import Final, Protocol

import structlog

from contract.clock import Clock
from contract.messages import Reading
from edge.water.replay import Replay
from edge.water.replay_data import ReplayDataError
from edge.water.settings import WaterConfigError, WaterSettings

log = structlog.get_logger(__name__)

_RESTART_FIRST_S: Final = 1.0
_RESTART_MOST_S: Final = 60.0


class Source(Protocol):
    """Something that emits readings by itself: a bus with its meters, a replay, a pulse input, a listener."""

    name: str

    def run(self, stop: threading.Event) -> None:
        """Emit until ``stop`` is set or nothing is left to do."""
        ...


class Poller:
    """The water part of a device. ``emit`` is called from several threads with ``seq`` 0."""

    def __init__(
        self, settings: WaterSettings, clock: Clock, emit: Callable[[Reading], object], folder: Path
    ) -> None:
        """Prepare every source; ``folder`` keeps their state. Raises :class:`WaterConfigError` that names the key."""
        self._sources: list[Source] = []
        try:
            self._sources += [Replay(one, clock, emit, folder) for one in settings.replays]
        except ReplayDataError as error:
            raise WaterConfigError(f"water.replays: {error}") from error

    def run(self, stop: threading.Event) -> None:
        """Read until ``stop`` is set or nothing is left to do."""
        threads = [
            threading.Thread(target=_supervised, args=(one, stop), name=f"water-{one.name}", daemon=True)
            for one in self._sources
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()


def _supervised(source: Source, stop: threading.Event) -> None:
    wait_s = _RESTART_FIRST_S
    while not stop.is_set():
        try:
            source.run(stop)
        except Exception:  # one source that fails is started again; the others go on
            log.exception("water source failed and is started again", source=source.name, after_s=wait_s)
            stop.wait(wait_s)
            wait_s = min(_RESTART_MOST_S, wait_s * 2)
        else:
            return
