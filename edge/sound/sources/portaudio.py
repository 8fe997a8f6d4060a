"""Sound devices through PortAudio (ALSA on Linux). The only file that imports ``sounddevice``."""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable, Iterator
from types import ModuleType
from typing import Any, Final

import structlog

from edge.sound.settings import PortAudioSource, SampleFormat
from edge.sound.sources.base import Gap, Sound, SourceError
from edge.sound.sources.pcm import CLIP, decode

log = structlog.get_logger(__name__)

_BLOCK_S: Final = 0.1
_QUEUE_S: Final = 20.0
_SILENT_S: Final = 3.0
"""Without a block for so long, the device is taken to be gone: some drivers never say so."""
_RETRY_FIRST_S: Final = 0.5
_RETRY_MOST_S: Final = 10.0
_FORMATS: Final[dict[SampleFormat, tuple[str, SampleFormat]]] = {
    "s16": ("int16", "s16"), "s24": ("int24", "s24"), "s32": ("int32", "s32"), "float32": ("float32", "float32"),
}  # fmt: skip


def load_portaudio() -> ModuleType:
    """Import sounddevice. Raises :class:`SourceError` with the cure where PortAudio is missing."""
    try:
        import sounddevice
    except OSError as error:
        raise SourceError(
            "PortAudio is not installed; install it with: sudo apt-get install libportaudio2"
        ) from error
    except ImportError as error:
        raise SourceError(
            "the Python package sounddevice is not installed; install it with: pip install 'quietwater[edge]'"
        ) from error
    return sounddevice


class PortAudioInput:
    """One channel of a sound device that comes back by itself after it was unplugged."""

    def __init__(self, settings: PortAudioSource, now: Callable[[], float] = time.time) -> None:
        self._settings = settings
        self._now = now
        self._sd = load_portaudio()
        self._dtype, form = _FORMATS[settings.format]
        self._format: SampleFormat = form
        self._channels = settings.channels or settings.channel

    @property
    def rate_hz(self) -> int:
        """Sampling rate."""
        return self._settings.rate_hz

    @property
    def clip(self) -> float:
        """Magnitude of a sample at the rail."""
        return CLIP[self._format]

    def stream(self, stop: threading.Event) -> Iterator[Sound | Gap]:
        """Yield blocks until ``stop``; a device that goes away is a gap, and is opened again once it is back."""
        wait_s = _RETRY_FIRST_S
        while not stop.is_set():
            opened = self._open()
            if isinstance(opened, str):
                yield Gap(opened, lost=True)
                stop.wait(wait_s)
                wait_s = min(_RETRY_MOST_S, 2 * wait_s)
                self._rescan()
                continue
            wait_s = _RETRY_FIRST_S
            reason = yield from self._blocks(opened, stop)
            if not stop.is_set():
                yield Gap(reason, lost=True)
                self._rescan()

    def _open(self) -> _Opened | str:
        blocks: queue.Queue[tuple[bytes, float, bool]] = queue.Queue(int(_QUEUE_S / _BLOCK_S))
        overrun = threading.Event()

        def callback(data: Any, _frames: int, _time: object, status: Any) -> None:
            lost = bool(status and status.input_overflow)
            try:
                blocks.put_nowait((bytes(data), self._now(), lost))
            except queue.Full:
                overrun.set()

        try:
            stream = self._sd.RawInputStream(
                samplerate=self._settings.rate_hz, device=self._settings.device, channels=self._channels,
                dtype=self._dtype, blocksize=int(_BLOCK_S * self._settings.rate_hz), callback=callback,
            )  # fmt: skip
            stream.start()
        except (self._sd.PortAudioError, ValueError) as error:
            return f"the sound device cannot be opened: {error}"
        return _Opened(stream, blocks, overrun)

    def _blocks(self, opened: _Opened, stop: threading.Event) -> Iterator[Sound | Gap]:
        silent_since = time.monotonic()
        try:
            while not stop.is_set():
                try:
                    data, at, lost = opened.blocks.get(timeout=0.25)
                except queue.Empty:
                    if not opened.stream.active or time.monotonic() - silent_since > _SILENT_S:
                        return "the sound device has gone away"  # taken by ``yield from``
                    continue
                silent_since = time.monotonic()
                if lost or opened.overrun.is_set():
                    opened.overrun.clear()
                    yield Gap("samples were lost (overrun)")
                samples = decode(data, self._format, self._channels, self._settings.channel)
                yield Sound(samples, at)
        finally:
            _close(opened.stream, self._sd)
        return ""

    def _rescan(self) -> None:
        """Let PortAudio look for devices again: it knows only those that were there when it was started."""
        self._sd._terminate()
        self._sd._initialize()


class _Opened:
    def __init__(self, stream: Any, blocks: queue.Queue[tuple[bytes, float, bool]], overrun: threading.Event):
        self.stream = stream
        self.blocks = blocks
        self.overrun = overrun


def _close(stream: Any, sd: ModuleType) -> None:
    try:
        stream.abort()
        stream.close()
    except sd.PortAudioError as error:
        log.debug("closing the sound device failed", error=str(error))
