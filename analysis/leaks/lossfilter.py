"""How much water is lost between master and sub-meters: a distribution over losses, carried on hour by hour.

Each hour's residual is either the loss itself, within the master's step, or, where a silent meter may hide use, more
than it. So the loss shows in the hours in which nobody unseen draws, mostly at night, and one noisy day does not move
it. The loss stays as it is, wanders a little, or, seldom, changes at once.
"""

from __future__ import annotations

from typing import Final, NamedTuple

import msgspec
import numpy as np
import numpy.typing as npt

from analysis.leaks.balance import Hours

Floats = npt.NDArray[np.float64]

_LOWEST, _HIGHEST = -40, 160
_CELLS: Final = np.arange(_LOWEST, _HIGHEST + 1, dtype=float)
_TRUST: Final = np.array([0.1, 0.35, 1.0, 3.0])
"""How much more hidden use there may be than the sub-meters' habits tell, as powers of the chance of a clean hour."""
_TRUST_WEIGHT: Final = np.array([0.2, 0.2, 0.4, 0.2])
_TRUST_CHANGES: Final = 1.0 / 48.0
_WANDER: Final = 0.025
"""Chance that the loss goes one cell up, or one down, within an hour."""
_CHANGE: Final = 1.0 / 4000.0
_CHANGE_SIZE: Final = np.exp(-np.abs(_CELLS - 10.0) / 40.0) / np.exp(-np.abs(_CELLS - 10.0) / 40.0).sum()
_TEMPER: Final = 0.4
"""Hours in which something may be hidden follow each other and are not independent: they count this much."""
_STRANGER: Final = 0.02
_LEAST_HIDDEN: Final = 8.0


class Loss(NamedTuple):
    """Mean and standard deviation of the loss, L/h."""

    mean_lph: float
    sd_lph: float


class LossFilter(msgspec.Struct):
    """Distribution over (trust, loss) as it stood before the hours that may still be put right.

    ``unit_lph`` is the width of a cell: 1 L/h for a quarter of 30 households.
    """

    unit_lph: float
    belief: list[list[float]] = []

    def advance(self, hours: Hours, settled: int, noise_lph: float) -> Loss:
        """Carry the distribution through the hours and return the loss now.

        What it is after the first ``settled`` hours, which will not be put right any more, becomes the new start.
        """
        likelihood = self._likelihood(hours, noise_lph)
        belief = np.array(self.belief) if self.belief else self._first()
        for index in range(likelihood.shape[1]):
            if index == settled:
                self.belief = belief.tolist()
            belief = _step(belief) * likelihood[:, index, :]
            belief /= belief.sum()
        if settled >= likelihood.shape[1]:
            self.belief = belief.tolist()
        cells = belief.sum(axis=0)
        mean = float((cells * _CELLS).sum())
        sd = float(np.sqrt((cells * (_CELLS - mean) ** 2).sum() + 1.0 / 12.0))
        return Loss(mean * self.unit_lph, sd * self.unit_lph)

    def _first(self) -> Floats:
        cells = np.exp(-0.5 * ((_CELLS - 10.0) / 15.0) ** 2)
        return _TRUST_WEIGHT[:, None] * (cells / cells.sum())[None, :]

    def _likelihood(self, hours: Hours, noise_lph: float) -> Floats:
        """Return the likelihood of each hour, shape (trust, hour, cell), scaled to at most 1."""
        residual = hours.residual_lph / self.unit_lph
        spread = np.sqrt(noise_lph**2 + hours.variance)[:, None] / self.unit_lph
        off = np.where(np.isfinite(residual), residual, 0.0)[:, None] - _CELLS[None, :]
        plain = np.exp(-0.5 * (off / spread) ** 2) / (spread * np.sqrt(2.0 * np.pi))
        size = np.maximum(hours.hidden_lph / self.unit_lph, _LEAST_HIDDEN)[:, None]
        more = (
            np.exp(-np.maximum(off, 0.0) / size)
            / size
            / (1.0 + np.exp(np.clip(-1.7 * off / spread, -50.0, 50.0)))
        )
        clean = hours.clean[None, :, None] ** _TRUST[:, None, None]
        mixed = (1.0 - _STRANGER) * (clean * plain + (1.0 - clean) * more) + _STRANGER / len(_CELLS)
        weight = np.where(np.isfinite(residual), _TEMPER + (1.0 - _TEMPER) * hours.clean, 0.0)
        logarithm = np.log(mixed) * weight[None, :, None]
        return np.exp(logarithm - logarithm.max(axis=(0, 2), keepdims=True))


def _step(belief: Floats) -> Floats:
    """Let an hour pass: the loss may wander or change, and so may the trust in the sub-meters' habits."""
    out = belief * (1.0 - 2.0 * _WANDER - _CHANGE)
    out[:, 1:] += _WANDER * belief[:, :-1]
    out[:, :-1] += _WANDER * belief[:, 1:]
    out += _CHANGE * belief.sum(axis=1, keepdims=True) * _CHANGE_SIZE
    return out * (1.0 - _TRUST_CHANGES) + _TRUST_CHANGES * _TRUST_WEIGHT[:, None] * out.sum(
        axis=0, keepdims=True
    )
