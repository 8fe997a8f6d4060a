"""What the process that owns a DuckDB file keeps in memory about it: series, newest readings, dirty hours.

All of it can be read from the file again; it changes only after the commit that it follows from.
"""

from __future__ import annotations

import threading
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, Literal

import numpy as np

Mark = tuple[Literal["noise", "water"], int, int]
"""A dirty hour: kind, source number, the hour's start in seconds since 1970."""

NONE_YET: Final = np.iinfo(np.int64).min
"""Time of the newest reading of a series that has none."""


class Sources:
    """The numbers of the series: (site, source) to a small integer and back."""

    def __init__(self, rows: Iterable[tuple[int, str, str]] = ()) -> None:
        """Take (number, site, name) as stored; numbers count from 0 without holes."""
        self.names: list[tuple[str, str]] = [(site, name) for _, site, name in sorted(rows)]
        self._numbers = {name: number for number, name in enumerate(self.names)}

    def __len__(self) -> int:
        return len(self.names)

    def find(self, site: str, source: str) -> int | None:
        """Return a series' number, or ``None`` when nothing of it was ever stored."""
        return self._numbers.get((site, source))

    def select(self, site: str | None, source: str | None = None) -> list[int] | None:
        """Return the numbers of a site, of a source, or of both; ``None`` means every one."""
        if site is None and source is None:
            return None
        return [
            number
            for number, (its_site, name) in enumerate(self.names)
            if (site is None or its_site == site) and (source is None or name == source)
        ]

    def of_sites(self, sites: Collection[str] | None) -> frozenset[int] | None:
        """Return the numbers of all series of some sites; ``None`` means every one."""
        if sites is None:
            return None
        return frozenset(number for number, (site, _) in enumerate(self.names) if site in sites)

    def number(self, names: Sequence[tuple[str, str]], new: dict[tuple[str, str], int]) -> np.ndarray:
        """Return the number of each name; names not seen before get the next numbers and are put into ``new``."""
        known = self._numbers
        numbers = np.empty(len(names), dtype=np.int32)
        for i, name in enumerate(names):
            number = known.get(name)
            if number is None:
                number = new.setdefault(name, len(self.names) + len(new))
            numbers[i] = number
        return numbers

    def add(self, new: Mapping[tuple[str, str], int]) -> None:
        """Take in what :meth:`number` found, once it is committed."""
        for name, number in new.items():
            assert number == len(self.names)
            self.names.append(name)
            self._numbers[name] = number


class Newest:
    """The newest reading of every series of one family: its time and some of its columns, by source number."""

    def __init__(self, columns: Mapping[str, type]) -> None:
        self.t = np.full(0, NONE_YET, dtype=np.int64)
        self._dtypes = dict(columns)
        self.values = {key: np.zeros(0, dtype=dtype) for key, dtype in columns.items()}

    def times(self, numbers: np.ndarray) -> np.ndarray:
        """Return the newest time of each number, ``NONE_YET`` where there is none."""
        self._reach(numbers)
        return self.t[numbers]

    def update(self, numbers: np.ndarray, t: np.ndarray, columns: Mapping[str, np.ndarray]) -> None:
        """Take in stored rows, in any order."""
        if not len(numbers):
            return
        self._reach(numbers)
        order = np.lexsort((t, numbers))
        last = np.append(numbers[order][1:] != numbers[order][:-1], True)
        chosen = order[last]
        chosen = chosen[t[chosen] > self.t[numbers[chosen]]]
        where = numbers[chosen]
        self.t[where] = t[chosen]
        for key, held in self.values.items():
            held[where] = np.ma.getdata(columns[key])[chosen]

    def present(self, among: Sequence[int] | None) -> list[int]:
        """Return the numbers that have a reading, of those in ``among`` (``None``: of all)."""
        if among is None:
            return np.flatnonzero(self.t != NONE_YET).tolist()
        return [number for number in among if number < len(self.t) and self.t[number] != NONE_YET]

    def _reach(self, numbers: np.ndarray) -> None:
        needed = int(numbers.max()) + 1 if len(numbers) else 0
        if needed <= len(self.t):
            return
        room = max(needed, 2 * len(self.t), 64)
        self.t = np.append(self.t, np.full(room - len(self.t), NONE_YET, dtype=np.int64))
        for key, held in self.values.items():
            self.values[key] = np.append(held, np.zeros(room - len(held), dtype=self._dtypes[key]))


class DirtyHours:
    """Hours that got data since their last rollup.

    Each mark bears the number of the write that last touched its hour. :meth:`take` remembers those numbers, so
    that data which arrives between the computing of an hour and the storing of its rollup leaves the mark in place.
    """

    def __init__(self, marks: Iterable[Mark] = ()) -> None:
        self._touched: dict[Mark, int] = dict.fromkeys(marks, 0)
        self._taken: dict[Mark, int] = {}
        self._writes = 0

    def __contains__(self, mark: object) -> bool:
        return mark in self._touched

    def touch(self, marks: Iterable[Mark]) -> None:
        """Mark hours that a committed write has touched."""
        self._writes += 1
        for mark in marks:
            self._touched[mark] = self._writes

    def touch_at(self, mark: Mark, write: int) -> None:
        """Mark an hour as touched by the write of a number that others count."""
        self._touched[mark] = max(write, self._touched.get(mark, write))

    def touched_by(self, mark: Mark) -> int | None:
        """Return the number of the write that last touched a marked hour."""
        return self._touched.get(mark)

    def oldest_write(self) -> int | None:
        """Return the lowest number of a write whose hour is still marked."""
        return min(self._touched.values(), default=None)

    def take(self, before_s: int, limit: int, sources: Collection[int] | None = None) -> list[Mark]:
        """Return marks of hours that end at or before ``before_s``, oldest first; of ``sources`` where given."""
        due = [
            mark
            for mark in self._touched
            if mark[2] + 3600 <= before_s and (sources is None or mark[1] in sources)
        ]
        due.sort(key=lambda mark: (mark[2], mark[0], mark[1]))
        for mark in due[:limit]:
            self._taken[mark] = self._touched[mark]
        return due[:limit]

    def open(self) -> list[Mark]:
        """Return all marks, without taking them."""
        return list(self._touched)

    def settled(self, marks: Iterable[Mark]) -> list[Mark]:
        """Return those of ``marks`` that nothing has touched since they were taken (or that never were)."""
        return [
            mark
            for mark in marks
            if mark in self._touched and self._taken.get(mark, self._touched[mark]) == self._touched[mark]
        ]

    def clear(self, marks: Iterable[Mark]) -> None:
        """Forget marks whose rollup is committed."""
        for mark in marks:
            self._touched.pop(mark, None)
            self._taken.pop(mark, None)


_NEWEST_COLUMNS: Final[dict[str, dict[str, type]]] = {
    "noise": {"laeq_db": np.float32, "lafmax_db": np.float32, "flags": np.int16},
    "spectrum": {},
    "water": {
        "volume_steps": np.int64, "step_ml": np.int32, "flow_m3h": np.float64, "reverse_steps": np.int64,
        "serial": np.object_, "flags": np.int32,
    },
    "event": {},
}  # fmt: skip


@dataclass(slots=True)
class Memory:
    """All that is kept; ``lock`` is held for the short time of reading or changing it, never during I/O."""

    sources: Sources = field(default_factory=Sources)
    newest: dict[str, Newest] = field(
        default_factory=lambda: {family: Newest(columns) for family, columns in _NEWEST_COLUMNS.items()}
    )
    dirty: DirtyHours = field(default_factory=DirtyHours)
    lock: threading.RLock = field(default_factory=threading.RLock)
