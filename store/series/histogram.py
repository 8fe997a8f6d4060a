"""Percentiles and spread of a histogram of LAF, for a store whose server cannot compute them.

Bin *i* is [i/10, i/10 + 0.1) dB; within a bin the samples are taken as spread evenly.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

EXCEEDED: Final = (5, 10, 50, 90, 95)
COVERS: Final = 0.9
"""Share of an hour's valid time that the minutes' histograms must cover for LN to come from them."""


@dataclass(frozen=True, slots=True)
class Histogram:
    """Ascending bins with their counts."""

    bins: np.ndarray
    counts: np.ndarray

    @classmethod
    def merged(cls, parts: Iterable[tuple[Sequence[int], Sequence[int]]]) -> Histogram:
        """Merge histograms given as bins and counts."""
        pairs = list(parts)
        if not pairs:
            return cls(np.empty(0, np.int64), np.empty(0, np.int64))
        bins = np.concatenate([np.asarray(one[0], dtype=np.int64) for one in pairs])
        counts = np.concatenate([np.asarray(one[1], dtype=np.int64) for one in pairs])
        unique, where = np.unique(bins, return_inverse=True)
        return cls(unique, np.bincount(where, weights=counts).astype(np.int64))

    @classmethod
    def of_samples(cls, laf_db: Sequence[float] | np.ndarray) -> Histogram:
        """Sort samples into bins; a sample of 50.1 dB falls into bin 501 in spite of binary fractions."""
        thousandths = np.round(np.asarray(laf_db, dtype=np.float64) * 1000)
        return cls(*np.unique(np.floor(thousandths / 100).astype(np.int64), return_counts=True))

    @property
    def levels_db(self) -> np.ndarray:
        """The middle of each bin."""
        return self.bins / 10 + 0.05

    @property
    def energy(self) -> float:
        """Mean of 10^(L/10): the mean of LAF's energy is that of LAeq, because F weighting keeps energy."""
        return float((self.counts * 10 ** (self.levels_db / 10)).sum() / self.counts.sum())

    def exceeded_db(self, percent: float) -> float | None:
        """Return the level exceeded for ``percent`` % of the samples."""
        if not len(self.bins):
            return None
        upto = np.cumsum(self.counts[::-1])
        wanted = percent / 100 * upto[-1]
        at = int(np.searchsorted(upto, wanted))
        count, top = self.counts[::-1][at], self.bins[::-1][at] + 1
        return float(top / 10 - 0.1 * (wanted - (upto[at] - count)) / count)

    def sd_db(self) -> float | None:
        """Return the standard deviation of the samples (n - 1), ``None`` for fewer than two."""
        total = self.counts.sum()
        if total < 2:
            return None
        mean = (self.counts * self.levels_db).sum() / total
        return float(np.sqrt((self.counts * (self.levels_db - mean) ** 2).sum() / (total - 1)))
