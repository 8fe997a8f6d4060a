"""Mutated messages: good ones with bytes, fields, types, lengths and topics changed at random."""

from __future__ import annotations

import json
import random
from collections.abc import Iterator
from typing import Any

_T = "2026-05-31T12:00:{:02}Z"
_GOOD: dict[str, dict[str, Any]] = {
    "noise": {"seq": 1, "t": "", "laeq_db": 50.1, "lafmax_db": 60.0, "lafmin_db": 40.0, "laf_db": 50.0,
              "lceq_db": 61.5, "measured_ms": 1000, "flags": ["gap"]},
    "spectrum": {"seq": 2, "t": "2026-05-31T12:00:00Z", "laf_bins": [500, 501, 502], "laf_counts": [1, 2, 3],
                 "first_band": 10, "bands_db": [40.5] * 31},
    "water": {"seq": 3, "t": "", "meter": "m1", "volume_steps": 123456, "step_ml": 1000, "flow_m3h": 0.5,
              "serial": "A1", "flags": ["leak"]},
    "event": {"seq": 4, "t": "", "kind": "tamper", "detail": {"a": 1, "b": [1.0, None], "c": "x"}},
}  # fmt: skip
_ODD: tuple[Any, ...] = (
    None, True, -1, 0, 2**53, 2**64, 10**400, -0.0, 1e308, 5e-324, "", "x" * 5000, "\0", "\ud800", "静园", [], [[]], {},
    {"a": {}}, "NaN", "2026-13-01T00:00:00Z", "0000-00-00T00:00:00Z", "9999-12-31T23:59:59.999999999Z", "1970-01-01",
    [None] * 700, "2026-05-31T12:00:00+25:00", "-2026-05-31T12:00:00Z",
)  # fmt: skip
_BYTES = (b"NaN", b"Infinity", b"-Infinity", b"1e99999", b"\xff", b"\xc3\x28", b"[[", b"}}", b'"', b"\\u0000",
          b"\\ud800", b"//", b"\0", b"9" * 500, b"{" * 2000, b"[" * 2000)  # fmt: skip


def mutated(chance: random.Random, count: int) -> Iterator[tuple[str, bytes]]:
    """Yield ``count`` messages (topic, payload)."""
    for n in range(count):
        kind = chance.choice(tuple(_GOOD))
        readings = [_reading(chance, kind, n + i) for i in range(chance.choice((1, 1, 2, 5)))]
        payload = json.dumps(readings).encode("utf-8", "surrogatepass")
        for _ in range(chance.choice((0, 0, 0, 1, 1, 2, 5))):
            payload = _damaged(chance, payload)
        yield _topic(chance, kind), payload


def _reading(chance: random.Random, kind: str, n: int) -> dict[str, Any]:
    reading = dict(_GOOD[kind])
    reading["seq"] = n
    if not reading["t"]:
        reading["t"] = _T.format(n % 60)
    for _ in range(chance.choice((0, 0, 1, 1, 3))):
        key = chance.choice((*reading, "colour", "")) if reading else "colour"
        if chance.random() < 0.3:
            reading.pop(key, None)
        else:
            reading[key] = chance.choice(_ODD)
    return reading


def _damaged(chance: random.Random, payload: bytes) -> bytes:
    at, length = chance.randrange(len(payload) + 1), chance.choice((1, 1, 3, 20, 500))
    match chance.randrange(6):
        case 0:
            return payload[:at]
        case 1:
            return payload[:at] + payload[at + length :]
        case 2:
            return payload[:at] + chance.randbytes(length) + payload[at + length :]
        case 3:
            return payload[:at] + chance.choice(_BYTES) + payload[at:]
        case 4:
            return payload[:at] + payload[at : at + length] * 2 + payload[at + length :]
        case _:
            return (
                payload[:at] + bytes([payload[at - 1] ^ (1 << chance.randrange(8))]) + payload[at:]
                if at
                else payload
            )


def _topic(chance: random.Random, kind: str) -> str:
    topic = f"qw/v1/s1/d1/{kind}"
    if chance.random() < 0.8:
        return topic
    return chance.choice((
        "", "qw/v1/s1/d2/noise", "qw/v2/s1/d1/noise", topic + "/", topic.upper(), "qw/v1/s1/d1/stored", "\0",
        "qw/v1/+/#/x", f"qw/v1/{'a' * 33}/d1/noise", "qw/v1/s1/d1/" + chr(chance.randrange(1, 0xD000)), "/" * 500,
    ))  # fmt: skip
