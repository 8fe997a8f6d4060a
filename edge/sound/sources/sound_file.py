"""Sound files: WAV, FLAC, OGG and whatever else libsndfile reads."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from edge.sound.curves import FloatArray
from edge.sound.sources.base import Gap, Sound, SourceError
from edge.sound.sources.pcm import CLIP

if TYPE_CHECKING:
    import soundfile

_CLIP_OF = {"PCM_U8": 1 - 2.0**-7, "PCM_S8": 1 - 2.0**-7, "PCM_16": CLIP, "PCM_24": CLIP, "PCM_32": CLIP}


class SoundFileSource:
    """One channel of a sound file, read in blocks so that a file of any length takes little memory."""

    def __init__(
        self, path: Path, *, channel: int = 1, loop: bool = False, deinterleave: bool = False,
        first_s: int | None = None, block_s: float = 1.0,
    ) -> None:  # fmt: skip
        self._path = path
        self._channel = channel
        self._loop = loop
        self._step = 2 if deinterleave else 1
        with _opened(path) as file:
            if channel > file.channels:
                raise SourceError(
                    f"{path} has {file.channels} channel(s); channel {channel} is not among them"
                )
            if file.frames == 0:
                raise SourceError(f"{path} holds no sound")
            self._rate = file.samplerate
            self._frames = file.frames // self._step
            if first_s is not None:
                self._frames = min(self._frames, first_s * self._rate)
            self._clip = _CLIP_OF.get(file.subtype, 1.0)
        self._block = max(self._step, int(block_s * self._rate) * self._step)

    @property
    def rate_hz(self) -> int:
        """Sampling rate."""
        return self._rate

    @property
    def clip(self) -> float:
        """Magnitude of a sample at the rail."""
        return self._clip

    @property
    def frames(self) -> int:
        """Samples that the file holds."""
        return self._frames

    def stream(self, stop: threading.Event) -> Iterator[Sound | Gap]:
        """Yield the file's sound, again and again if it loops."""
        while not stop.is_set():
            left = self._frames * self._step
            with _opened(self._path) as file:
                while left and not stop.is_set():
                    frames = file.read(min(self._block, left), dtype="float64", always_2d=True)
                    if not len(frames):
                        break
                    left -= len(frames)
                    yield Sound(frames[:: self._step, self._channel - 1].astype(np.float64))
            if not self._loop:
                return


def _opened(path: Path) -> soundfile.SoundFile:
    import soundfile

    try:
        return soundfile.SoundFile(path)
    except (soundfile.LibsndfileError, OSError) as error:
        if not path.exists():
            raise SourceError(f"{path} does not exist") from error
        raise SourceError(f"{path} cannot be read as sound (WAV, FLAC, OGG): {error}") from error


def read_mono(path: Path) -> tuple[FloatArray, int]:
    """Return a whole sound file's first channel and its rate. Raises :class:`SourceError`."""
    with _opened(path) as file:
        return file.read(dtype="float64", always_2d=True)[:, 0].astype(np.float64), file.samplerate
