"""Sequences of small integers that are kept packed until somebody looks: a year of hours has a million bins."""

from __future__ import annotations

import sys
from abc import abstractmethod
from array import array
from collections.abc import Iterable, Iterator, Sequence
from typing import overload


class PackedSequence(Sequence[int]):
    """An immutable sequence of integers over packed bytes; equal to any sequence of the same numbers."""

    __slots__ = ("_data",)

    def __init__(self, data: bytes = b"") -> None:
        self._data = data

    @abstractmethod
    def tolist(self) -> list[int]:
        """Return all numbers."""

    def __len__(self) -> int:
        return len(self.tolist())

    @overload
    def __getitem__(self, index: int) -> int: ...
    @overload
    def __getitem__(self, index: slice) -> list[int]: ...
    def __getitem__(self, index: int | slice) -> int | list[int]:
        return self.tolist()[index]

    def __iter__(self) -> Iterator[int]:
        return iter(self.tolist())

    def __bool__(self) -> bool:
        return bool(self._data)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Sequence) and self.tolist() == list(other)

    def __hash__(self) -> int:
        return hash(tuple(self.tolist()))

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.tolist()})"


class PackedInts(PackedSequence):
    """32-bit integers over little-endian bytes."""

    __slots__ = ()

    @classmethod
    def of(cls, values: Iterable[int]) -> PackedInts:
        """Pack integers. Raises ``OverflowError`` for one beyond 32 bits."""
        return (
            values if isinstance(values, PackedInts) else cls(_in_little_endian(array("i", values)).tobytes())
        )

    @property
    def data(self) -> bytes:
        """The packed bytes, four a number."""
        return self._data

    def tolist(self) -> list[int]:
        """Return all numbers."""
        unpacked = array("i")
        unpacked.frombytes(self._data)
        return _in_little_endian(unpacked).tolist()

    def __len__(self) -> int:
        return len(self._data) // 4


def _in_little_endian(values: array[int]) -> array[int]:
    if sys.byteorder == "big":
        values.byteswap()
    return values
