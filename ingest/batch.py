"""One batch of arrivals: judged, and what each device is told in the end."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime

import msgspec
import structlog

from contract.codec import decode_status, encode
from contract.messages import EdgeEvent, NoiseMinute, NoiseSecond, Stored
from contract.seqranges import to_ranges
from contract.topics import Topic, parse
from ingest.source import Arrival
from ingest.validate import Judged, judge
from store.registry.device_state import StatusReport
from store.registry.known import KnownDevices
from store.registry.quarantine import Rejected
from store.series.interface import Entry

log = structlog.get_logger(__name__)


@dataclass(slots=True)
class _Answer:
    stored: set[int] = field(default_factory=set)
    refused: set[int] = field(default_factory=set)


class Owed:
    """Answers that devices wait for, put together so that one message names what several batches stored."""

    def __init__(self) -> None:
        self._answers: dict[tuple[str, str], _Answer] = {}

    def __len__(self) -> int:
        """Devices that wait for an answer."""
        return len(self._answers)

    def of(self, site: str, device: str) -> _Answer:
        """Return the answer that is being put together for a device."""
        answer = self._answers.get((site, device))
        if answer is None:
            answer = self._answers[site, device] = _Answer()
        return answer

    def take(self) -> Iterator[tuple[str, str, Stored]]:
        """Yield (site, device, answer) for each device, and begin anew."""
        answers, self._answers = self._answers, {}
        for (site, device), one in answers.items():
            # One seq may name both a good and a bad reading of a broken device: the stored one decides.
            yield (
                site, device,
                Stored(stored=to_ranges(one.stored), refused=to_ranges(one.refused - one.stored)),
            )  # fmt: skip


@dataclass(slots=True)
class Batch:
    """What a batch holds; ``refused_by_store`` are indices into ``entries``."""

    arrivals: Sequence[Arrival]
    judged: list[Judged] = field(default_factory=list)
    statuses: list[tuple[Arrival, StatusReport]] = field(default_factory=list)
    entries: list[Entry] = field(default_factory=list)
    rejected: list[Rejected] = field(default_factory=list)
    refused_by_store: set[int] = field(default_factory=set)

    def refuse(self, index: int, code: str, reason: str) -> None:
        """Take an entry out that the store will never take."""
        entry = self.entries[index]
        self.refused_by_store.add(index)
        raw = encode(entry.reading)
        self.rejected.append(Rejected(_topic_of(entry), code, reason, raw, len(raw)))

    def tell(self, owed: Owed) -> None:
        """Note what each device is to be told."""
        for index, entry in enumerate(self.entries):
            answer = owed.of(entry.site, entry.device)
            (answer.refused if index in self.refused_by_store else answer.stored).add(entry.reading.seq)
        for judged in self.judged:
            if judged.topic and judged.refused:
                owed.of(judged.topic.site, judged.topic.device).refused.update(judged.refused)


def judge_all(arrivals: Sequence[Arrival], now: datetime, known: KnownDevices) -> Batch:
    """Judge a batch. Raises ``RegistryUnavailable`` only if the registry never answered yet."""
    batch = Batch(arrivals)
    for arrival in arrivals:
        if arrival.topic.endswith("/status"):
            _take_status(batch, arrival, now)
            continue
        judged = _judge_safely(arrival, now, known)
        batch.judged.append(judged)
        batch.entries += judged.entries
        batch.rejected += judged.rejected
    return batch


def _judge_safely(arrival: Arrival, now: datetime, known: KnownDevices) -> Judged:
    current = known.current()
    try:
        judged = judge(arrival.topic, arrival.payload, arrival.size_bytes, now, current)
        if judged.has_unknown and (newer := known.after_unknown()) is not current:
            judged = judge(arrival.topic, arrival.payload, arrival.size_bytes, now, newer)
        return judged
    except Exception as error:  # a fault of ours in one message must not stop all others
        log.exception("a message could not be judged", topic=arrival.topic)
        reason = f"{type(error).__name__}: {error}"
        return Judged(
            rejected=[Rejected(arrival.topic, "internal_error", reason, arrival.payload, arrival.size_bytes)]
        )


def _take_status(batch: Batch, arrival: Arrival, now: datetime) -> None:
    try:
        topic = parse(arrival.topic)
        if arrival.size_bytes > len(arrival.payload):
            raise ValueError(f"payload of {arrival.size_bytes} bytes is above the limit")
        status = decode_status(arrival.payload)
    except (ValueError, msgspec.DecodeError, RecursionError) as error:
        batch.rejected.append(bad_status(arrival, str(error)))
        return
    report = StatusReport(topic.site, topic.device, status, now, arrival.retained)
    batch.statuses.append((arrival, report))


def bad_status(arrival: Arrival, reason: str) -> Rejected:
    """Return the quarantine's row for a status."""
    return Rejected(arrival.topic, "bad_payload", reason, arrival.payload, arrival.size_bytes)


def _topic_of(entry: Entry) -> str:
    match entry.reading:
        case NoiseSecond():
            kind = "noise"
        case NoiseMinute():
            kind = "spectrum"
        case EdgeEvent():
            kind = "event"
        case _:
            kind = "water"
    return str(Topic(entry.site, entry.device, kind))
