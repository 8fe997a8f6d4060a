"""What goes wrong on a bus, on purpose. Pure but for its seeded chance."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from random import Random
from typing import Final, Literal, get_args

FaultKind = Literal["silent", "noise", "split", "echo", "checksum", "late", "other"]
KINDS: Final[tuple[FaultKind, ...]] = get_args(FaultKind)
_SPEC: Final = re.compile(r"([a-z]+)(?::(0?\.[0-9]+|1(?:\.0+)?|0))?(?:@([0-9]+(?:,[0-9]+)*))?")
_LATE_S: Final = 1.5
_SPLIT_S: Final = 0.05
_NOISE_BYTES: Final = 12


@dataclass(frozen=True, slots=True)
class Fault:
    """One fault: in which share of the answers, and of which meters (numbers from 1; empty: of all).

    ``silent``: no answer. ``noise``: random bytes before and behind it. ``split``: it comes in three parts. ``echo``:
    the adapter hands back what it sends. ``checksum``: a byte of the answer is wrong. ``late``: it comes after
    ``late_s``. ``other``: another meter answers in its place.
    """

    kind: FaultKind
    share: float = 1.0
    meters: frozenset[int] = frozenset()
    late_s: float = _LATE_S


def parse(text: str) -> Fault:
    """Return the fault that ``KIND[:SHARE][@METER,...]`` names. Raises ``ValueError`` that says what is wrong."""
    match = _SPEC.fullmatch(text)
    if match is None or match[1] not in KINDS:
        raise ValueError(f"fault {text!r} is not KIND[:SHARE][@METER,...] with KIND of {', '.join(KINDS)}")
    share = 1.0 if match[2] is None else float(match[2])
    meters = frozenset(int(one) for one in match[3].split(",")) if match[3] else frozenset[int]()
    return Fault(match[1], share, meters)  # type: ignore[arg-type]  # it is one of KINDS


@dataclass(frozen=True, slots=True)
class Part:
    """Bytes that go out ``after_s`` after the request was answered without fault."""

    after_s: float
    data: bytes


def apply(
    faults: Sequence[Fault], meter: int, answer: bytes, other: bytes | None, chance: Random
) -> list[Part]:
    """Return what goes out in place of an answer; ``other`` is what another meter would answer."""
    at_s, parts = 0.0, [answer]
    for fault in faults:
        if (fault.meters and meter not in fault.meters) or chance.random() >= fault.share:
            continue
        match fault.kind:
            case "silent":
                return []
            case "late":
                at_s += fault.late_s
            case "other":
                parts = [other] if other is not None else []
            case "checksum":
                parts = [_spoilt(part, chance) for part in parts]
            case "noise":
                parts = [chance.randbytes(_NOISE_BYTES), *parts, chance.randbytes(_NOISE_BYTES)]
            case "split":
                parts = [piece for part in parts for piece in _pieces(part)]
            case "echo":
                pass
    pause_s = _SPLIT_S if any(fault.kind == "split" for fault in faults) else 0.0
    return [Part(at_s + index * pause_s, part) for index, part in enumerate(parts)]


def _spoilt(data: bytes, chance: Random) -> bytes:
    if not data:
        return data
    place = chance.randrange(len(data))
    return data[:place] + bytes([data[place] ^ (1 << chance.randrange(8))]) + data[place + 1 :]


def _pieces(data: bytes) -> list[bytes]:
    third = max(1, len(data) // 3)
    return [data[:third], data[third : 2 * third], data[2 * third :]]
