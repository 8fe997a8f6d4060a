"""Judge what arrived: pure, from topic, payload, the time and what the registry knows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Final, Literal

import msgspec

from contract.codec import BadReading, decode_readings, encode
from contract.messages import EdgeEvent, Reading, WaterReading
from contract.topics import READING_KINDS, Topic, parse
from store.registry.known import Known
from store.registry.quarantine import HELD_CODES, Rejected
from store.series.interface import Entry

EARLIEST: Final = datetime(2020, 1, 1, tzinfo=UTC)
"""No reading of ours is older: a clock that says so was never set."""
FUTURE_TOLERANCE: Final = timedelta(minutes=5)
LATE_AFTER: Final = timedelta(days=30)
"""More than an outbox holds: an older reading is stored with the flag ``late``, so that whoever looks sees it."""

Code = Literal[
    "bad_topic", "bad_payload", "bad_reading", "unknown_device", "unknown_meter", "in_future", "too_old",
    "refused_by_store", "internal_error",
]  # fmt: skip


@dataclass(slots=True)
class Judged:
    """What a message holds: entries to store, and what goes to quarantine.

    ``refused`` are ``seq`` that the device may let go; a reading of an unknown device or meter is not among
    them, because it can be stored once the registry knows it.
    """

    topic: Topic | None = None
    entries: list[Entry] = field(default_factory=list)
    rejected: list[Rejected] = field(default_factory=list)
    refused: list[int] = field(default_factory=list)

    @property
    def has_unknown(self) -> bool:
        """Whether a device or meter is not in the registry."""
        return any(one.code in HELD_CODES for one in self.rejected)


def judge(topic: str, payload: bytes, size_bytes: int, now: datetime, known: Known) -> Judged:
    """Judge one message. ``payload`` may be the beginning of a larger one of ``size_bytes``; never raises."""
    judged = Judged()
    try:
        judged.topic = parse(topic)
    except ValueError as error:
        judged.rejected.append(Rejected(topic, "bad_topic", str(error), payload, size_bytes))
        return judged
    kind = judged.topic.kind
    if kind not in READING_KINDS:
        reason = f"{kind} is not a topic of readings"
        judged.rejected.append(Rejected(topic, "bad_topic", reason, payload, size_bytes))
        return judged
    if size_bytes > len(payload):
        reason = f"payload of {size_bytes} bytes is above the limit"
        judged.rejected.append(Rejected(topic, "bad_payload", reason, payload, size_bytes))
        return judged
    decoded = decode_readings(kind, payload)
    is_known = (judged.topic.site, judged.topic.device) in known.devices
    _take_bad(judged, topic, decoded.bad, answer=is_known)
    if is_known:
        _take_good(judged, topic, decoded.readings, now, known)
    else:
        _hold_all(judged, topic, decoded.readings)
    return judged


def _take_bad(judged: Judged, topic: str, bad: Sequence[BadReading], *, answer: bool) -> None:
    for one in bad:
        code = "bad_payload" if one.index < 0 else "bad_reading"
        judged.rejected.append(Rejected(topic, code, one.reason, one.raw, len(one.raw)))
        if answer and one.seq is not None:
            judged.refused.append(one.seq)


def _hold_all(judged: Judged, topic: str, readings: Sequence[Reading]) -> None:
    # One row a reading: however a device groups them when it sends them again, a copy is known as one.
    assert judged.topic is not None
    site, device = judged.topic.site, judged.topic.device
    reason = f"the registry knows no enabled device {device!r} at site {site!r}"
    for reading in readings:
        raw = encode(reading)
        judged.rejected.append(Rejected(topic, "unknown_device", reason, raw, len(raw)))


def _take_good(judged: Judged, topic: str, readings: Sequence[Reading], now: datetime, known: Known) -> None:
    assert judged.topic is not None
    site, device = judged.topic.site, judged.topic.device
    latest = now + FUTURE_TOLERANCE
    late = now - LATE_AFTER
    for reading in readings:
        if EARLIEST <= reading.t <= latest and not _foreign_meter(reading, site, device, known):
            kept = reading if reading.t >= late else _marked_late(reading)
            judged.entries.append(Entry(site, device, kept, now))
            continue
        code, reason = _fault(reading, site, device, now)
        raw = encode(reading)
        judged.rejected.append(Rejected(topic, code, reason, raw, len(raw)))
        if code not in HELD_CODES:
            judged.refused.append(reading.seq)


def _marked_late(reading: Reading) -> Reading:
    if isinstance(reading, EdgeEvent) or "late" in reading.flags:
        return reading
    return msgspec.structs.replace(reading, flags=(*reading.flags, "late"))


def _foreign_meter(reading: Reading, site: str, device: str, known: Known) -> bool:
    return isinstance(reading, WaterReading) and known.meters.get((site, reading.meter)) != device


def _fault(reading: Reading, site: str, device: str, now: datetime) -> tuple[Code, str]:
    if reading.t < EARLIEST:
        return (
            "too_old",
            f"t is {reading.t.isoformat()}, before {EARLIEST:%Y-%m-%d}: the device's clock was not set",
        )
    if reading.t > now + FUTURE_TOLERANCE:
        ahead = (reading.t - now).total_seconds()
        return "in_future", f"t is {reading.t.isoformat()}, {ahead:.0f} s ahead of the server's clock"
    meter = reading.meter if isinstance(reading, WaterReading | EdgeEvent) else None
    return "unknown_meter", f"the registry knows no meter {meter!r} at site {site!r} that {device!r} reads"
