"""Compare what the outboxes promised with what the store has and what the events tell."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from store.series.interface import SeriesStore

_LONG_AGO, _FAR_AHEAD = datetime(2020, 1, 1, tzinfo=UTC), datetime(2100, 1, 1, tzinfo=UTC)
Told = tuple[str, int, int, int]
"""Kind, count, first and last ``seq`` of a drop, as its event tells it."""
_Begun = tuple[dict[int, tuple[str, int]], list[int], list[int]]
"""What a commit adds and removes, and the events in it that tell its drops."""


@dataclass
class Drop:
    """A drop that the journal saw."""

    told: Told
    event_seq: int
    seqs: set[int]
    """What the journal knows to have waited in its range."""
    unsure: int
    """How much more or less that may be: of commits that were cut short and of files that we damaged."""


@dataclass
class Promised:
    """What a journal says was committed and dropped, and what a commit that was cut short may have done."""

    kept: dict[int, tuple[str, int]] = field(default_factory=dict)
    """``seq`` to (kind, t_ms) of every reading that was ever committed."""
    on_disk: set[int] = field(default_factory=set)
    doubtful: set[int] = field(default_factory=set)
    cut_short: int = 0
    """Commits of which the end is not known: the process was killed."""
    damaged: int = 0
    lost: set[int] = field(default_factory=set)
    """What was on disk when we damaged the file."""
    revived_to: int = -1
    """Up to here, what was removed may be there again: the damage took the write-ahead log that said so."""
    drops: list[Drop] = field(default_factory=list)


def read_journal(path: Path) -> Promised:
    """Replay a journal."""
    promised = Promised()
    begun: _Begun | None = None
    for line in path.read_text().splitlines() if path.exists() else ():
        try:
            row = json.loads(line)
        except ValueError:  # the last line of a killed process
            continue
        if row[0] == "begin":
            _doubt(promised, begun)
            begun = ({seq: (kind, t_ms) for seq, kind, t_ms in row[1]}, row[2], [])
        elif row[0] == "tells" and begun is not None:
            begun[2].append(row[1])
        elif row[0] == "undone":
            begun = None
        elif row[0] == "end" and begun is not None:
            _apply(promised, begun[0], begun[1], row[1])
            begun = None
        elif row[0] == "damaged":
            _doubt(promised, begun)
            begun = None
            promised.damaged += 1
            promised.lost |= promised.on_disk | promised.doubtful
            promised.doubtful |= promised.on_disk
            promised.revived_to = max(promised.kept, default=-1)
    _doubt(promised, begun)
    return promised


def _doubt(promised: Promised, begun: _Begun | None) -> None:
    if begun is not None:
        promised.cut_short += 1
        promised.doubtful |= set(begun[0]) | set(begun[1]) | set(begun[2])


def _apply(
    promised: Promised, added: dict[int, tuple[str, int]], removed: list[int], drops: list[list]
) -> None:
    promised.kept |= added
    promised.on_disk |= set(added)
    promised.on_disk -= set(removed)
    for kind, count, first, last, event_seq in drops:
        seqs = {s for s in promised.on_disk if first <= s <= last and promised.kept[s][0] == kind}
        unsure = count if first <= promised.revived_to else sum(first <= s <= last for s in promised.doubtful)
        promised.on_disk -= seqs
        promised.drops.append(Drop((kind, count, first, last), event_seq, seqs, unsure))
    for *_, event_seq in drops:
        promised.kept[event_seq] = ("event", 0)
        promised.on_disk.add(event_seq)


@dataclass
class Verdict:
    """What the comparison found."""

    promised: int = 0
    stored: int = 0
    dropped_told: int = 0
    lost_by_damage: int = 0
    drops: int = 0
    """Drops by the bound that the journals saw."""
    drops_exact: int = 0
    """Those of which the event's count is, to the reading, what the journal had in that range."""
    drops_unsure: int = 0
    """Those whose range holds readings of a commit that was cut short, or of a damaged file: within that doubt."""
    dropped_counted: int = 0
    """The sum of the counts of the drops."""
    damaged: int = 0
    replaced: int = 0
    faults: list[str] = field(default_factory=list)

    def add(self, other: Verdict) -> None:
        for name, value in vars(other).items():
            setattr(self, name, getattr(self, name) + value)


def judge(folder: Path, store: SeriesStore, devices: list[tuple[str, str]]) -> Verdict:
    """Judge every device: each promised reading is in the store once, or told as dropped, or lost by our damage."""
    verdict = Verdict()
    for site, device in devices:
        noise = store.noise_seconds(site, device, _LONG_AGO, _FAR_AHEAD, limit=1_000_000).t
        water = [point.t for point in store.water_readings(site, f"{device}-m1", _LONG_AGO, _FAR_AHEAD)]
        events = store.events(_LONG_AGO, _FAR_AHEAD, site=site, device=device, limit=100_000)
        one = _judge_device(
            read_journal(folder / f"{device}.journal"),
            {"noise": _milliseconds(noise), "water": _milliseconds(water)},
            {_told(event.detail) for event in events if event.kind == "readings_dropped"},
        )
        for kind, times in (("noise", noise), ("water", water)):
            one.faults += [f"{kind} of {t} is stored {n} times" for t, n in Counter(times).items() if n > 1]
        one.replaced = sum(event.kind == "outbox_replaced" for event in events)
        one.faults = [f"{device}: {fault}" for fault in one.faults]
        verdict.add(one)
    return verdict


def _judge_device(promised: Promised, in_store: dict[str, set[int]], told: set[Told]) -> Verdict:
    verdict = Verdict(damaged=promised.damaged)
    dropped = _judge_drops(promised, told, verdict)
    unseen = told - {drop.told for drop in promised.drops}
    if len(unseen) > promised.cut_short + promised.damaged:
        verdict.faults.append(f"{len(unseen)} drops are told of which the journal knows nothing: {unseen}")
    for seq, (kind, t_ms) in promised.kept.items():
        if kind not in in_store:
            continue
        verdict.promised += 1
        if t_ms in in_store[kind]:
            verdict.stored += 1
        elif seq in dropped or any(kind == its and first <= seq <= last for its, _, first, last in unseen):
            verdict.dropped_told += 1
        elif seq in promised.lost:
            verdict.lost_by_damage += 1
        else:
            verdict.faults.append(f"{kind} {seq} was committed and is lost")
    return verdict


def _judge_drops(promised: Promised, told: set[Told], verdict: Verdict) -> set[int]:
    """Hold each drop against its event; return what was dropped and told."""
    every = {seq for drop in promised.drops for seq in drop.seqs}
    dropped: set[int] = set()
    for drop in promised.drops:
        kind, count, first, last = drop.told
        verdict.drops += 1
        verdict.dropped_counted += count
        if count == len(drop.seqs):
            verdict.drops_exact += 1
        elif abs(count - len(drop.seqs)) <= drop.unsure:
            verdict.drops_unsure += 1
        else:
            verdict.faults.append(
                f"{count} {kind} {first}..{last} are told as dropped, it was {len(drop.seqs)}"
            )
        # An event may be pushed out in its turn (and that is told), or lie in a file that we damaged.
        if drop.told in told or drop.event_seq in every or drop.event_seq in promised.lost:
            dropped |= drop.seqs
        else:
            verdict.faults.append(f"the drop {drop.told} is not told")
    return dropped


def _told(detail: Mapping[str, Any]) -> Told:
    return detail["kind"], detail["count"], detail["first_seq"], detail["last_seq"]


def _milliseconds(times) -> set[int]:
    return {int(t.timestamp() * 1000) for t in times}
