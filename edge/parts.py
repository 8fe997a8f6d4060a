"""A part of the agent in a thread that cannot die unseen: what fails is started again."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Final

import structlog

log = structlog.get_logger(__name__)

_RESTART_MOST_S: Final = 60.0


class Part:
    """Runs ``work`` until it ends by itself or is told to stop; after a failure again, with growing pauses."""

    def __init__(self, device: str, name: str, work: Callable[[threading.Event], object]) -> None:
        self.name = name
        self.failure: str | None = None
        """What it failed with last."""
        self._device = device
        self._work = work
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    @property
    def alive(self) -> bool:
        """Whether it still runs."""
        return self._thread.is_alive()

    def tell_to_stop(self) -> None:
        """Ask it to end."""
        self._stop.set()

    def join(self, timeout_s: float) -> bool:
        """Wait for its end; return whether it has ended."""
        if self._thread.ident is not None:
            self._thread.join(timeout_s)
        return not self._thread.is_alive()

    def _run(self) -> None:
        wait_s = 1.0
        while not self._stop.is_set():
            try:
                self._work(self._stop)
            except Exception as error:  # a part that fails is started again; the agent goes on
                self.failure = f"{type(error).__name__}: {error}"
                log.exception(
                    "part failed and is started again", device=self._device, part=self.name, after_s=wait_s
                )
                self._stop.wait(wait_s)
                wait_s = min(_RESTART_MOST_S, wait_s * 2)
            else:
                return
