"""The past of a scene, measured in the background while the present goes on."""

from __future__ import annotations

import contextlib
import json
import os
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Final

import structlog

from edge.sound.meter import SoundLevelMeter
from edge.sound.recorder import Recorder
from edge.sound.sources.scene import SceneSound

log = structlog.get_logger(__name__)

_NICE: Final = 15
_MARK_EVERY_S: Final = 600
_WAIT_S: Final = 0.05


class History:
    """Measures a scene's last hours, oldest first, once in a device's life; a restart goes on where it was.

    ``may_work`` says whether the present leaves time for it.
    """

    def __init__(self, folder: Path, *, now: int, hours: float, may_work: Callable[[], bool]) -> None:
        self._marker = folder / "noise-history.json"
        self._may_work = may_work
        self._next, self._end = self._planned(now, hours)

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
            if self._next % _MARK_EVERY_S == 0 or self.done:
                self._mark()
        recorder.finish()
        self._mark()
        if self.done:
            log.info("history measured", until=self._end)

    @property
    def next(self) -> int:
        """Start of the next second to measure, in seconds since 1970."""
        return self._next

    def _planned(self, now: int, hours: float) -> tuple[int, int]:
        with contextlib.suppress(OSError, ValueError, KeyError, TypeError):
            marked = json.loads(self._marker.read_text())
            return int(marked["next"]), int(marked["end"])
        return now - now % 60 - round(hours * 60) * 60, now

    def _mark(self) -> None:
        self._marker.parent.mkdir(parents=True, exist_ok=True)
        temporary = self._marker.with_suffix(".tmp")
        # The minute under way is measured again after a restart; readings that are there already change nothing.
        start_of_minute = self._next if self.done else self._next - self._next % 60
        temporary.write_text(json.dumps({"next": start_of_minute, "end": self._end}))
        temporary.replace(self._marker)


def _be_nice() -> None:
    """Give way to every other thread of this process (Linux counts niceness by thread)."""
    with contextlib.suppress(OSError, AttributeError):
        os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), _NICE)
