"""Decodes a wireless M-Bus telegram (EN 13757-4) into a register.

Telegrams come from receivers with or without their CRCs (frame formats A and B); where there are CRCs, all of them
must be right.
"""

from __future__ import annotations

from typing import Final

from edge.water.mbus_decode import decode as decode_wired
from edge.water.mbus_decode import register_in
from edge.water.mbus_security import crc16
from edge.water.mbus_transport import Identity, Message, Secrets, open_message
from edge.water.profiles import MbusProfile
from edge.water.register import FrameRefused, Register

_FROM_METER: Final = frozenset((0x44, 0x46, 0x08, 0x18, 0x28, 0x38))
"""SND-NR, SND-IR and RSP-UD: what a meter sends its data with."""
_HEAD: Final = 10
"""Bytes of a telegram before its CI field: L, C, manufacturer, number, version, medium."""
_BLOCK: Final = 16
_FORMAT_B_FIRST: Final = 126


def decode(raw: bytes, profile: MbusProfile, secrets: Secrets) -> Register:
    """Return the register in a telegram. Raises :class:`FrameRefused` with the reason."""
    if is_wired(raw):
        return decode_wired(raw, profile, secrets)
    return register_in(message_of(raw, secrets), profile)


def is_wired(raw: bytes) -> bool:
    """Say whether the bytes are a wired long frame, which some receivers of both kinds hand on."""
    return len(raw) >= 9 and raw[0] == raw[3] == 0x68 and raw[1] == raw[2] and len(raw) == raw[1] + 6


def message_of(raw: bytes, secrets: Secrets) -> Message:
    """Open a telegram. Raises :class:`FrameRefused` with the reason."""
    telegram = without_crcs(raw)
    if telegram[1] not in _FROM_METER:
        raise FrameRefused(f"control {telegram[1]:02X}H is no telegram of a meter with data (44H)")
    return open_message(telegram[_HEAD], telegram[_HEAD + 1 :], sender_of(telegram), secrets)


def sender_of(telegram: bytes) -> Identity:
    """Return who sends a telegram, by its link layer."""
    return Identity(telegram[4:8], telegram[2:4], telegram[8], telegram[9])


def ids_of(telegram: bytes) -> list[str]:
    """Return the numbers that a telegram's meter may be known by, without opening it.

    They are those of the radio module (link layers) and of the meter behind it (long transport layer header).
    """
    found = [sender_of(telegram).serial]
    ci, data = telegram[_HEAD], telegram[_HEAD + 1 :]
    if ci in (0x8C, 0x8E):
        if ci == 0x8E:
            found.append(data[4:8][::-1].hex())
        data = data[2 if ci == 0x8C else 10 :]
        ci, data = data[0] if data else 0, data[1:]
    if ci == 0x90 and data:
        data = data[data[0] + 1 :]
        ci, data = data[0] if data else 0, data[1:]
    if ci in (0x72, 0x73):
        found.append(data[:4][::-1].hex())
    return found


def without_crcs(raw: bytes) -> bytes:
    """Return a telegram without the CRCs of frame format A or B. Raises :class:`FrameRefused`."""
    if len(raw) < _HEAD + 2:
        raise FrameRefused(f"{len(raw)} bytes; the shortest telegram has {_HEAD + 2}")
    length = raw[0] + 1
    if len(raw) == length:
        return _without_format_b(raw)
    blocks = 1 + -(-(length - _HEAD) // _BLOCK)
    if length > _HEAD and len(raw) == length + 2 * blocks:
        return _without_format_a(raw)
    raise FrameRefused(f"{len(raw)} bytes; by its length byte the telegram has {length}, without CRCs")


def _without_format_a(raw: bytes) -> bytes:
    result, place, size = b"", 0, _HEAD
    while place < len(raw):
        block = raw[place : min(place + size, len(raw) - 2)]
        _demand_crc(block, raw[place + len(block) : place + len(block) + 2])
        result += block
        place, size = place + len(block) + 2, _BLOCK
    return result


def _without_format_b(raw: bytes) -> bytes:
    """In format B the length counts the CRCs, so only the CRCs themselves tell it from a stripped telegram."""
    first, second = raw[:_FORMAT_B_FIRST], raw[_FORMAT_B_FIRST + 2 :]
    last_block = _HEAD + (len(raw) - 2 - _HEAD - 1) // _BLOCK * _BLOCK
    if crc16(raw[last_block:-2]).to_bytes(2, "big") == raw[-2:]:
        # Some receivers cut out the CRCs of format A and leave the last one, which their length byte counts.
        return _shortened(raw[:-2])
    if len(raw) <= _FORMAT_B_FIRST + 2:
        body = raw[:-2]
        return _shortened(body) if crc16(body).to_bytes(2, "big") == raw[-2:] else raw
    if crc16(first).to_bytes(2, "big") != raw[_FORMAT_B_FIRST : _FORMAT_B_FIRST + 2]:
        return raw
    _demand_crc(second[:-2], second[-2:])
    return _shortened(first + second[:-2])


def _shortened(body: bytes) -> bytes:
    return bytes([len(body) - 1]) + body[1:]


def _demand_crc(block: bytes, crc: bytes) -> None:
    expected = crc16(block).to_bytes(2, "big")
    if crc != expected:
        raise FrameRefused(f"CRC is {crc.hex().upper()}H, computed {expected.hex().upper()}H")
