"""Sound devices through PortAudio (ALSA on Linux). The only file that imports ``sounddevice``."""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable, Generator, Iterator
from dataclasses import dataclass
from types import ModuleType
from typing import Any, Final

import structlog

from edge.sound.alsa_cards import card_number, serial_of_card
from edge.sound.settings import PortAudioSource, SampleFormat
from edge.sound.sources.base import Gap, Sound, SourceError
from edge.sound.sources.pcm import CLIP, decode

log = structlog.get_logger(__name__)

_BLOCK_S: Final = 0.1
_QUEUE_S: Final = 20.0
_SILENT_S: Final = 3.0
"""Without a block for so long, the device is taken to be gone: some drivers never say so."""
_POLL_S: Final = 0.25
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


@dataclass(frozen=True, slots=True)
class InputDevice:
    """A sound device that can listen."""

    number: int
    name: str
    channels: int
    default_rate_hz: int
    serial: str | None
    is_default: bool


def input_devices(sd: ModuleType) -> list[InputDevice]:
    """Return the devices with inputs that PortAudio knew of when it was last started."""
    default = sd.default.device[0]
    found = []
    for number, info in enumerate(sd.query_devices()):
        if info["max_input_channels"] > 0:
            card = card_number(info["name"])
            found.append(
                InputDevice(
                    number, info["name"], info["max_input_channels"], round(info["default_samplerate"]),
                    None if card is None else serial_of_card(card), number == default,
                )
            )  # fmt: skip
    return found


def pick_device(wanted: str | int | None, devices: list[InputDevice]) -> int | None:
    """Return the number of the wanted device: by number, by serial, or by part of its name.

    ``None`` stands for the default device. Raises :class:`SourceError` that names what there is.
    """
    if wanted is None:
        return None
    if isinstance(wanted, int):
        matching = [one for one in devices if one.number == wanted]
    else:
        matching = [one for one in devices if one.serial == wanted]
        matching = matching or [one for one in devices if one.name == wanted]
        matching = matching or [one for one in devices if wanted.lower() in one.name.lower()]
    if len(matching) == 1:
        return matching[0].number
    names = "; ".join(one.name for one in matching or devices) or "none"
    if matching:
        raise SourceError(
            f"{wanted!r} fits several sound devices, give a serial or more of the name: {names}"
        )
    raise SourceError(f"no sound device fits {wanted!r}; there are: {names}")


class PortAudioInput:
    """One channel of a sound device that comes back by itself after it was unplugged.

    ``sd`` is the sounddevice module or what stands for it in a test; ``now`` is the system's time.
    """

    def __init__(
        self, settings: PortAudioSource, now: Callable[[], float] = time.time, sd: ModuleType | None = None
    ) -> None:
        self._settings = settings
        self._now = now
        self._sd = sd or load_portaudio()
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
        return CLIP

    def stream(self, stop: threading.Event) -> Iterator[Sound | Gap]:
        """Yield blocks until ``stop``; a device that goes away is a gap, and is opened again once it is back."""
        wait_s = _RETRY_FIRST_S
        while not stop.is_set():
            opened = self._open()
            if isinstance(opened, str):
                reason = opened
            else:
                wait_s = _RETRY_FIRST_S
                reason = yield from self._blocks(opened, stop)
            if stop.is_set():
                return
            yield Gap(reason, lost=True)
            stop.wait(wait_s)
            wait_s = min(_RETRY_MOST_S, 2 * wait_s)
            self._rescan()

    # -- inside ------------------------------------------------------------------------------------------------

    def _open(self) -> _Opened | str:
        """Open the device, or say why it cannot be."""
        settings = self._settings
        opened = _Opened(self._now, settings.rate_hz)
        try:
            device = pick_device(settings.device, input_devices(self._sd))
            opened.stream = self._sd.RawInputStream(
                samplerate=settings.rate_hz, device=device, channels=self._channels, dtype=self._dtype,
                blocksize=int(_BLOCK_S * settings.rate_hz), callback=opened.callback,
            )  # fmt: skip
            opened.stream.start()
        except SourceError as error:
            return str(error)
        except (self._sd.PortAudioError, ValueError) as error:
            return f"the sound device cannot be opened: {error}"
        _library.opened()
        return opened

    def _blocks(self, opened: _Opened, stop: threading.Event) -> Generator[Sound | Gap, None, str]:
        heard_at = time.monotonic()
        try:
            while not stop.is_set():
                block = opened.next_block(_POLL_S)
                if block is None:
                    if not opened.stream.active:
                        return "the sound device has gone away"
                    if time.monotonic() - heard_at > _SILENT_S:
                        return "the sound device does not deliver sound"
                    continue
                heard_at = time.monotonic()
                if block.overflowed:
                    yield Gap("samples were lost (overrun of the driver)")
                if block.dropped:
                    yield Gap("samples were lost (this machine was too slow)", samples=block.dropped)
                samples = decode(block.data, self._format, self._channels, self._settings.channel)
                yield Sound(samples, block.captured_at)
            return ""
        finally:
            _close(opened.stream, self._sd)
            _library.closed()

    def _rescan(self) -> None:
        """Let PortAudio look for devices again: it knows only those that were there when it was started."""
        _library.restart(self._sd)


@dataclass(frozen=True, slots=True)
class _Block:
    data: bytes
    captured_at: float
    overflowed: bool
    dropped: int


class _Opened:
    """An open stream and the bounded queue between PortAudio's thread and ours."""

    def __init__(self, now: Callable[[], float], rate_hz: int) -> None:
        self.stream: Any = None
        self._now = now
        self._rate = rate_hz
        self._blocks: queue.Queue[_Block] = queue.Queue(int(_QUEUE_S / _BLOCK_S))
        self._dropped = 0

    def callback(self, data: Any, frames: int, times: Any, status: Any) -> None:
        """Take a block from PortAudio's thread. When the queue is full it is dropped and counted."""
        latency = times.currentTime - times.inputBufferAdcTime
        ended_ago = max(0.0, latency - frames / self._rate) if 0 < latency < 1 else 0.0
        block = _Block(bytes(data), self._now() - ended_ago, bool(status.input_overflow), self._dropped)
        try:
            self._blocks.put_nowait(block)
            self._dropped = 0
        except queue.Full:
            self._dropped += frames

    def next_block(self, timeout_s: float) -> _Block | None:
        """Return the next block, or ``None`` if there was none in this time."""
        try:
            return self._blocks.get(timeout=timeout_s)
        except queue.Empty:
            return None


class _Library:
    """PortAudio is one for the whole process: it is started anew only while no stream is open."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._open = 0

    def opened(self) -> None:
        with self._lock:
            self._open += 1

    def closed(self) -> None:
        with self._lock:
            self._open -= 1

    def restart(self, sd: ModuleType) -> None:
        with self._lock:
            if not self._open:
                sd._terminate()
                sd._initialize()


_library: Final = _Library()


def _close(stream: Any, sd: ModuleType) -> None:
    try:
        stream.abort()
        stream.close()
    except sd.PortAudioError as error:
        log.debug("closing the sound device failed", error=str(error))
