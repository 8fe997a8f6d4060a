"""What every source of sound is."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol

from edge.sound.curves import FloatArray


class SourceError(ValueError):
    """A source cannot be used; the text names the cause and the cure."""


@dataclass(frozen=True, slots=True)
class Sound:
    """A block of samples of one channel, full scale 1.

    ``captured_at`` is when the block was complete, in seconds since 1970, as far as a live source can tell.
    """

    samples: FloatArray
    captured_at: float | None = None


@dataclass(frozen=True, slots=True)
class Gap:
    """Sound that is missing here. ``samples`` is how much, ``None`` if only the clock can tell.

    ``lost`` says that the device went away; the next block comes from a device that was opened anew.
    """

    reason: str
    samples: int | None = None
    lost: bool = False


class Source(Protocol):
    """A stream of sound at one rate."""

    @property
    def rate_hz(self) -> int:
        """Sampling rate."""
        ...

    @property
    def clip(self) -> float:
        """Magnitude at which a sample is at the converter's rail."""
        ...

    def stream(self, stop: threading.Event) -> Iterator[Sound | Gap]:
        """Yield blocks until the sound ends or ``stop`` is set. Raises :class:`SourceError`."""
        ...
