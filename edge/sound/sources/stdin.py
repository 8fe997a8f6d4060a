"""Raw PCM on standard input."""

from __future__ import annotations

import select
import sys
import threading
import time
from collections.abc import Callable, Iterator
from typing import BinaryIO

from edge.sound.settings import StdinSource
from edge.sound.sources.base import Gap, Sound
from edge.sound.sources.pcm import CLIP, SAMPLE_BYTES, decode

_READ_S = 0.1
_POLL_S = 0.25


class PcmSource:
    """Raw PCM from a pipe. A trailing part of a frame is left out."""

    def __init__(
        self, settings: StdinSource, pipe: BinaryIO | None = None, now: Callable[[], float] = time.time
    ) -> None:
        self._settings = settings
        self._pipe = sys.stdin.buffer if pipe is None else pipe
        self._now = now

    @property
    def rate_hz(self) -> int:
        """Sampling rate."""
        return self._settings.rate_hz

    @property
    def clip(self) -> float:
        """Magnitude of a sample at the rail."""
        return CLIP

    def stream(self, stop: threading.Event) -> Iterator[Sound | Gap]:
        """Yield sound until the pipe is closed."""
        settings = self._settings
        frame = SAMPLE_BYTES[settings.format] * settings.channels
        want = max(1, int(_READ_S * self.rate_hz)) * frame
        rest = b""
        while not stop.is_set():
            if not self._readable():
                continue
            data = self._pipe.read1(want) if hasattr(self._pipe, "read1") else self._pipe.read(want)  # type: ignore[attr-defined]
            if not data:
                return
            data = rest + data
            whole = len(data) - len(data) % frame
            rest = data[whole:]
            if whole:
                samples = decode(data[:whole], settings.format, settings.channels, settings.channel)
                yield Sound(samples, self._now())

    def _readable(self) -> bool:
        """Wait a little for data, so that ``stop`` is noticed while the pipe is silent."""
        try:
            descriptor = self._pipe.fileno()
        except (OSError, AttributeError):
            return True
        ready, _, _ = select.select([descriptor], [], [], _POLL_S)
        return bool(ready)
