"""Recursive filters as matrix products: exact, streaming, and fast with NumPy alone.

A filter that goes from sample to sample waits for each result before it can make the next. Here a stretch of
samples is cut into blocks of :data:`BLOCK`, and a filter with the row of states *s* is written as

    y[block] = x[block] G + s O        s[next block] = s[block] M + x[block] B

with matrices that follow from its sections. The first line is one matrix product for all blocks together. The second
runs over blocks; it is itself cut into frames, for which the same holds, until one is left (:class:`_Scan`).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np

from edge.sound.curves import FloatArray

BLOCK: Final = 32
"""Samples in a block."""
_FRAME: Final = 8
_FRAME_OF_ONE: Final = 40
"""Blocks in a frame, frames in a frame of frames, and so on; more of them where there is one state only."""
_PORTION: Final = 1 << 18
"""Multiplications in one call of the matrix library: so few that it starts no threads, which cost more than they
bring here."""


@dataclass(frozen=True, slots=True)
class StateSpace:
    """A filter with one input and one output: s' = s A + x b, y = s c + x d, with s a row."""

    a: FloatArray
    b: FloatArray
    c: FloatArray
    d: float

    @classmethod
    def of_sections(cls, sections: FloatArray) -> StateSpace:
        """Return second-order sections (n, 6) in series, transposed direct form 2."""
        a, b, c, d = np.zeros((0, 0)), np.zeros(0), np.zeros(0), 1.0
        for b0, b1, b2, _, a1, a2 in sections:
            inner = np.array([[-a1, -a2], [1.0, 0.0]])
            entry = np.array([b1 - a1 * b0, b2 - a2 * b0])
            a = np.block([[a, np.outer(c, entry)], [np.zeros((2, len(a))), inner]])
            b = np.concatenate([b, d * entry])
            c = np.concatenate([b0 * c, [1.0, 0.0]])
            d *= b0
        return cls(a, b, c, float(d))

    @classmethod
    def smoothing(cls, decay: float) -> StateSpace:
        """Return the exponential average y' = decay*y + (1 - decay)*x; its state is its last output."""
        one = np.array([1.0])
        return cls(np.array([[decay]]), one * (1 - decay), one * decay, 1 - decay)

    @property
    def order(self) -> int:
        """Number of states."""
        return len(self.b)

    def powers(self, count: int) -> list[FloatArray]:
        """Return A to the powers 0 to ``count``."""
        return _powers(self.a, count)

    def toeplitz(self, block: int) -> FloatArray:
        """Return G: what a block of samples gives to its own outputs, (block, block)."""
        state, response = self.b, [self.d]
        for _ in range(block - 1):
            response.append(float(state @ self.c))
            state = state @ self.a
        matrix = np.zeros((block, block))
        for i in range(block):
            matrix[i, i:] = response[: block - i]
        return matrix

    def observed(self, block: int) -> FloatArray:
        """Return O: what the state at a block's start gives to its outputs, (order, block)."""
        return np.stack([power @ self.c for power in self.powers(block - 1)], axis=1)

    def at_rest(self, value: float) -> FloatArray:
        """Return the state after a constant input."""
        settled = np.linalg.solve((np.eye(self.order) - self.a).T, self.b)
        return np.asarray(value * settled, dtype=np.float64)


class Track:
    """The state of one filter from block to block."""

    def __init__(self, system: StateSpace, block: int = BLOCK) -> None:
        self._powers = system.powers(block)
        self._block = block
        self.from_input = np.array([system.b @ self._powers[block - 1 - j] for j in range(block)])
        self._scan = _Scan(self._powers[block], _FRAME if system.order > 1 else _FRAME_OF_ONE)
        self.state = np.zeros(system.order)

    def through(self, blocks: FloatArray) -> FloatArray:
        """Go through whole blocks (k, block); return the states before, between and after them, (k + 1, order)."""
        states = self._scan.run(product(blocks, self.from_input), self.state)
        self.state = states[-1].copy()
        return states

    def through_rest(self, samples: FloatArray) -> None:
        """Go through fewer samples than a block."""
        count = len(samples)
        self.state = self.state @ self._powers[count] + samples @ self.from_input[self._block - count :]


class _Scan:
    """The recursion s[k + 1] = s[k] M + u[k] over many k at once.

    A row of ``frames`` is [inputs of a frame | state before it]; one matrix product gives the states before each of
    the inputs. The states before the frames follow from the same recursion, a level up.
    """

    def __init__(self, matrix: FloatArray, frame: int) -> None:
        self._order = len(matrix)
        self._frame = frame
        self._next = matrix
        self._levels: list[tuple[FloatArray, FloatArray, FloatArray]] = []

    def run(self, inputs: FloatArray, state: FloatArray, level: int = 0) -> FloatArray:
        """Return the states before the first input and after each of the inputs (k, order): (k + 1, order)."""
        count, order = inputs.shape
        width = self._frame * order
        to_states, to_end, across = self._level(level)
        if count <= self._frame:
            flat = np.concatenate([inputs.reshape(-1), np.zeros(width - count * order), state])
            states = np.concatenate([flat @ to_states, flat[:width] @ to_end + state @ across])
            return states.reshape(-1, order)[: count + 1]
        frames = -(-count // self._frame)
        rows = np.zeros((frames, width + order))
        whole = count // self._frame
        rows[:whole, :width] = inputs[: whole * self._frame].reshape(whole, width)
        if whole < frames:
            rows[whole, : (count - whole * self._frame) * order] = inputs[whole * self._frame :].reshape(-1)
        before = self.run(product(rows[:, :width], to_end), state, level + 1)
        rows[:, width:] = before[:-1]
        states = np.empty((frames * self._frame + 1, order))
        product(rows, to_states, out=states[:-1].reshape(frames, width))
        states[-1] = before[-1]
        return states[: count + 1]

    def _level(self, level: int) -> tuple[FloatArray, FloatArray, FloatArray]:
        """Return what a row gives to the states in it, its inputs to the state after it, a state to that after it."""
        while len(self._levels) <= level:
            order, frame = self._order, self._frame
            powers = _powers(self._next, frame)
            to_states = np.zeros(((frame + 1) * order, frame * order))
            for j in range(frame):
                column = slice(j * order, (j + 1) * order)
                to_states[frame * order :, column] = powers[j]
                for i in range(j):
                    to_states[i * order : (i + 1) * order, column] = powers[j - 1 - i]
            to_end = np.vstack([powers[frame - 1 - i] for i in range(frame)])
            self._levels.append((to_states, to_end, powers[frame]))
            self._next = powers[frame]
        return self._levels[level]


class Scratch:
    """Room for outputs, kept since to get memory anew costs more than to filter; filters may share one."""

    def __init__(self) -> None:
        self._rooms = (np.empty(0), np.empty(0))

    def rooms(self, count: int) -> tuple[FloatArray, FloatArray]:
        """Return two arrays of ``count`` numbers with whatever is in them."""
        if count > len(self._rooms[0]):
            self._rooms = (aligned(count), aligned(count))
        return self._rooms[0][:count], self._rooms[1][:count]


class BlockFilter:
    """Second-order sections on a stream. Of the output it makes only every ``keep``-th sample, from the first on."""

    def __init__(self, sections: FloatArray, *, keep: int = 1, scratch: Scratch | None = None) -> None:
        if BLOCK % keep:
            raise ValueError(f"keep = {keep} does not divide a block of {BLOCK}")
        self._system = StateSpace.of_sections(sections)
        self._track = Track(self._system)
        self._keep = keep
        self._response = np.ascontiguousarray(self._system.toeplitz(BLOCK)[:, ::keep])
        self._from_state = np.ascontiguousarray(self._system.observed(BLOCK)[:, ::keep])
        self._scratch = scratch or Scratch()

    def preset(self, value: float) -> float:
        """Forget the past and take it that the input has been constant. Return the output that it has led to."""
        self._track.state = self._system.at_rest(value)
        return float(self._track.state @ self._system.c + value * self._system.d)

    def process(self, samples: FloatArray) -> FloatArray:
        """Return the output for any number of samples (a multiple of ``keep``).

        The array is room of the filter's scratch and holds until that is used again.
        """
        keep, total = self._keep, len(samples)
        if total % keep:
            raise ValueError(f"{total} samples are not a multiple of {keep}")
        count, width = total // BLOCK, BLOCK // keep
        whole = count * BLOCK
        output, part = self._scratch.rooms(total // keep)
        if count:
            states = self._track.through(samples[:whole].reshape(count, BLOCK))
            into = output[: count * width].reshape(count, width)
            product(samples[:whole].reshape(count, BLOCK), self._response, out=into)
            into += product(states[:-1], self._from_state, out=part[: count * width].reshape(count, width))
        rest = samples[whole:]
        if len(rest):
            kept = len(rest) // keep
            output[count * width :] = rest @ self._response[: len(rest), :kept]
            output[count * width :] += self._track.state @ self._from_state[:, :kept]
            self._track.through_rest(rest)
        return output


def product(left: FloatArray, right: FloatArray, out: FloatArray | None = None) -> FloatArray:
    """Multiply two matrices in portions of rows (see :data:`_PORTION`)."""
    rows, (inner, columns) = len(left), right.shape
    if out is None:
        out = np.empty((rows, columns))
    portion = max(8, _PORTION // (inner * columns))
    if rows <= portion:
        return np.matmul(left, right, out=out)
    whole = rows - rows % portion
    np.matmul(left[:whole].reshape(-1, portion, inner), right, out=out[:whole].reshape(-1, portion, columns))
    if whole < rows:
        np.matmul(left[whole:], right, out=out[whole:])
    return out


def sum_of_squares(numbers: FloatArray) -> float:
    """Return the sum of squares without the matrix library, which would start threads for it."""
    return float(np.einsum("i,i->", numbers, numbers))


def aligned(count: int) -> FloatArray:
    """Return room for numbers that begins at a cache line, where vector instructions are at their fastest."""
    room = np.empty(count + 7)
    first = -(room.ctypes.data // 8) % 8
    return room[first : first + count]


def _powers(matrix: FloatArray, count: int) -> list[FloatArray]:
    result = [np.eye(len(matrix))]
    for _ in range(count):
        result.append(result[-1] @ matrix)
    return result
