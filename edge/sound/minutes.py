"""A minute's LAF histogram and 1/3-octave spectrum from its seconds."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime

import numpy as np
import numpy.typing as npt

from contract.flags import NOISE_EXCLUDED, NoiseFlag, names
from contract.messages import LEVEL_FLOOR_DB, NoiseMinute
from edge.sound.curves import FloatArray
from edge.sound.octaves import LOWEST_BAND, BandEnergy
from edge.sound.second import NO_FLAGS, MeteredSecond

_WHOLE_MS = 60_000


@dataclass(slots=True)
class MinutePart:
    """The valid or the invalid seconds of a minute."""

    measured_ms: int = 0
    flags: NoiseFlag = NO_FLAGS
    bins: list[npt.NDArray[np.int64]] = field(default_factory=list)
    bands: BandEnergy = field(default_factory=BandEnergy)


class MinuteBuilder:
    """Collects the seconds of a minute.

    Histogram, bands and measured time are those of valid seconds. A minute without one covers all that was measured,
    its histogram is empty, and its flags say why.
    """

    def __init__(self, full_scale_db: float, offsets_db: FloatArray | None = None) -> None:
        self._full_scale_db = full_scale_db
        self._offsets_db = offsets_db
        self._t: int | None = None
        self._valid = MinutePart()
        self._invalid = MinutePart()

    def ended_before(self, t: int) -> bool:
        """Say whether the minute under way is over when the second at ``t`` comes."""
        return self._t is not None and self._t != t - t % 60

    def add(self, second: MeteredSecond, flags: NoiseFlag) -> MinutePart:
        """Take a second with all its flags; return the part that it belongs to, for its bands."""
        self._t = second.t - second.t % 60
        part = self._invalid if flags & NOISE_EXCLUDED else self._valid
        part.measured_ms += second.measured_ms
        part.flags |= flags
        part.bins.append(second.laf_bins)
        return part

    def close(self) -> NoiseMinute | None:
        """Return the minute under way, if any of it was measured, and begin the next."""
        if self._t is None:
            return None
        valid = self._valid.measured_ms > 0
        part = self._valid if valid else self._invalid
        bins, counts = _histogram(part.bins if valid else [])
        levels = part.bands.levels_db(self._full_scale_db, self._offsets_db)
        flags = part.flags & ~NoiseFlag.GAP
        if part.measured_ms < _WHOLE_MS:
            flags |= NoiseFlag.GAP
        minute = NoiseMinute(
            seq=0,
            t=datetime.fromtimestamp(self._t, UTC),
            laf_bins=bins,
            laf_counts=counts,
            measured_ms=min(_WHOLE_MS, part.measured_ms),
            first_band=LOWEST_BAND if levels and None not in levels else None,
            bands_db=() if None in levels else tuple(max(LEVEL_FLOOR_DB, x) for x in levels if x is not None),
            flags=tuple(names(flags)),  # type: ignore[arg-type]  # names are the literals
        )
        self._t, self._valid, self._invalid = None, MinutePart(), MinutePart()
        return minute


def _histogram(parts: list[npt.NDArray[np.int64]]) -> tuple[tuple[int, ...], tuple[int, ...]]:
    if not parts:
        return (), ()
    bins, counts = np.unique(np.concatenate(parts), return_counts=True)
    return tuple(bins.tolist()), tuple(counts.tolist())
