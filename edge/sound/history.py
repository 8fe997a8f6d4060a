"""The past of a scene, measured in the background while the present goes on."""

from __future__ import annotations

import contextlib
import json
import os
import threading
import time
from collections import deque
from collections.abc import Callable
from pathlib import Path
from typing import Final

import structlog

from edge.sound.meter import SoundLevelMeter
from edge.sound.recorder import Recorder
from edge.sound.sources.scene import SceneSound

log = structlog.get_logger(__name__)

_NICE: Final = 15
_WAIT_S: Final = 0.05
_MARK_EVERY_S: Final = 10.0
_COMMITTED_S: Final = 60.0
"""After this (wall) time the outbox has committed what it was given; a crash can then no longer take it."""


class History:
    """Measures a scene's last hours, oldest first, once in a device's life; a restart goes on where it was.

    ``may_work`` says whether the present leaves time for it. ``monotonic`` is wall time. What is marked as done was
    handed over at least a minute before, except at an orderly stop.
    """

    def __init__(
        self, folder: Path, *, now: int, hours: float, may_work: Callable[[], bool],
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:  # fmt: skip
        self._marker = folder / "noise-history.json"
        self._may_work = may_work
        self._monotonic = monotonic
        self._next, self._end = self._planned(now, hours)
        self._reached: deque[tuple[float, int]] = deque()

    @property
    def done(self) -> bool:
        """Whether nothing is left to measure."""
        return self._next >= self._end

    def run(
        self, scene: SceneSound, meter: SoundLevelMeter, recorder: Recorder, stop: threading.Event
    ) -> None:
        """Measure what is left. ``meter`` starts at :attr:`next`."""
        _be_nice()
        while not self.done and not stop.is_set():
            if not self._may_work():
                stop.wait(_WAIT_S)
                continue
            recorder.seconds(meter.push(scene.second(self._next)))
            self._next += 1
            self._mark_committed()
        recorder.finish()
        if self.done:
            log.info("history measured", until=self._end)
            stop.wait(_COMMITTED_S)
        self._mark(self._next)

    @property
    def next(self) -> int:
        """Start of the next second to measure, in seconds since 1970."""
        return self._next

    def _planned(self, now: int, hours: float) -> tuple[int, int]:
        with contextlib.suppress(OSError, ValueError, KeyError, TypeError):
            marked = json.loads(self._marker.read_text())
            return int(marked["next"]), int(marked["end"])
        return now - now % 60 - round(hours * 60) * 60, now

    def _mark_committed(self) -> None:
        now = self._monotonic()
        if not self._reached or now - self._reached[-1][0] >= _MARK_EVERY_S:
            self._reached.append((now, self._next))
        if now - self._reached[0][0] >= _COMMITTED_S:
            self._mark(self._reached.popleft()[1])

    def _mark(self, reached: int) -> None:
        self._marker.parent.mkdir(parents=True, exist_ok=True)
        temporary = self._marker.with_suffix(".tmp")
        # The minute under way is measured again after a restart; readings that are there already change nothing.
        whole = reached if reached >= self._end else reached - reached % 60
        temporary.write_text(json.dumps({"next": whole, "end": self._end}))
        temporary.replace(self._marker)


def _be_nice() -> None:
    """Give way to every other thread of this process (Linux counts niceness by thread)."""
    with contextlib.suppress(OSError, AttributeError):
        os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), _NICE)
