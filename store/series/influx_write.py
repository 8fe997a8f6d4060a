"""Writing readings into InfluxDB: each identity once, a bad line takes no neighbour along.

InfluxDB itself lets a second copy of a point overwrite the first. Here the first stays: what is later than the newest
of its series is new, the rest is looked up before it is written. Of several processes that write one series each
knows only its own newest; a copy then overwrites its equal, which changes nothing.
"""

# ruff: noqa: S608  InfluxQL is put together from this package's own names and from quoted texts

from __future__ import annotations

import re
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Final

import numpy as np

from store.series import influx_lines as lines
from store.series.columns import Batch, Family, split
from store.series.copies import first_copies
from store.series.influx_http import InfluxHttp, Refused
from store.series.influx_ql import ask, quoted, where
from store.series.interface import Entry, StoreUnavailable, WriteReport
from store.series.memory import NONE_YET, Mark, Memory

_HOUR_S: Final = 3600
_HOUR_US: Final = 3_600_000_000
_LINES_AT_A_TIME: Final = 5_000
_LEARN_ALL_ABOVE: Final = 200
_MARKS_KEPT: Final = 200_000
_NEAR_THE_END_NS: Final = 10 * 1_000_000_000
_AT_ITS_LIMIT: Final = re.compile(r"(max-[a-z-]+) limit exceeded")
"""A server that is full of series refuses a reading for no fault of its own: it is kept until somebody makes room."""
_TIME: Final = {"noise": ("t_s", 1_000_000_000), "spectrum": ("t_s", 1_000_000_000),
                "water": ("t_us", 1000), "event": ("t_us", 1000)}  # fmt: skip
_ENCODERS: Final = {
    "noise": lines.seconds,
    "spectrum": lines.minutes,
    "water": lines.water,
    "event": lines.events,
}


@dataclass(slots=True)
class _Load:
    """The lines for one database with the entry that each came from, and what is remembered once they are written."""

    lines: list[bytes] = field(default_factory=list)
    entries: list[int] = field(default_factory=list)
    marks: set[Mark] = field(default_factory=set)
    families: list[tuple[str, Family, np.ndarray, np.ndarray]] = field(default_factory=list)
    """Kind, family, source numbers of all its rows, and the rows that are written."""


class InfluxWriter:
    """Writes batches; one at a time."""

    def __init__(self, http: InfluxHttp, wall_ns: Callable[[], int]) -> None:
        """Write through ``http``; ``wall_ns`` tells the time in nanoseconds since 1970."""
        self._http = http
        self._wall_ns = wall_ns
        self._memory = Memory()
        self._learned: dict[str, set[int]] = {kind: set() for kind in _TIME}
        self._marked: dict[Mark, None] = {}
        self._writing = threading.Lock()

    def write(self, entries: Sequence[Entry]) -> WriteReport:
        """Commit a batch; see :class:`store.series.interface.SeriesStore`."""
        batch = split(entries)
        with self._writing:
            loads = self._loads(entries, batch)
            rejected, retry, committed = list(batch.rejected), [], 0
            unavailable: StoreUnavailable | None = None
            for database, load in loads.items():
                try:
                    for index, reason in self._send_load(database, load):
                        (retry if _AT_ITS_LIMIT.search(reason) else rejected).append((index, reason))
                    committed += 1
                except StoreUnavailable as error:
                    unavailable = error
                    retry += [(index, str(error)) for index in load.entries]
        if unavailable is not None and not committed:
            raise unavailable
        accepted = len(entries) - len(rejected) - len(retry)
        return WriteReport(accepted, tuple(sorted(rejected)), tuple(sorted(retry)))

    # -- what is new -------------------------------------------------------------------------------------------

    def _loads(self, entries: Sequence[Entry], batch: Batch) -> dict[str, _Load]:
        loads: dict[str, _Load] = {}
        for kind, family in batch.families.items():
            load = loads.setdefault(self._database(kind), _Load())
            numbers = self._number(family)
            self._learn(kind, numbers)
            rows, copies = self._new_rows(kind, family, numbers, load)
            load.lines += _ENCODERS[kind](entries, family, rows.tolist())
            load.entries += family.index[rows].tolist()
            load.families.append((kind, family, numbers, rows))
            if kind in ("noise", "spectrum"):
                load.marks |= self._noise_marks(numbers[rows], family.columns["t_s"][rows], new=True)
                load.marks |= self._noise_marks(numbers[copies], family.columns["t_s"][copies], new=False)
        return {database: load for database, load in loads.items() if load.lines or load.marks}

    def _database(self, kind: str) -> str:
        address = self._http.address
        return {"noise": address.seconds, "event": address.lasting}.get(kind, address.minutes)

    def _number(self, family: Family) -> np.ndarray:
        new: dict[tuple[str, str], int] = {}
        numbers = self._memory.sources.number(family.names, new)
        self._memory.sources.add(new)
        return numbers

    def _learn(self, kind: str, numbers: np.ndarray) -> None:
        """Ask for the newest time of series that this process has not met."""
        learned = self._learned[kind]
        unknown = [number for number in np.unique(numbers).tolist() if number not in learned]
        if not unknown:
            return
        names = self._memory.sources.names
        asked = [where(site=names[n][0], source=names[n][1]) for n in unknown]
        if len(unknown) > _LEARN_ALL_ABOVE:
            asked = [""]
        statements = [
            f"SELECT last(seq) FROM {measurement}{one} GROUP BY site, source"
            for one in asked
            for measurement in lines.MEASUREMENTS[kind]
        ]
        per = _TIME[kind][1]
        for answer in ask(self._http, self._database(kind), statements):
            for row in answer:
                number = self._memory.sources.find(row.tags["site"], row.tags["source"])
                if number is not None:
                    t = np.array([row.values[0][0] // per])
                    self._memory.newest[kind].update(np.array([number]), t, _no_values(kind))
        learned.update(unknown)

    def _new_rows(
        self, kind: str, family: Family, numbers: np.ndarray, load: _Load
    ) -> tuple[np.ndarray, np.ndarray]:
        """Return the rows to be written, sorted by series and time, and those that the server has."""
        t = family.columns[_TIME[kind][0]]
        identity = [family.columns["kind"], family.columns["meter"]] if kind == "event" else []
        order = first_copies(numbers, t, identity)
        newest = self._memory.newest[kind].times(numbers[order])
        unsure = order[t[order] <= newest]
        known: set[tuple[object, ...]] = set()
        times: dict[int, list[int]] = {}
        if len(unsure):
            known, times = self._look_up(kind, numbers, t, unsure)
        fresh = np.ones(len(order), dtype=bool)
        if known:
            fresh[:] = [_key(kind, family, numbers, t, row) not in known for row in order.tolist()]
        if kind == "water":
            load.marks |= self._water_marks(numbers, t, order[fresh], times)
            load.marks |= {
                mark
                for row in order[~fresh].tolist()
                for mark in _water_hours(int(numbers[row]), int(t[row]), int(t[row]))
                if mark not in self._marked
            }
        return order[fresh], order[~fresh]

    def _look_up(
        self, kind: str, numbers: np.ndarray, t: np.ndarray, unsure: np.ndarray
    ) -> tuple[set[tuple[object, ...]], dict[int, list[int]]]:
        """Return the identities in the ranges of the unsure rows, and for water the times around them by series."""
        per = _TIME[kind][1]
        names = self._memory.sources.names
        wanted: list[tuple[int, str]] = []
        for number in np.unique(numbers[unsure]).tolist():
            of_it = t[unsure[numbers[unsure] == number]]
            low, high = int(of_it.min()) * per, int(of_it.max()) * per
            site, source = names[number]
            wanted.append((number, where(site=site, source=source, start_ns=low, end_ns=high + 1)))
            if kind == "water":
                name = f"site = {quoted(site)} AND source = {quoted(source)}"
                wanted.append((number, f" WHERE {name} AND time < {low} ORDER BY time DESC LIMIT 1"))
                wanted.append((number, f" WHERE {name} AND time > {high} ORDER BY time ASC LIMIT 1"))
        if kind == "noise":
            wanted = self._with_points(kind, wanted)
        group = " GROUP BY kind, meter" if kind == "event" else ""
        pairs = [(number, m, clause) for number, clause in wanted for m in lines.MEASUREMENTS[kind]]
        found = ask(
            self._http,
            self._database(kind),
            [f"SELECT seq FROM {m}{clause}{group}" for _, m, clause in pairs],
        )
        known: set[tuple[object, ...]] = set()
        times: dict[int, list[int]] = {}
        for (number, _, _), answer in zip(pairs, found, strict=True):
            for series in answer:
                more = (series.tags["kind"], lines.meter_of(series.tags["meter"])) if kind == "event" else ()
                at = [row[0] // per for row in series.values]
                known.update((number, one, *more) for one in at)
                times.setdefault(number, []).extend(at)
        return known, times

    def _with_points(self, kind: str, wanted: list[tuple[int, str]]) -> list[tuple[int, str]]:
        """Drop ranges without a point: a backlog mostly fills a hole."""
        statements = [
            f"SELECT count(seq) FROM {m}{clause}" for _, clause in wanted for m in lines.MEASUREMENTS[kind]
        ]
        answers = ask(self._http, self._database(kind), statements)
        each = len(lines.MEASUREMENTS[kind])
        return [one for n, one in enumerate(wanted) if any(answers[n * each : (n + 1) * each])]

    # -- marks -------------------------------------------------------------------------------------------------

    def _noise_marks(self, numbers: np.ndarray, t: np.ndarray, *, new: bool) -> set[Mark]:
        hours = t // _HOUR_S * _HOUR_S
        marks: set[Mark] = {
            ("noise", number, hour)
            for number, hour in set(zip(numbers.tolist(), hours.tolist(), strict=True))
        }
        if not new:  # a copy: mark it only where this process cannot know that its first writing did
            return {mark for mark in marks if mark not in self._marked}
        now_ns = self._wall_ns()
        # Until shortly before an hour is over nobody can have rolled it up: one mark serves for all of its batches.
        return {
            mark
            for mark in marks
            if mark not in self._marked or now_ns > (mark[2] + _HOUR_S) * 1_000_000_000 - _NEAR_THE_END_NS
        }

    def _water_marks(
        self, numbers: np.ndarray, t: np.ndarray, rows: np.ndarray, times: dict[int, list[int]]
    ) -> set[Mark]:
        """Return the hours whose volume depends on the new rows: from the reading before to the one after each."""
        marks: set[Mark] = set()
        for number in np.unique(numbers[rows]).tolist():
            fresh = t[rows[numbers[rows] == number]]
            newest = int(self._memory.newest["water"].times(np.array([number]))[0])
            there = [*times.get(number, []), *([] if newest == NONE_YET else [newest])]
            every = np.unique(np.concatenate([fresh, np.array(there, dtype=np.int64)]))
            at = np.searchsorted(every, fresh)
            before = every[np.maximum(at - 1, 0)]
            after = every[np.minimum(at + 1, len(every) - 1)]
            for start, own, end in zip(before.tolist(), fresh.tolist(), after.tolist(), strict=True):
                marks.update(_water_hours(number, min(start, own), end))
        return marks

    def _mark_lines(self, marks: set[Mark]) -> list[bytes]:
        names = self._memory.sources.names
        ordered = sorted(marks, key=lambda mark: (mark[2], mark[1]))
        return lines.touched(((mark, *names[mark[1]]) for mark in ordered), self._wall_ns())

    # -- sending -----------------------------------------------------------------------------------------------

    def _send_load(self, database: str, load: _Load) -> list[tuple[int, str]]:
        """Write a load, then its marks; return the entries that the server refuses."""
        for mark in load.marks:
            self._marked.pop(mark, None)
        marks = self._mark_lines(load.marks)
        refused: dict[int, str] = {}
        for begin in range(0, max(len(load.lines), 1), _LINES_AT_A_TIME):
            piece = load.lines[begin : begin + _LINES_AT_A_TIME]
            last = begin + _LINES_AT_A_TIME >= len(load.lines)
            self._send(database, piece, begin, marks if last else [], refused)
        if refused:
            self._drop_stored(load, refused)
        self._remember(load, {load.entries[line] for line in refused})
        return [(load.entries[line], reason) for line, reason in refused.items()]

    def _send(
        self,
        database: str,
        piece: Sequence[bytes],
        begin: int,
        marks: Sequence[bytes],
        refused: dict[int, str],
    ) -> None:
        """Write lines, halving them where the server refuses some, until the bad ones are alone."""
        try:
            self._http.write(database, b"\n".join([*piece, *marks]))
        except Refused as error:
            if marks:
                self._send(database, piece, begin, [], refused)
                unwritten: dict[int, str] = {}
                if len(refused) < begin + len(piece):  # something was stored
                    self._send(database, marks, 0, [], unwritten)
                if unwritten:
                    raise StoreUnavailable(f"the marks of dirty hours were not written: {error}") from error
            elif len(piece) <= 1 or _all_dropped(str(error), len(piece)):
                refused.update((begin + n, f"the server refuses it: {error}") for n in range(len(piece)))
            else:
                first, second = lines.halves(piece)
                self._send(database, first, begin, [], refused)
                self._send(database, second, begin + len(first), [], refused)

    def _drop_stored(self, load: _Load, refused: dict[int, str]) -> None:
        """Take out of ``refused`` what is stored all the same.

        At the border of its retention a server refuses alone what it took along with a newer line of the same shard.
        """
        begin = 0
        for kind, family, numbers, rows in load.families:
            mine = [line for line in refused if begin <= line < begin + len(rows)]
            if mine:
                t = family.columns[_TIME[kind][0]]
                known, _ = self._look_up(kind, numbers, t, rows[[line - begin for line in mine]])
                for line in mine:
                    if _key(kind, family, numbers, t, int(rows[line - begin])) in known:
                        del refused[line]
            begin += len(rows)

    def _remember(self, load: _Load, refused: set[int]) -> None:
        for kind, family, numbers, rows in load.families:
            kept = rows[[index not in refused for index in family.index[rows].tolist()]] if refused else rows
            t = family.columns[_TIME[kind][0]]
            self._memory.newest[kind].update(
                numbers[kept], t[kept], {k: c[kept] for k, c in family.columns.items()}
            )
        self._marked.update(dict.fromkeys(load.marks))
        while len(self._marked) > _MARKS_KEPT:
            del self._marked[next(iter(self._marked))]


def _key(kind: str, family: Family, numbers: np.ndarray, t: np.ndarray, row: int) -> tuple[object, ...]:
    key = (int(numbers[row]), int(t[row]))
    return (*key, family.columns["kind"][row], family.columns["meter"][row]) if kind == "event" else key


def _water_hours(number: int, start_us: int, end_us: int) -> list[Mark]:
    first, last = start_us // _HOUR_US, end_us // _HOUR_US
    return [("water", number, hour * _HOUR_S) for hour in range(first, last + 1)]


def _no_values(kind: str) -> dict[str, np.ndarray]:
    return {key: np.zeros(1, dtype=column.dtype) for key, column in Memory().newest[kind].values.items()}


def _all_dropped(reason: str, count: int) -> bool:
    # Of lines that are too old each is to blame; for any other reason a server may drop good ones along with a bad one.
    dropped = re.search(r"retention policy\b.*dropped=(\d+)", reason)
    return dropped is not None and int(dropped[1]) >= count
