"""Mathematics of sound levels: energetic averages, rating levels, levels exceeded. Pure.

Levels are dB re 20 µPa. An arithmetic mean of levels is acoustically wrong and appears nowhere but where a standard
asks for it (HJ 640's mean over a city's grid).
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence

EVENING_PENALTY_DB = 5.0
"""Added to the evening in Lden (Directive 2002/49/EC annex I; ISO 1996-1)."""
NIGHT_PENALTY_DB = 10.0
"""Added to the night in Ldn and Lden (ISO 1996-1; Directive 2002/49/EC annex I)."""


def energy(level_db: float) -> float:
    """Return the relative sound energy of a level: 10^(L/10)."""
    return 10.0 ** (level_db / 10.0)


def level(relative_energy: float) -> float:
    """Return the level of a relative energy: 10·lg(E). Raises ``ValueError`` for zero or less."""
    if relative_energy <= 0.0:
        raise ValueError(f"no level belongs to the energy {relative_energy}")
    return 10.0 * math.log10(relative_energy)


def energy_mean(levels_db: Iterable[float], weights: Iterable[float] | None = None) -> float | None:
    """Return 10·lg(Σ w·10^(L/10) / Σ w), the equivalent level; ``None`` where the weights sum to zero.

    ``weights`` are durations (any one unit) and default to equal ones.
    """
    levels = list(levels_db)
    shares = [1.0] * len(levels) if weights is None else list(weights)
    total = math.fsum(shares)
    if total <= 0.0:
        return None
    return level(math.fsum(w * energy(one) for one, w in zip(levels, shares, strict=True)) / total)


def energy_sum(levels_db: Iterable[float]) -> float:
    """Return the level of several sources together: 10·lg(Σ 10^(L/10))."""
    return level(math.fsum(energy(one) for one in levels_db))


def ldn(day_db: float, night_db: float, *, day_h: float = 16.0, night_h: float = 8.0) -> float:
    """Return the day-night level (ISO 1996-1). 16/8 h is the Chinese day and night; ISO's own default is 15/9 h."""
    return _rated([(day_db, day_h, 0.0), (night_db, night_h, NIGHT_PENALTY_DB)])


def lden(
    day_db: float, evening_db: float, night_db: float, *,
    day_h: float = 12.0, evening_h: float = 4.0, night_h: float = 8.0,
) -> float:  # fmt: skip
    """Return the day-evening-night level (Directive 2002/49/EC annex I; ISO 1996-1)."""
    return _rated(
        [
            (day_db, day_h, 0.0),
            (evening_db, evening_h, EVENING_PENALTY_DB),
            (night_db, night_h, NIGHT_PENALTY_DB),
        ]
    )


def exposure_level(leq_db: float, duration_s: float) -> float:
    """Return the sound exposure level, Leq + 10·lg(T/1 s) (ISO 1996-1)."""
    return leq_db + level(duration_s)


def level_exceeded(bins: Sequence[int], counts: Sequence[int], percent: float) -> float | None:
    """Return the level exceeded for ``percent`` of the samples of a histogram; ``None`` for an empty one.

    Bin *i* holds levels from *i*/10 to *i*/10 + 0.1 dB (``contract.messages.NoiseMinute``), ascending; within a bin
    the samples are taken as evenly spread. L10 is a high level, L90 a low one.
    """
    total = sum(counts)
    if total == 0:
        return None
    above_wanted = total * percent / 100.0
    above = 0
    for one, count in zip(reversed(bins), reversed(counts), strict=True):
        if above + count >= above_wanted:
            return (one + 1 - (above_wanted - above) / count) / 10.0
        above += count
    return bins[0] / 10.0


def _rated(parts: Sequence[tuple[float, float, float]]) -> float:
    total_h = math.fsum(hours for _, hours, _ in parts)
    return level(math.fsum(hours * energy(one + penalty) for one, hours, penalty in parts) / total_h)
