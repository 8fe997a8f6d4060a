"""An hour's LAF histogram in few bytes, unpacked when somebody looks: a year of hours has a million bins.

The bins of an hour lie close together: what is kept is the first of them, and the counts of all from there on, in two
bytes each where they fit. Earlier files hold bins and counts as two rows of 32-bit integers; their length is even,
that of ours odd.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from typing import Final

import numpy as np

from store.series.packed_ints import PackedSequence

_HEAD: Final = struct.Struct("<Bh")
_WIDTHS: Final = {2: np.dtype("<u2"), 4: np.dtype("<u4")}
_MOST_BINS: Final = 4096
"""What lies further apart than any level can (-50 to 200 dB) is not packed this way."""


def pack(bins: Sequence[int], counts: Sequence[int]) -> bytes | None:
    """Pack ascending bins with their counts; ``None`` for none. Raises ``ValueError`` for what is no histogram."""
    if not len(bins):
        return None
    at = np.asarray(bins, dtype=np.int64) - bins[0]
    values = np.asarray(counts, dtype=np.int64)
    if len(values) != len(at) or (np.diff(at) <= 0).any() or at[-1] >= _MOST_BINS or values.min() < 0:
        raise ValueError("a histogram has ascending bins of levels, and a count for each")
    width = 2 if values.max() < 2**16 else 4
    dense = np.zeros(at[-1] + 1, dtype=_WIDTHS[width])
    dense[at] = values
    return _HEAD.pack(width, int(bins[0])) + dense.tobytes()


def _unpacked(data: bytes) -> tuple[np.ndarray, np.ndarray]:
    if len(data) % 2 == 0:
        both = np.frombuffer(data, dtype="<i4")
        return both[: len(both) // 2], both[len(both) // 2 :]
    width, first = _HEAD.unpack_from(data)
    dense = np.frombuffer(data, dtype=_WIDTHS[width], offset=_HEAD.size)
    (used,) = np.nonzero(dense)
    return used + first, dense[used]


class PackedBins(PackedSequence):
    """The bins of a packed histogram that hold something."""

    __slots__ = ()

    def tolist(self) -> list[int]:
        """Return all numbers."""
        return _unpacked(self._data)[0].tolist()


class PackedCounts(PackedSequence):
    """The counts of a packed histogram, one for each of its bins."""

    __slots__ = ()

    def tolist(self) -> list[int]:
        """Return all numbers."""
        return _unpacked(self._data)[1].tolist()
