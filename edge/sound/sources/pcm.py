"""Raw PCM samples to numbers of full scale 1."""

from __future__ import annotations

from typing import Final

import numpy as np

from edge.sound.curves import FloatArray
from edge.sound.settings import SampleFormat

SAMPLE_BYTES: Final[dict[SampleFormat, int]] = {"s16": 2, "s24": 3, "s24_32": 4, "s32": 4, "float32": 4}
CLIP: Final = 1 - 2.0**-15
"""Magnitude at the rail: that of 16 bits, since streams of more bits often carry what had 16."""


def decode(data: bytes | memoryview, form: SampleFormat, channels: int, channel: int) -> FloatArray:
    """Return one channel (counted from 1) of little-endian interleaved frames.

    Raises ``ValueError`` when ``data`` is not a whole number of frames.
    """
    frame = SAMPLE_BYTES[form] * channels
    if len(data) % frame:
        raise ValueError(f"{len(data)} bytes are not a whole number of frames of {frame} bytes")
    return _numbers(data, form).reshape(-1, channels)[:, channel - 1].astype(np.float64)


def _numbers(data: bytes | memoryview, form: SampleFormat) -> FloatArray:
    if form == "s16":
        return np.frombuffer(data, "<i2") / 2.0**15
    if form == "s32":
        return np.frombuffer(data, "<i4") / 2.0**31
    if form == "s24_32":
        return (np.frombuffer(data, "<i4") << 8) / 2.0**31
    if form == "s24":
        padded = np.zeros((len(data) // 3, 4), np.uint8)
        padded[:, 1:] = np.frombuffer(data, np.uint8).reshape(-1, 3)
        return padded.reshape(-1).view("<i4") / 2.0**31
    return np.frombuffer(data, "<f4").astype(np.float64)
