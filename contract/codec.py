"""Encode and decode payloads, element by element where a payload holds a bad one.

One unreadable reading in an array never takes its neighbours along: each is judged on its own.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import msgspec

from contract.messages import (
    MAX_CONFIG_BYTES,
    MAX_PAYLOAD_BYTES,
    MAX_READINGS,
    DeviceConfig,
    DeviceStatus,
    EdgeEvent,
    NoiseMinute,
    NoiseSecond,
    Reading,
    Stored,
    WaterReading,
)
from contract.topics import ReadingKind


@dataclass(frozen=True, slots=True)
class BadReading:
    """One element (or the whole payload, ``index`` -1) that does not validate, with the reason."""

    index: int
    reason: str
    raw: bytes
    seq: int | None = None


@dataclass(frozen=True, slots=True)
class Decoded:
    """Readings that validate and those that do not."""

    readings: list[Reading] = field(default_factory=list[Reading])
    bad: list[BadReading] = field(default_factory=list[BadReading])


class _SeqOnly(msgspec.Struct):
    seq: int


_ENCODER: Final = msgspec.json.Encoder()
_ARRAYS: Final[dict[str, msgspec.json.Decoder[Any]]] = {
    "noise": msgspec.json.Decoder(list[NoiseSecond]),
    "spectrum": msgspec.json.Decoder(list[NoiseMinute]),
    "water": msgspec.json.Decoder(list[WaterReading]),
    "event": msgspec.json.Decoder(list[EdgeEvent]),
}
_ELEMENTS: Final[dict[str, msgspec.json.Decoder[Any]]] = {
    "noise": msgspec.json.Decoder(NoiseSecond),
    "spectrum": msgspec.json.Decoder(NoiseMinute),
    "water": msgspec.json.Decoder(WaterReading),
    "event": msgspec.json.Decoder(EdgeEvent),
}
_RAW_ARRAY: Final = msgspec.json.Decoder(list[msgspec.Raw])
_SEQ: Final = msgspec.json.Decoder(_SeqOnly)
_STATUS: Final = msgspec.json.Decoder(DeviceStatus)
_STORED: Final = msgspec.json.Decoder(Stored)
_CONFIG: Final = msgspec.json.Decoder(DeviceConfig)


def encode(message: Reading | DeviceStatus | Stored | DeviceConfig) -> bytes:
    """Encode one message as JSON."""
    return _ENCODER.encode(message)


def encode_array(encoded: Sequence[bytes]) -> bytes:
    """Join readings that are already encoded into one array payload."""
    return b"[" + b",".join(encoded) + b"]"


def decode_readings(kind: ReadingKind, payload: bytes) -> Decoded:
    """Decode an array payload of a readings topic. Never raises for bad input: it is in ``bad``."""
    if len(payload) > MAX_PAYLOAD_BYTES:
        reason = f"payload of {len(payload)} bytes is above the limit of {MAX_PAYLOAD_BYTES}"
        return Decoded(bad=[BadReading(-1, reason, payload)])
    try:
        readings = _ARRAYS[kind].decode(payload)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError, OverflowError):
        return _decode_each(kind, payload)
    count_fault = _count_fault(len(readings))
    if count_fault:
        return Decoded(bad=[BadReading(-1, count_fault, payload)])
    return Decoded(readings=readings)


def decode_status(payload: bytes) -> DeviceStatus:
    """Decode a status. Raises ``msgspec.DecodeError`` with the reason."""
    return _STATUS.decode(payload)


def decode_stored(payload: bytes) -> Stored:
    """Decode a ``stored`` answer. Raises ``msgspec.DecodeError`` with the reason."""
    return _STORED.decode(payload)


def decode_config(payload: bytes) -> DeviceConfig:
    """Decode a configuration. Raises ``ValueError`` (``msgspec.DecodeError`` for its content) with the reason."""
    if len(payload) > MAX_CONFIG_BYTES:
        raise ValueError(f"{len(payload)} bytes are above the limit of {MAX_CONFIG_BYTES}")
    return _CONFIG.decode(payload)


def decode_reading(kind: ReadingKind, raw: bytes) -> Reading:
    """Decode one reading. Raises ``msgspec.DecodeError`` with the reason."""
    return _ELEMENTS[kind].decode(raw)


def _count_fault(count: int) -> str | None:
    if 1 <= count <= MAX_READINGS:
        return None
    return f"array of {count} readings; allowed are 1 to {MAX_READINGS}"


def _decode_each(kind: ReadingKind, payload: bytes) -> Decoded:
    try:
        raws = _RAW_ARRAY.decode(payload)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError, OverflowError) as error:
        return Decoded(bad=[BadReading(-1, f"not a JSON array of readings: {error}", payload)])
    count_fault = _count_fault(len(raws))
    if count_fault:
        return Decoded(bad=[BadReading(-1, count_fault, payload)])
    result = Decoded()
    decoder = _ELEMENTS[kind]
    for index, raw in enumerate(raws):
        data = bytes(raw)
        try:
            result.readings.append(decoder.decode(data))
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError, OverflowError) as error:
            result.bad.append(BadReading(index, str(error), data, _seq_of(data)))
    return result


def _seq_of(raw: bytes) -> int | None:
    try:
        seq = _SEQ.decode(raw).seq
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError, OverflowError):
        return None
    return seq if 0 <= seq < 2**53 else None
