"""The ``[noise]`` table of the agent's configuration.

Every cross-check raises ``ValueError`` that names the key, which msgspec turns into a ``ValidationError`` with
the place in the file.
"""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import Annotated, Literal

import msgspec
from msgspec import Meta

Channel = Annotated[int, Meta(ge=1, le=64)]
Level = Annotated[float, Meta(ge=-50.0, le=250.0)]
SampleFormat = Literal["s16", "s24", "s24_32", "s32", "float32"]
"""Little-endian samples: 16 bit, 24 bit in three bytes, 24 bit in the low part of four, 32 bit, 32-bit float."""


class FileSource(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, tag="file"):
    """A sound file (WAV, FLAC, OGG) that is played as if a microphone heard it now."""

    path: str
    channel: Channel = 1
    loop: bool = False
    start_at: Annotated[datetime, Meta(tz=True)] | None = None
    """Time of the first sample; unless given, the next whole second."""
    pace: Literal["real", "fast"] = "real"
    """``real``: as fast as the clock runs. ``fast``: as fast as the machine can."""
    deinterleave: bool = False
    """The recording is a stereo stream that was stored as mono: take the first of each two samples."""

    def __post_init__(self) -> None:
        if self.loop and self.pace == "fast":
            raise ValueError('loop = true with pace = "fast" would never end')


class SceneSource(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, tag="scene"):
    """Real recordings arranged into a day by a scene file; see :mod:`edge.sound.sources.scene_file`."""

    path: str
    seed: int = 0
    """Added to the scene's own seed: several devices play one scene, each in its own way."""
    history_h: Annotated[float, Meta(ge=0, le=24 * 366)] = 0.0
    """Hours before the first start that are measured too, in the background."""


class PortAudioSource(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, tag="portaudio"):
    """A sound device, by part of its name or by its number as ``quietwater edge devices`` shows them."""

    device: str | int | None = None
    """Unless given, the system's default input."""
    rate_hz: Annotated[int, Meta(ge=8000, le=192_000)] = 48_000
    channel: Channel = 1
    channels: Channel | None = None
    """Channels to open; unless given, as many as ``channel`` needs."""
    format: Literal["s16", "s24", "s32", "float32"] = "s32"
    settle_s: Annotated[float, Meta(ge=0, le=60)] = 1.0
    """For how long the microphone rings after it was opened; these seconds are flagged ``settling``."""

    def __post_init__(self) -> None:
        if self.channels is not None and self.channels < self.channel:
            raise ValueError(f"channels = {self.channels} does not reach channel = {self.channel}")


class StdinSource(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, tag="stdin"):
    """Raw PCM on standard input, as ``arecord -t raw`` writes it."""

    rate_hz: Annotated[int, Meta(ge=8000, le=192_000)] = 48_000
    format: SampleFormat = "s16"
    channels: Channel = 1
    channel: Channel = 1
    settle_s: Annotated[float, Meta(ge=0, le=60)] = 0.0

    def __post_init__(self) -> None:
        if self.channels < self.channel:
            raise ValueError(f"channels = {self.channels} does not reach channel = {self.channel}")


SourceSettings = FileSource | SceneSource | PortAudioSource | StdinSource


class SoundEventSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """When a sound is an event of its own."""

    enabled: bool = True
    margin_db: Annotated[float, Meta(ge=3, le=60)] = 12.0
    """LAF above the background's L90 by so much."""
    at_least_db: Annotated[float, Meta(ge=0, le=150)] = 50.0
    """Softer sounds are no events, however quiet the background."""
    for_s: Annotated[float, Meta(ge=0.05, le=60)] = 0.5
    """It lasts at least so long."""
    hold_s: Annotated[float, Meta(ge=0.1, le=60)] = 2.0
    """It has ended when LAF was below for so long: the barks of one dog are one event."""
    background_s: Annotated[int, Meta(ge=30, le=7200)] = 600
    """Time over which the background's L90 is taken."""
    longest_s: Annotated[int, Meta(ge=1, le=7200)] = 600
    """An event is cut after that."""


class NoiseSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What the device measures of sound, and with what."""

    source: SourceSettings = PortAudioSource()
    full_scale_db: Level = 120.0
    """Level that an RMS of 1 (full scale) has, dB re 20 µPa; a calibration takes its place."""
    calibration: str | None = None
    """Calibration file; unless given, ``calibration.json`` in the agent's data folder, if it is there."""
    response: str | None = None
    """Free-field response of the microphone (CSV), which is then corrected."""
    calibration_interval_days: Annotated[int, Meta(ge=1, le=3660)] = 365
    """After that, seconds are flagged ``calibration_overdue``."""
    overload_db: Level | None = None
    """Peak level up to which the microphone is linear; clipped samples are noticed in any case."""
    self_noise_db: Level | None = None
    """A-weighted self noise of the microphone: seconds below it are flagged ``under_range``."""
    spectrum: bool = True
    """Measure 1/3-octave bands each minute."""
    events: SoundEventSettings = SoundEventSettings()
    """When a sound stands out as an event of its own."""

    def resolved(self, base: Path) -> NoiseSettings:
        """Return the settings with relative paths taken from ``base``."""
        source = self.source
        if isinstance(source, FileSource | SceneSource):
            source = msgspec.structs.replace(source, path=str(base / source.path))
        files = {
            key: str(base / value)
            for key, value in (("calibration", self.calibration), ("response", self.response))
            if value is not None
        }
        return msgspec.structs.replace(self, source=source, **files)
