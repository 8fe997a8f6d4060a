"""Decodes one Modbus reply, RTU or TCP, by the register map of a profile."""

from __future__ import annotations

from typing import Final

from edge.water.modbus_map import Span, Words, plan, register_of
from edge.water.profiles import ModbusProfile
from edge.water.register import FrameRefused, Register

FUNCTIONS: Final = {"holding": 0x03, "input": 0x04}
_EXCEPTION: Final = 0x80
_EXCEPTIONS: Final = {
    1: "illegal function", 2: "illegal data address", 3: "illegal data value", 4: "server device failure",
    5: "acknowledge", 6: "server device busy", 8: "memory parity error", 10: "gateway path unavailable",
    11: "gateway target device failed to respond",
}  # fmt: skip


def decode(raw: bytes, profile: ModbusProfile) -> Register:
    """Return the register in one reply. Raises :class:`FrameRefused` with the reason.

    Only a map that one request reads can be decoded from one reply.
    """
    spans = plan(profile)
    if len(spans) > 1:
        raise FrameRefused(f"the profile's map takes {len(spans)} requests; one reply does not hold it")
    return register_of(words_of(_pdu(raw), spans[0]), profile)


def crc(data: bytes) -> int:
    """CRC-16 of Modbus RTU (serial line guide, 6.2.2)."""
    value = 0xFFFF
    for byte in data:
        value ^= byte
        for _ in range(8):
            value = value >> 1 ^ (0xA001 if value & 1 else 0)
    return value


def rtu_answer_in(received: bytes, unit: int) -> bytes | None:
    """Return the first answer of a unit, RTU frame and all, within bytes from a line; ``None`` where there is none."""
    for start in range(len(received) - 4):
        function = received[start + 1]
        if received[start] != unit or function & ~_EXCEPTION not in FUNCTIONS.values():
            continue
        length = 5 if function & _EXCEPTION else 5 + received[start + 2]
        frame = received[start : start + length]
        if len(frame) == length and crc(frame[:-2]) == int.from_bytes(frame[-2:], "little"):
            return frame
    return None


def words_of(pdu: bytes, span: Span) -> Words:
    """Return the words in the reply to the request for a span. Raises :class:`FrameRefused`."""
    function = FUNCTIONS[span.table]
    if pdu[0] == function | _EXCEPTION:
        code = pdu[1] if len(pdu) > 1 else 0
        raise FrameRefused(f"the meter reports an error: {_EXCEPTIONS.get(code, f'code {code}')}")
    if pdu[0] != function:
        raise FrameRefused(
            f"function {pdu[0]:02X}H; the profile reads {span.table} registers ({function:02X}H)"
        )
    if len(pdu) < 2 or pdu[1] != span.count * 2 or len(pdu) != 2 + pdu[1]:
        raise FrameRefused(f"{len(pdu)} bytes of reply; {span.count} registers make {2 + span.count * 2}")
    return {
        (span.table, span.start + index): int.from_bytes(pdu[2 + 2 * index : 4 + 2 * index], "big")
        for index in range(span.count)
    }


def _pdu(raw: bytes) -> bytes:
    """Return function and data of an RTU frame, or of a TCP frame with its MBAP header."""
    if len(raw) < 5:
        raise FrameRefused(f"{len(raw)} bytes; the shortest reply has 5")
    if crc(raw[:-2]) == int.from_bytes(raw[-2:], "little"):
        return raw[1:-2]
    if len(raw) >= 9 and raw[2:4] == b"\x00\x00" and int.from_bytes(raw[4:6], "big") == len(raw) - 6:
        return raw[7:]
    raise FrameRefused(
        f"CRC is {raw[-2:].hex().upper()}H, computed {crc(raw[:-2]).to_bytes(2, 'little').hex().upper()}H"
    )
