"""M-Bus link layer, wired (EN 13757-2): frames, checksums, addresses."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from edge.water.register import FrameRefused

ACK: Final = b"\xe5"
SND_NKE: Final = 0x40
REQ_UD2: Final = 0x5B
SND_UD: Final = 0x53
FCB: Final = 0x20
SELECT: Final = 0x52
BY_SECONDARY: Final = 253
"""Primary address of the meter that a SELECT has chosen."""
ANY: Final = 254
"""Primary address that every meter answers: for a single meter on a line."""
_ANY_DIGIT: Final = "F"
_LONG_OVERHEAD: Final = 6
_START_LONG: Final = 0x68
_START_SHORT: Final = 0x10
_END: Final = 0x16
_RESPONSES: Final = frozenset((0x08, 0x18, 0x28, 0x38))
"""RSP_UD, with and without ACD and DFC."""


@dataclass(frozen=True, slots=True)
class LongFrame:
    """A long frame whose lengths and checksum are right; ``user_data`` follows the CI field."""

    control: int
    address: int
    ci: int
    user_data: bytes


def short_frame(control: int, address: int) -> bytes:
    """Return a short frame."""
    return bytes([_START_SHORT, control, address, (control + address) & 0xFF, _END])


def long_frame(control: int, address: int, ci: int, user_data: bytes) -> bytes:
    """Return a long frame."""
    body = bytes([control, address, ci]) + user_data
    head = bytes([_START_LONG, len(body), len(body), _START_LONG])
    return head + body + bytes([sum(body) & 0xFF, _END])


def parse_long(raw: bytes) -> LongFrame:
    """Return the long frame that ``raw`` is. Raises :class:`FrameRefused` with the reason."""
    if raw == ACK:
        raise FrameRefused("an acknowledgement (E5H), not a reading")
    if raw[:1] == bytes([_START_SHORT]) and len(raw) == 5:
        raise FrameRefused("a short frame: a request, not a reading")
    if len(raw) < _LONG_OVERHEAD + 3:
        raise FrameRefused(f"{len(raw)} bytes; the shortest long frame has 9")
    if raw[0] != _START_LONG or raw[3] != _START_LONG:
        raise FrameRefused(f"starts with {raw[0]:02X}H .. {raw[3]:02X}H, not with 68H .. 68H")
    if raw[1] != raw[2]:
        raise FrameRefused(f"its two length bytes differ: {raw[1]:02X}H and {raw[2]:02X}H")
    if len(raw) != raw[1] + _LONG_OVERHEAD:
        raise FrameRefused(f"{len(raw)} bytes; by its length byte the frame has {raw[1] + _LONG_OVERHEAD}")
    if raw[-1] != _END:
        raise FrameRefused(f"ends with {raw[-1]:02X}H, not with 16H")
    checksum = sum(raw[4:-2]) & 0xFF
    if raw[-2] != checksum:
        raise FrameRefused(f"checksum is {raw[-2]:02X}H, computed {checksum:02X}H")
    return LongFrame(raw[4], raw[5], raw[6], bytes(raw[7:-2]))


def demand_response(frame: LongFrame) -> None:
    """Raise :class:`FrameRefused` unless the frame is a meter's response with user data."""
    if frame.control not in _RESPONSES:
        raise FrameRefused(f"control {frame.control:02X}H is no response of a meter (08H)")


def frames_in(buffer: bytes) -> Iterator[LongFrame]:
    """Yield every long frame within bytes from a line, skipping noise, echoes and broken frames."""
    place = buffer.find(_START_LONG)
    while place >= 0:
        if place + 4 <= len(buffer):
            end = place + buffer[place + 1] + _LONG_OVERHEAD
            try:
                frame = parse_long(buffer[place:end])
            except FrameRefused:
                pass
            else:
                yield frame
                place = end - 1
        place = buffer.find(_START_LONG, place + 1)


def ack_in(buffer: bytes) -> bool | None:
    """Return ``True`` where the bytes from a line end with a single acknowledgement, else ``None``."""
    return True if buffer.endswith(ACK) else None


def select_frame(secondary: str) -> bytes:
    """Return the frame that selects the meter with a secondary address.

    ``secondary`` is the eight digits of its number, most significant first, or these and manufacturer, version and
    medium as on the wire (16 digits in all); F stands for any digit.
    """
    text = secondary.ljust(16, _ANY_DIGIT)
    return long_frame(SND_UD, BY_SECONDARY, SELECT, bytes.fromhex(text[:8])[::-1] + bytes.fromhex(text[8:]))


def secondary_of(frame: LongFrame) -> str | None:
    """Return the sender's secondary address, 16 digits; ``None`` where the frame does not tell it."""
    if frame.ci != 0x72 or len(frame.user_data) < 8:
        return None
    return (frame.user_data[:4][::-1] + frame.user_data[4:8]).hex().upper()


def matches(secondary: str, frame: LongFrame) -> bool:
    """Say whether the sender of a response has a secondary address, in which F stands for any digit."""
    sender = secondary_of(frame)
    wanted = secondary.upper().ljust(16, _ANY_DIGIT)
    return sender is not None and all(a in (b, _ANY_DIGIT) for a, b in zip(wanted, sender, strict=True))
