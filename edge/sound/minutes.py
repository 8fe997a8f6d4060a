"""A minute's LAF histogram and 1/3-octave spectrum from its seconds."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime

import numpy as np
import numpy.typing as npt

from contract.flags import NOISE_EXCLUDED, NoiseFlag, names
from contract.messages import NoiseMinute
from edge.sound.meter import NO_FLAGS, MeteredSecond


@dataclass(slots=True)
class _Part:
    measured_ms: int = 0
    flags: NoiseFlag = NO_FLAGS
    bins: list[npt.NDArray[np.int64]] = field(default_factory=list)


class MinuteBuilder:
    """Collects seconds and returns each minute once it is complete.

    Histogram and measured time are those of valid seconds; a minute without one covers all that was measured, its
    histogram is empty, and its flags say why.
    """

    def __init__(self) -> None:
        self._t: int | None = None
        self._valid = _Part()
        self._invalid = _Part()

    def add(self, second: MeteredSecond, extra: NoiseFlag = NO_FLAGS) -> list[NoiseMinute]:
        """Take a second; return the minutes that ended by it (none, one, or the one before a jump in time)."""
        start = second.t - second.t % 60
        done = self.flush() if self._t is not None and start != self._t else []
        self._t = start
        flags = second.flags | extra
        part = self._invalid if flags & NOISE_EXCLUDED else self._valid
        part.measured_ms += second.measured_ms
        part.flags |= flags
        part.bins.append(second.laf_bins)
        if second.t % 60 == 59:
            done += self.flush()
        return done

    def flush(self) -> list[NoiseMinute]:
        """Return the minute under way, if any of it was measured."""
        if self._t is None:
            return []
        valid = self._valid.measured_ms > 0
        part = self._valid if valid else self._invalid
        bins, counts = _histogram(part.bins if valid else [])
        flags = part.flags & ~NoiseFlag.GAP
        if part.measured_ms < 60_000:
            flags |= NoiseFlag.GAP
        minute = NoiseMinute(
            seq=0,
            t=datetime.fromtimestamp(self._t, UTC),
            laf_bins=bins,
            laf_counts=counts,
            measured_ms=min(60_000, part.measured_ms),
            flags=tuple(names(flags)),  # type: ignore[arg-type]  # names are the literals
        )
        self._t, self._valid, self._invalid = None, _Part(), _Part()
        return [minute]


def _histogram(parts: list[npt.NDArray[np.int64]]) -> tuple[tuple[int, ...], tuple[int, ...]]:
    if not parts:
        return (), ()
    bins, counts = np.unique(np.concatenate(parts), return_counts=True)
    return tuple(bins.tolist()), tuple(counts.tolist())
