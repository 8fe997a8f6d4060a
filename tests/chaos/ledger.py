"""Compare what the outboxes promised with what the store has and what the events tell."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from store.series.duckdb_store import DuckDbStore

_LONG_AGO, _FAR_AHEAD = datetime(2020, 1, 1, tzinfo=UTC), datetime(2100, 1, 1, tzinfo=UTC)


@dataclass
class Promised:
    """What a journal says was committed and dropped, and what a commit that was cut short may have done."""

    kept: dict[int, tuple[str, int]] = field(default_factory=dict)
    """``seq`` to (kind, t_ms) of every reading that was ever committed."""
    on_disk: set[int] = field(default_factory=set)
    doubtful: set[int] = field(default_factory=set)
    """Of commits of which the end is not known: the process was killed."""
    drops: list[tuple[str, int, int, int]] = field(default_factory=list)
    drop_faults: list[str] = field(default_factory=list)


def read_journal(path: Path) -> Promised:
    """Replay a journal."""
    promised = Promised()
    begun: tuple[dict[int, tuple[str, int]], list[int]] | None = None
    for line in path.read_text().splitlines() if path.exists() else ():
        try:
            row = json.loads(line)
        except ValueError:  # the last line of a killed process
            continue
        if row[0] == "begin":
            if begun is not None:
                promised.doubtful |= set(begun[0]) | set(begun[1])
            begun = ({seq: (kind, t_ms) for seq, kind, t_ms in row[1]}, row[2])
        elif row[0] == "end" and begun is not None:
            added, removed = begun
            begun = None
            promised.kept |= added
            promised.on_disk |= set(added)
            promised.on_disk -= set(removed)
            for drop in row[1]:
                _note_drop(promised, *drop)
    if begun is not None:
        promised.doubtful |= set(begun[0]) | set(begun[1])
    return promised


def _note_drop(promised: Promised, kind: str, count: int, first: int, last: int) -> None:
    those = {s for s in promised.on_disk if first <= s <= last and promised.kept[s][0] == kind}
    unsure = sum(first <= seq <= last for seq in promised.doubtful)
    if abs(len(those) - count) > unsure:
        promised.drop_faults.append(f"{kind} {first}..{last}: told {count}, journal {len(those)}")
    promised.on_disk -= those
    promised.drops.append((kind, count, first, last))


@dataclass
class Verdict:
    """What the comparison found."""

    promised: int = 0
    stored: int = 0
    dropped_told: int = 0
    lost_by_damage: int = 0
    replaced: int = 0
    faults: list[str] = field(default_factory=list)


def judge(
    folder: Path, store: DuckDbStore, devices: list[tuple[str, str]], damage: dict[str, set[int]]
) -> Verdict:
    """Judge every device: each promised reading is in the store once, or told as dropped, or lost by our damage."""
    verdict = Verdict()
    for site, device in devices:
        promised = read_journal(folder / f"{device}.journal")
        noise = store.noise_seconds(site, device, _LONG_AGO, _FAR_AHEAD, limit=1_000_000).t
        water = [point.t for point in store.water_readings(site, f"{device}-m1", _LONG_AGO, _FAR_AHEAD)]
        events = store.events(_LONG_AGO, _FAR_AHEAD, site=site, device=device, limit=100_000)
        told = [one.detail for one in events if one.kind == "readings_dropped"]
        verdict.replaced += sum(one.kind == "outbox_replaced" for one in events)
        verdict.faults += [f"{device}: {one}" for one in promised.drop_faults]
        verdict.faults += [f"{device}: {n} times {t}" for t, n in Counter(noise).items() if n > 1]
        in_store = {"noise": _milliseconds(noise), "water": _milliseconds(water)}
        lost = damage.get(device, set())
        for seq, (kind, t_ms) in promised.kept.items():
            if kind not in in_store:
                continue
            verdict.promised += 1
            if t_ms in in_store[kind]:
                verdict.stored += 1
            elif any(d["kind"] == kind and d["first_seq"] <= seq <= d["last_seq"] for d in told):  # type: ignore[operator]
                verdict.dropped_told += 1
            elif seq in lost:
                verdict.lost_by_damage += 1
            else:
                verdict.faults.append(f"{device}: {kind} {seq} was committed and is lost")
        known = {(d["kind"], d["count"], d["first_seq"], d["last_seq"]) for d in told}
        verdict.faults += [
            f"{device}: the drop {drop} is not told"
            for drop in promised.drops
            if drop not in known and not lost
        ]
    return verdict


def _milliseconds(times) -> set[int]:
    return {int(t.timestamp() * 1000) for t in times}
