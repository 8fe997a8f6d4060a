"""The water balance of a quarter: the newest hours, which can still be put right, and the master's slow drift.

The residual of an hour is what the master counted less what all sub-meters counted. Without a leak it is the
unregistered use, a share of the flow by which the master reads too much or too little, and the master's step.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final, NamedTuple

import msgspec
import numpy as np
import numpy.typing as npt

from analysis.leaks.submeters import Ended, Silence

Floats = npt.NDArray[np.float64]

KEEP_H: Final = 120
"""Silences longer than this are beyond what is put right."""
_DRIFT_MEMORY_H: Final = 14.0 * 24
_DRIFT_PRIOR: Final = 0.01
_DRIFT_PRIOR_WEIGHT: Final = 2.0e4
_CLEAN: Final = 0.6
_MOST_DRIFT: Final = 0.08
_EXACT_L2: Final = 100.0


class Hours(NamedTuple):
    """The newest hours, oldest first: residual without drift (L/h), its variance, and what may be drawn unseen.

    ``clean`` is the chance that no silent meter hides any use in the hour, ``hidden_lph`` how much it is otherwise.
    """

    residual_lph: Floats
    variance: Floats
    clean: Floats
    hidden_lph: Floats
    hour_of_day: npt.NDArray[np.int_]


class Drift(msgspec.Struct):
    """The master's excess over the sub-meters in proportion to the flow, from how it goes with the flow in a day.

    Only the differences within one day count, so a leak, which runs by day and night, does not change it.
    """

    squares: float = 0.0
    products: float = 0.0
    day: list[tuple[float, float]] = []

    @property
    def share(self) -> float:
        """Litres that the master counts too much for each registered litre."""
        total = self.squares + _DRIFT_PRIOR_WEIGHT
        share = (self.products + _DRIFT_PRIOR * _DRIFT_PRIOR_WEIGHT) / total
        return float(np.clip(share, -_MOST_DRIFT, _MOST_DRIFT))

    def add(self, residual: float, use: float, *, clean: bool, new_day: bool) -> None:
        """Take an hour that will not change any more."""
        if new_day:
            self._close_day()
        if clean and np.isfinite(residual):
            self.day.append((residual, use))

    def _close_day(self) -> None:
        day, self.day = np.array(self.day), []
        keep = 1.0 - 24.0 / _DRIFT_MEMORY_H
        self.squares, self.products = self.squares * keep, self.products * keep
        if len(day) < 12:
            return
        residual, use = day[:, 0] - self.share * day[:, 1], day[:, 1]
        centre = np.median(residual)
        spread = 1.4826 * float(np.median(np.abs(residual - centre))) + 1.0
        good = np.abs(residual - centre) < 3.0 * spread
        use_off = use[good] - use[good].mean()
        off = day[good, 0] - day[good, 0].mean()
        self.squares += float((use_off**2).sum())
        self.products += float((use_off * off).sum())


class Balance(msgspec.Struct):
    """Residual (master less sub-meters), registered use and extra variance of the newest hours, oldest first.

    Litres an hour; ``nan`` stands for a missing residual. ``clean`` and ``hidden_lph`` (see :class:`Hours`) hold what
    silences left behind that are over and whose litres stay unknown.
    """

    hour_of_day: list[int] = []
    residual: list[float] = []
    use: list[float] = []
    variance: list[float] = []
    clean: list[float] = []
    hidden_lph: list[float] = []
    looked_clean: list[bool] = []
    drift: Drift = msgspec.field(default_factory=Drift)

    def add(self, hour: int, residual_l: float, use_l: float) -> None:
        """Append an hour; the oldest goes into the drift."""
        columns: tuple[list[Any], ...] = (
            self.hour_of_day, self.residual, self.use, self.variance, self.clean, self.hidden_lph, self.looked_clean,
        )  # fmt: skip
        if len(self.residual) == KEEP_H:
            clean = self.looked_clean[0] and self.variance[0] < _EXACT_L2
            self.drift.add(self.residual[0], self.use[0], clean=clean, new_day=self.hour_of_day[0] == 0)
            for column in columns:
                del column[0]
        newest: tuple[Any, ...] = (hour, residual_l, use_l, 0.0, 1.0, 0.0, True)
        for column, value in zip(columns, newest, strict=True):
            column.append(value)

    def put_right(self, ended: Ended) -> None:
        """Move what a silent meter reported in the newest hour to the hours in which it was drawn."""
        total = float(ended.shares_l.sum())
        self.residual[-1] += total
        self.use[-1] -= total
        for back in range(1, min(len(ended.shares_l), len(self.residual)) + 1):
            share = float(ended.shares_l[-back])
            self.residual[-back] -= share
            self.use[-back] += share
            self.variance[-back] += float(ended.variances_l2[-back])
        if ended.hidden is not None:
            clean, hidden = np.array(self.clean), np.array(self.hidden_lph)
            _hide(clean, hidden, ended.hidden)
            self.clean, self.hidden_lph = clean.tolist(), hidden.tolist()

    def hours(self, silences: Iterable[Silence]) -> Hours:
        """Return the newest hours in the light of the silences that are suspected now."""
        clean, hidden = np.array(self.clean), np.array(self.hidden_lph)
        for silence in silences:
            _hide(clean, hidden, silence)
        self.looked_clean = [
            was and now for was, now in zip(self.looked_clean, (clean > _CLEAN).tolist(), strict=True)
        ]
        residual = np.array(self.residual) - self.drift.share * np.array(self.use)
        hidden = hidden / np.maximum(1.0 - clean, 0.02)
        return Hours(residual, np.array(self.variance), clean, hidden, np.array(self.hour_of_day))


def _hide(clean: Floats, hidden_lph: Floats, silence: Silence) -> None:
    """Take into account, in place, that one meter may hide use."""
    kept = min(len(silence.chance), len(clean))
    chance, idle, mean = (column[-kept:] for column in silence)
    clean[-kept:] *= 1.0 - chance * (1.0 - idle)
    hidden_lph[-kept:] += chance * mean
