"""Sets of ``seq`` as inclusive ranges."""

from __future__ import annotations

from collections.abc import Iterable


def to_ranges(seqs: Iterable[int]) -> tuple[tuple[int, int], ...]:
    """Return sorted, disjoint, inclusive ranges: ``[3, 1, 2, 7]`` gives ``((1, 3), (7, 7))``."""
    ranges: list[tuple[int, int]] = []
    for seq in sorted(set(seqs)):
        if ranges and seq == ranges[-1][1] + 1:
            ranges[-1] = (ranges[-1][0], seq)
        else:
            ranges.append((seq, seq))
    return tuple(ranges)
