"""What a sound event's spectrum and course look like, in numbers. They describe; they do not name a source."""

from __future__ import annotations

import math

from edge.sound.curves import a_db, nominal_exact_hz
from edge.sound.octaves import LOWEST_BAND
from edge.sound.sound_events import SoundEvent

_LOW_HZ = 250.0
_HIGH_HZ = 2000.0


def shape(event: SoundEvent, levels_db: list[float | None]) -> dict[str, float | int | None]:
    """Return the features of an event with the Leq of its bands (Z), from 12.5 Hz on.

    ``shape_onset_db_per_s``: steepest rise of LAF. ``shape_bursts``: how often it rose again by 6 dB.
    ``shape_centroid_hz``: mid of the A-weighted energy on the logarithmic frequency axis.
    ``shape_tonality_db``: by how much the loudest band exceeds its neighbours' mean.
    ``shape_low_share`` and ``shape_high_share``: share of the A-weighted energy below 250 Hz and above 2 kHz.
    """
    course = {"shape_onset_db_per_s": round(event.onset_db_per_s, 1), "shape_bursts": event.bursts}
    bands = [
        (nominal_exact_hz(LOWEST_BAND + i), level) for i, level in enumerate(levels_db) if level is not None
    ]
    if len(bands) < 3:
        return course
    energies = [10 ** ((level + float(a_db(hz))) / 10) for hz, level in bands]
    total = sum(energies)
    centroid = sum(e * math.log(hz) for e, (hz, _) in zip(energies, bands, strict=True)) / total
    low = sum(e for e, (hz, _) in zip(energies, bands, strict=True) if hz < _LOW_HZ)
    high = sum(e for e, (hz, _) in zip(energies, bands, strict=True) if hz > _HIGH_HZ)
    loudest = max(range(1, len(bands) - 1), key=lambda i: energies[i])
    tonality = bands[loudest][1] - (bands[loudest - 1][1] + bands[loudest + 1][1]) / 2
    return {
        **course,
        "shape_centroid_hz": round(math.exp(centroid)),
        "shape_tonality_db": round(tonality, 1),
        "shape_low_share": round(low / total, 3),
        "shape_high_share": round(high / total, 3),
    }
