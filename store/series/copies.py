"""Which rows of a batch are the first of their identity."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np


def first_copies(numbers: np.ndarray, t: np.ndarray, identity: Sequence[np.ndarray] = ()) -> np.ndarray:
    """Return row indexes sorted by series and time, the first in the batch of each identity.

    ``numbers`` are the series, ``t`` the times; ``identity`` are further columns that tell readings of one series
    and time apart.
    """
    order = np.lexsort((t, numbers))  # stable: copies stay in the order of the batch
    if not identity:
        first = np.ones(len(order), dtype=bool)
        first[1:] = (numbers[order][1:] != numbers[order][:-1]) | (t[order][1:] != t[order][:-1])
        return order[first]
    seen: set[tuple[object, ...]] = set()
    kept: list[int] = []
    for i in order.tolist():
        key = (numbers[i], t[i], *(column[i] for column in identity))
        if key not in seen:
            seen.add(key)
            kept.append(i)
    return np.array(kept, dtype=np.int64)
