"""How long readings are kept."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Retention:
    """Days that readings are kept; ``None`` for ever. Hour rows and events are kept for ever.

    ``seconds_days`` is for the seconds of noise, ``minutes_days`` for its minutes and for the water readings.
    """

    seconds_days: int | None = 90
    minutes_days: int | None = 3 * 365
