"""Store what the quarantine holds of devices and meters that the registry knows by now."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final

import structlog

from contract.clock import Clock
from ingest.commit import write_or_isolate
from ingest.validate import Judged, Known, judge
from store.registry.database import Registry
from store.registry.known import KnownDevices
from store.registry.models import QuarantinedMessage
from store.registry.quarantine import HELD_CODES, Rejected, held_after, hold, release
from store.registry.replay import ReplayResult, finish, pending
from store.series.interface import SeriesStore

log = structlog.get_logger(__name__)

_CHUNK: Final = 1_000


@dataclass(slots=True)
class _Chunk:
    judged: list[tuple[QuarantinedMessage, Judged]] = field(default_factory=list)
    still_held: int = 0


def replay_if_asked(
    registry: Registry, series: SeriesStore, clock: Clock, stop: threading.Event
) -> ReplayResult | None:
    """Do the replay that was asked for, if one was; return its result."""
    with registry.reader() as session:
        number = pending(session)
    if number is None:
        return None
    result = replay(registry, series, clock, stop)
    if stop.is_set():
        return None  # the next start does it again: what is stored stays stored
    with registry.session() as session:
        finish(session, number, result)
    log.info(
        "replayed what was held", stored=result.stored, refused=result.refused, still_held=result.still_held
    )
    return result


def replay(
    registry: Registry, series: SeriesStore, clock: Clock, stop: threading.Event | None = None
) -> ReplayResult:
    """Judge every held reading again: store it, refuse it for another reason, or keep holding it.

    A row leaves the quarantine after the store has committed its reading. Raises ``StoreUnavailable`` or
    ``RegistryUnavailable``; what was done until then stays done.
    """
    known = KnownDevices(registry).current()
    stored = refused = still_held = after = 0
    while stop is None or not stop.is_set():
        with registry.reader() as session:
            rows = held_after(session, after, _CHUNK)
        if not rows:
            break
        after = rows[-1].id
        chunk = _judge_chunk(rows, clock.now(), known)
        one = _settle(registry, series, chunk, clock.now())
        stored, refused, still_held = stored + one.stored, refused + one.refused, still_held + one.still_held
    return ReplayResult(stored, refused, still_held)


def _judge_chunk(rows: Sequence[QuarantinedMessage], now: datetime, known: Known) -> _Chunk:
    chunk = _Chunk()
    for row in rows:
        payload = b"[" + row.payload + b"]"
        judged = judge(row.topic, payload, len(payload), now, known)
        if judged.has_unknown:
            chunk.still_held += 1
        else:
            chunk.judged.append((row, judged))
    return chunk


def _settle(registry: Registry, series: SeriesStore, chunk: _Chunk, now: datetime) -> ReplayResult:
    entries = [entry for _, judged in chunk.judged for entry in judged.entries]
    faults = write_or_isolate(series, entries) if entries else {}
    rejected = [one for _, judged in chunk.judged for one in judged.rejected if one.code not in HELD_CODES]
    position = 0
    for row, judged in chunk.judged:
        if judged.entries:
            if position in faults:
                rejected.append(Rejected(row.topic, *faults[position], row.payload, row.size_bytes))
            position += 1
    with registry.session() as session:
        hold(session, rejected, now)
        release(session, [row.id for row, _ in chunk.judged])
    return ReplayResult(len(entries) - len(faults), len(rejected), chunk.still_held)
