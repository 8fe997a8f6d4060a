"""The time weightings F and S: the exponential average of the squared sound, with its extremes at every sample."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from edge.sound.block_filter import BLOCK, StateSpace, Track, product
from edge.sound.curves import FloatArray

IntArray = npt.NDArray[np.int64]


class Smoothing:
    """An exponential average on a stream of squares (IEC 61672-1:2013, 5.8)."""

    def __init__(self, time_constant_s: float, rate_hz: int) -> None:
        self._decay = float(np.exp(-1 / (time_constant_s * rate_hz)))
        system = StateSpace.smoothing(self._decay)
        self._track = Track(system)
        self._response = system.toeplitz(BLOCK)
        self._from_state = system.observed(BLOCK)

    def reset(self) -> None:
        """Start at nothing."""
        self._track.state = np.zeros(1)

    def process(self, squares: FloatArray) -> Smoothed:
        """Take a stretch of squares in; it must not change while the result is in use."""
        count = len(squares) // BLOCK
        blocks = squares[: count * BLOCK].reshape(count, BLOCK)
        states = self._track.through(blocks)[:, 0] if count else self._track.state.copy()
        rest = squares[count * BLOCK :]
        tail = np.empty(0)
        if len(rest):
            length = len(rest)
            tail = rest @ self._response[:length, :length] + self._track.state @ self._from_state[:, :length]
            self._track.through_rest(rest)
        return Smoothed(blocks, states, tail, self._decay, self._response, self._from_state[0])


class Smoothed:
    """The average over a stretch. Its value at every sample is known, but computed only where it is asked for."""

    def __init__(
        self, blocks: FloatArray, states: FloatArray, tail: FloatArray, decay: float, response: FloatArray,
        from_state: FloatArray,
    ) -> None:  # fmt: skip
        self._blocks = blocks
        self._states = states
        self._tail = tail
        self._least_within = decay ** (BLOCK - 1) * (1 - 1e-12)
        self._most_within = decay**-BLOCK * (1 + 1e-12)
        self._response = response
        self._from_state = from_state

    @property
    def last(self) -> float:
        """Value at the last sample."""
        return float(self._tail[-1] if len(self._tail) else self._states[-1])

    def values(self) -> FloatArray:
        """Return the value at every sample."""
        return np.concatenate([self._within(slice(None)).reshape(-1), self._tail])

    @property
    def at_block_ends(self) -> FloatArray:
        """Return the value at the last sample of each whole block."""
        return self._states[1:]

    def extremes(self) -> tuple[float, float]:
        """Return the highest and the lowest value at any sample.

        From a value within a block, the average falls to the block's end by the decay of a block at most. So only
        blocks whose end lies within that decay of the highest end can hold a higher value, and likewise for the
        lowest; these alone are looked into.
        """
        top, low, states = -np.inf, np.inf, self._states
        if len(states) > 1:
            ends = states[1:]
            top, low = float(ends.max()), float(ends.min())
            high = np.flatnonzero(ends >= top * self._least_within)
            deep = np.flatnonzero(states[:-1] <= low * self._most_within)
            near = self._within(np.concatenate([high, deep]))
            top, low = max(top, float(near.max())), min(low, float(near.min()))
        if len(self._tail):
            top, low = max(top, float(self._tail.max())), min(low, float(self._tail.min()))
        return top, low

    def _within(self, which: slice | IntArray) -> FloatArray:
        chosen = self._blocks[which]
        return product(chosen, self._response) + self._states[:-1][which][:, None] * self._from_state
