"""A long recording made of the real clips, and its levels computed without the meter."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import scipy.fft
import soundfile

CLIPS = Path(__file__).parents[2] / "app" / "demo" / "noise"
RATE_HZ = 44_100
F1, F2, F3, F4 = 20.598997, 107.65265, 737.86223, 12194.217  # IEC 61672-1, annex E


def write_recording(path: Path, seconds: int) -> np.ndarray:
    """Write real clips, one after another with changing gain, as 16-bit FLAC; return the samples as stored."""
    names = sorted(CLIPS.glob("*.ogg"))
    clips = [soundfile.read(name, dtype="float64")[0] for name in names]
    parts: list[np.ndarray] = []
    total = 0
    for index in range(10**6):
        if total >= seconds * RATE_HZ:
            break
        # Noise of the last bit: nothing in nature is digital silence, which would rightly be flagged.
        clip = clips[index % len(clips)] * 10 ** (-(index * 7 % 30) / 20)
        floor = np.random.default_rng(index).uniform(-2e-4, 2e-4, len(clip))
        parts.append(clip * 0.9 + floor)
        total += len(clip)
    samples = np.concatenate(parts)[: seconds * RATE_HZ]
    soundfile.write(path, samples, RATE_HZ, subtype="PCM_16")
    return soundfile.read(path, dtype="float64")[0]


def laeq_db(samples: np.ndarray, first_s: int, last_s: int, full_scale_db: float) -> float:
    """Return LAeq of seconds ``first_s`` to ``last_s`` from the analytic A curve over the whole spectrum."""
    size = scipy.fft.next_fast_len(len(samples) + RATE_HZ, real=True)
    spectrum = scipy.fft.rfft(samples, size)
    f2 = scipy.fft.rfftfreq(size, 1 / RATE_HZ) ** 2
    weight = F4**2 * f2**2 / ((f2 + F1**2) * np.sqrt((f2 + F2**2) * (f2 + F3**2)) * (f2 + F4**2)) * 10**0.1
    weighted = scipy.fft.irfft(spectrum * weight, size)[first_s * RATE_HZ : last_s * RATE_HZ]
    return full_scale_db + 10 * np.log10(np.mean(weighted**2))
