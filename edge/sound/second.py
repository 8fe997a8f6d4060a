"""What the meter knows of one second, and the message made of it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

import numpy as np
import numpy.typing as npt

from contract.flags import NoiseFlag, names
from contract.messages import NoiseSecond
from edge.sound.block_filter import BLOCK
from edge.sound.curves import FloatArray
from edge.sound.levels import LEVEL_DECIMALS

_LAF_RATE_HZ: Final = 100
NO_FLAGS: Final = NoiseFlag(0)


def laf_step(rate_hz: int) -> int:
    """Return the samples from one LAF sample to the next: about a hundredth of a second, in whole blocks."""
    return max(1, round(rate_hz / _LAF_RATE_HZ / BLOCK)) * BLOCK


@dataclass(slots=True)
class MeteredSecond:
    """Levels of one second and what its minute needs of it. ``t`` is its start in seconds since 1970."""

    t: int
    measured_ms: int
    flags: NoiseFlag
    laeq_db: float
    lceq_db: float | None
    lzeq_db: float | None
    lafmax_db: float
    lafmin_db: float
    laf_db: float
    lasmax_db: float | None
    lasmin_db: float | None
    lcpeak_db: float | None
    lae_db: float
    laf_samples_db: FloatArray
    """LAF, sampled about 100 times a second (:func:`laf_step`), once it has settled."""
    sound: list[FloatArray]
    """The samples themselves, for the spectrum; they go no further than the minute's bands."""
    began_anew: bool
    """Whether the filters were preset in this second: it is the first after a start or a gap."""

    @property
    def laf_bins(self) -> npt.NDArray[np.int64]:
        """The LAF samples in 0.1 dB bins: bin i is [i/10, i/10 + 0.1) dB."""
        return np.floor(self.laf_samples_db * 10).astype(np.int64)

    def reading(self, flags: NoiseFlag | None = None) -> NoiseSecond:
        """Return the message; with ``flags`` in place of the meter's own where the device knows more."""
        return NoiseSecond(
            seq=0,
            t=datetime.fromtimestamp(self.t, UTC),
            laeq_db=_rounded(self.laeq_db),
            lafmax_db=_rounded(self.lafmax_db),
            lafmin_db=_rounded(self.lafmin_db),
            laf_db=_rounded(self.laf_db),
            lceq_db=_optional(self.lceq_db),
            lzeq_db=_optional(self.lzeq_db),
            lasmax_db=_optional(self.lasmax_db),
            lasmin_db=_optional(self.lasmin_db),
            lcpeak_db=_optional(self.lcpeak_db),
            lae_db=_rounded(self.lae_db),
            measured_ms=self.measured_ms,
            flags=tuple(names(self.flags if flags is None else flags)),  # type: ignore[arg-type]  # names are the literals
        )


def _rounded(level: float) -> float:
    return round(level, LEVEL_DECIMALS)


def _optional(level: float | None) -> float | None:
    return None if level is None else _rounded(level)
