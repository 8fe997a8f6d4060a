"""A household beside others of its kind, without showing any of them. Pure.

Nobody is compared within a group of fewer than ``LEAST_GROUP``: neither the median nor a rank of a few flats hides
who they are. Of the others only the group's quartiles are told, rounded to a coarse step, and the own rank as one of
four quarters.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from statistics import quantiles
from typing import Final

LEAST_GROUP: Final = 10
"""Households in a group at least, the own one included (project default)."""
STEP_L: Final = 10.0
"""Quartiles are told in these steps, litres a day."""


@dataclass(frozen=True, slots=True)
class PeerComparison:
    """Own use and its group's quartiles, litres a day. ``quarter`` is 1 (lowest use) to 4 (highest)."""

    own_l: float
    lower_quartile_l: float
    median_l: float
    upper_quartile_l: float
    group_size: int
    quarter: int


def compare(own: str, use_l: Mapping[str, float]) -> PeerComparison | None:
    """Compare ``own`` with the group (litres a day by household, the own one included).

    ``None`` where the group is too small to hide its members, or the own use is not known.
    """
    if own not in use_l or len(use_l) < LEAST_GROUP:
        return None
    low, middle, high = quantiles(use_l.values(), n=4, method="inclusive")
    mine = use_l[own]
    quarter = 1 + sum(1 for bound in (low, middle, high) if mine > bound)
    return PeerComparison(mine, _coarse(low), _coarse(middle), _coarse(high), len(use_l), quarter)


def _coarse(use_l: float) -> float:
    return round(use_l / STEP_L) * STEP_L
