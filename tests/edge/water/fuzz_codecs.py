"""Feeds mutated frames to a codec and demands: no exception but the driver's own, no reading from a broken frame.

Run by hand for a million frames a codec; ``test_fuzz.py`` runs a short form with every build::

    python -m tests.edge.water.fuzz_codecs --count 1000000
    python -m tests.edge.water.fuzz_codecs --codec mbus --count 1000000 --seed 7

Whether a frame is whole is judged here by an implementation of its own, from the standards' text, not by the product's.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from random import Random

from edge.water import cjt188, lorawan, mbus_decode, modbus_decode, wmbus_json, wmbus_telegram
from edge.water.mbus_security import crc16
from edge.water.mbus_transport import Secrets
from edge.water.profiles import Cjt188Profile, LorawanProfile, MbusProfile, ModbusProfile, load
from edge.water.register import MeterError, Register
from tests.edge.water import vectors

CODECS = ("cjt188", "mbus", "wmbus", "modbus", "lorawan")
INTERESTING = bytes.fromhex("00010F101F2C292F3F40687F80819091A0C1E5FCFDFEFF16")


class Broken(Exception):
    """The codec did what it must not."""


@dataclass
class Tally:
    frames: int = 0
    readings: int = 0
    refused: int = 0
    reasons: set[str] = field(default_factory=set)

    def add(self, other: Tally) -> None:
        self.frames += other.frames
        self.readings += other.readings
        self.refused += other.refused
        self.reasons |= other.reasons


@dataclass(frozen=True)
class Codec:
    name: str
    seeds: list[tuple[bytes, bytes | None]]
    decode: Callable[[bytes, bytes | None], Register]
    is_whole: Callable[[bytes], bool]
    mend: Callable[[bytes], bytes]
    """Makes length and checksum right again, so that mutations reach what lies behind them."""


def codec(name: str) -> Codec:
    return _BUILDERS[name]()


# -- frames, judged by themselves ------------------------------------------------------------------------


def _cjt188_whole(raw: bytes) -> bool:
    body = raw.lstrip(b"\xfe")
    return (
        len(body) >= 13 and body[0] == 0x68 and body[-1] == 0x16 and len(body) == 13 + body[10]
        and body[-2] == sum(body[:-2]) % 256
    )  # fmt: skip


def _cjt188_mend(raw: bytes) -> bytes:
    body = bytearray(raw.lstrip(b"\xfe"))
    if len(body) < 13:
        return raw
    body[0], body[-1], body[10] = 0x68, 0x16, (len(body) - 13) % 256
    body[-2] = sum(body[:-2]) % 256
    return bytes(body)


def _mbus_whole(raw: bytes) -> bool:
    return (
        len(raw) >= 9 and raw[0] == raw[3] == 0x68 and raw[1] == raw[2] == len(raw) - 6 and raw[-1] == 0x16
        and raw[-2] == sum(raw[4:-2]) % 256
    )  # fmt: skip


def _mbus_mend(raw: bytes) -> bytes:
    if not 9 <= len(raw) <= 261:
        return raw
    body = bytearray(raw)
    body[0] = body[3] = 0x68
    body[1] = body[2] = len(body) - 6
    body[-1] = 0x16
    body[-2] = sum(body[4:-2]) % 256
    return bytes(body)


def _wmbus_whole(raw: bytes) -> bool:
    if _mbus_whole(raw):
        return True
    if len(raw) == raw[0] + 1:
        return True
    place, size = 0, 10
    length = 0
    while place < len(raw):
        block = raw[place : min(place + size, len(raw) - 2)]
        place += len(block)
        if raw[place : place + 2] != crc16(block).to_bytes(2, "big"):
            return False
        length, place, size = length + len(block), place + 2, 16
    return length == raw[0] + 1


def _wmbus_mend(raw: bytes) -> bytes:
    return bytes([len(raw) - 1]) + raw[1:] if 1 <= len(raw) <= 256 else raw


def _modbus_crc(data: bytes) -> int:
    register = 0xFFFF
    for byte in data:
        register ^= byte
        for _ in range(8):
            carry = register & 1
            register >>= 1
            if carry:
                register ^= 0xA001
    return register


def _modbus_whole(raw: bytes) -> bool:
    if len(raw) >= 5 and _modbus_crc(raw[:-2]) == int.from_bytes(raw[-2:], "little"):
        return len(raw) == 5 + raw[2]
    return len(raw) >= 9 and int.from_bytes(raw[4:6], "big") == len(raw) - 6 and len(raw) == 9 + raw[8]


def _modbus_mend(raw: bytes) -> bytes:
    return raw[:-2] + _modbus_crc(raw[:-2]).to_bytes(2, "little") if len(raw) >= 5 else raw


# -- codecs --------------------------------------------------------------------------------------------


def _seeds(name: str) -> list[tuple[bytes, bytes | None]]:
    both = vectors.good(name) + vectors.bad(name)
    return [
        (bytes.fromhex(one["hex"]), vectors.key_of(one))
        for one in both
        if len(one.get("key") or "x" * 32) == 32
    ]


def _cjt188() -> Codec:
    profile = load("cjt188", Cjt188Profile)
    return Codec(
        "cjt188", _seeds("cjt188"), lambda raw, _key: cjt188.decode(raw, profile), _cjt188_whole, _cjt188_mend
    )


def _mbus() -> Codec:
    profile = load("mbus", MbusProfile)

    def decode(raw: bytes, key: bytes | None) -> Register:
        return mbus_decode.decode(raw, profile, Secrets(key))

    return Codec("mbus", _seeds("mbus"), decode, _mbus_whole, _mbus_mend)


def _wmbus() -> Codec:
    profile = load("mbus", MbusProfile)
    oms = json.loads((vectors.DATA / "oms_annex_n.json").read_text())
    seeds = _seeds("wmbus")
    seeds += [(bytes.fromhex(oms[form]), bytes.fromhex(oms["key"])) for form in ("stripped", "format_a")]

    def decode(raw: bytes, key: bytes | None) -> Register:
        # A million frames do not teach one another.
        return wmbus_telegram.decode(raw, profile, Secrets(key))

    return Codec("wmbus", seeds, decode, _wmbus_whole, _wmbus_mend)


def _modbus() -> Codec:
    profile = load("modbus-litres", ModbusProfile)
    replies = ["0103040001E240", "0104040001E240", "018302", "010300000002", "11030400000539"]
    seeds: list[tuple[bytes, bytes | None]] = [
        (_modbus_mend(bytes.fromhex(one) + b"\0\0"), None) for one in replies
    ]
    seeds.append((bytes.fromhex("0001000000070103040001E240"), None))
    return Codec(
        "modbus", seeds, lambda raw, _key: modbus_decode.decode(raw, profile), _modbus_whole, _modbus_mend
    )


def _lorawan() -> Codec:
    profile = load("axioma-w1-hourly", LorawanProfile)

    def is_whole(raw: bytes) -> bool:
        return (len(raw) == 51 and raw[0] == 1) or len(raw) == 47

    return Codec(
        "lorawan", [*_seeds("lorawan"), (bytes(47), None)], lambda raw, _key: lorawan.decode(raw, profile), is_whole,
        lambda raw: raw,
    )  # fmt: skip


_BUILDERS = {"cjt188": _cjt188, "mbus": _mbus, "wmbus": _wmbus, "modbus": _modbus, "lorawan": _lorawan}


# -- mutation ------------------------------------------------------------------------------------------


def mutated(raw: bytes, chance: Random, seeds: list[tuple[bytes, bytes | None]]) -> bytes:
    """Return a frame with one to four changes: bits, bytes, cuts, repeats, splices of another frame."""
    data = bytearray(raw)
    for _ in range(1 + chance.getrandbits(2)):
        kind = chance.randrange(9)
        place = chance.randrange(len(data) + 1)
        if kind == 0 and data:
            data[place % len(data)] ^= 1 << chance.randrange(8)
        elif kind == 1 and data:
            data[place % len(data)] = chance.randrange(256)
        elif kind == 2 and data:
            data[place % len(data)] = INTERESTING[chance.randrange(len(INTERESTING))]
        elif kind == 3:
            del data[place:]
        elif kind == 4:
            del data[place : place + 1 + chance.randrange(4)]
        elif kind == 5:
            data[place:place] = chance.randbytes(1 + chance.randrange(4))
        elif kind == 6:
            data[place:place] = data[place : place + chance.randrange(12)]
        elif kind == 7:
            other = seeds[chance.randrange(len(seeds))][0]
            data[place:] = other[chance.randrange(len(other)) :]
        else:
            data.insert(place, INTERESTING[chance.randrange(len(INTERESTING))])
    return bytes(data[:600])


def check(one: Codec, raw: bytes, key: bytes | None, tally: Tally) -> None:
    """Decode a frame and judge what came of it. Raises :class:`Broken`."""
    tally.frames += 1
    try:
        register = one.decode(raw, key)
    except MeterError as error:
        text = str(error)
        if not text or "\n" in text:
            raise Broken(f"{one.name}: {raw.hex()}: a reason of not one line: {text!r}") from error
        tally.refused += 1
        if len(tally.reasons) < 500:
            tally.reasons.add(text)
        return
    except BaseException as error:
        raise Broken(
            f"{one.name}: {raw.hex()} (key {key and key.hex()}): {type(error).__name__}: {error}"
        ) from error
    tally.readings += 1
    if not one.is_whole(raw):
        raise Broken(f"{one.name}: a reading from a broken frame {raw.hex()}")
    if not isinstance(register.volume_steps, int) or register.step_ml < 1 or register.volume_m3.is_nan():
        raise Broken(f"{one.name}: {raw.hex()} gives {register}")


def fuzz(name: str, count: int, seed: int) -> Tally:
    """Check ``count`` mutated frames; half of them have their checksum and length made right again."""
    one, chance, tally = codec(name), Random(f"{name} {seed}"), Tally()
    for raw, key in one.seeds:
        check(one, raw, key, tally)
    for _ in range(count):
        raw, key = one.seeds[chance.randrange(len(one.seeds))]
        changed = mutated(raw, chance, one.seeds)
        if chance.getrandbits(1):
            changed = one.mend(changed)
        check(one, changed, key if chance.getrandbits(2) else None, tally)
    return tally


def fuzz_json(count: int, seed: int) -> int:
    """Check mutated lines of wmbusmeters; return how many gave a register."""
    chance, good = Random(seed), 0
    lines = [json.dumps(one["expected"]) for one in vectors.good("wmbus")]
    for _ in range(count):
        raw = mutated(
            lines[chance.randrange(len(lines))].encode(),
            chance,
            [(line.encode(), None) for line in lines[:3]],
        )
        found = wmbus_json.parse(raw.decode("utf-8", "replace"))
        if found is None:
            continue
        try:
            wmbus_json.register_of(found).reading("m", vectors_time())
            good += 1
        except MeterError:
            pass
    return good


def vectors_time():
    from datetime import UTC, datetime

    return datetime(2026, 1, 1, tzinfo=UTC)


def _part(task: tuple[str, int, int]) -> Tally:
    return fuzz(*task)


def main() -> None:
    parser = argparse.ArgumentParser(description="Fuzz the water meters' codecs.")
    parser.add_argument("--codec", choices=CODECS, help="one codec; else all")
    parser.add_argument("--count", type=int, default=1_000_000, help="mutated frames a codec")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--jobs", type=int, default=1, help="processes")
    asked = parser.parse_args()
    for name in [asked.codec] if asked.codec else CODECS:
        started, tally = time.monotonic(), Tally()
        parts = max(asked.jobs, asked.count // 50_000)
        tasks = [
            (name, asked.count // parts + (index < asked.count % parts), asked.seed * 10_000 + index)
            for index in range(parts)
        ]
        with multiprocessing.Pool(asked.jobs) as pool:
            try:
                for part in pool.imap_unordered(_part, tasks):
                    tally.add(part)
            except Broken as error:
                sys.exit(str(error))
        print(
            f"{name}: {tally.frames} frames, {tally.readings} readings from whole frames, {tally.refused} refused, "
            f"{len(tally.reasons)} reasons, {time.monotonic() - started:.0f} s"
        )


if __name__ == "__main__":
    main()
