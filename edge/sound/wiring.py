"""A common fault of recordings of I2S microphones: a stereo stream stored as if it were mono."""

from __future__ import annotations

import numpy as np

from edge.sound.curves import FloatArray

HALF_ZERO_WARNING = (
    "every second sample is exactly zero: a stereo stream was stored as mono (common with I2S microphones). Its time "
    "runs at half speed and its frequencies are halved. For a recording use --deinterleave (deinterleave = true); for "
    "a live source open two channels (channels = 2)."
)


def half_zero(samples: FloatArray) -> bool:
    """Say whether of each two samples one is exactly zero, always the same one, and the other is not."""
    if len(samples) < 64:
        return False
    odd, even = samples[1::2], samples[::2]
    return bool((not odd.any() and np.count_nonzero(even) > len(even) // 2)
                or (not even.any() and np.count_nonzero(odd) > len(odd) // 2))  # fmt: skip
