"""Frames of HJ 212: ``##``, length, data segment, CRC, CR LF. Pure.

The CRC is the standard's own (annex A of HJ 212-2017): of the 16-bit register only the high byte goes into the next
step, which CRC-16/MODBUS does otherwise, so that no library for that one gives the same.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final, Literal

MOST_SEGMENT: Final = 1024
"""Characters of a data segment."""
_HEAD: Final = 6
_TAIL: Final = 6

Fault = Literal["noise", "length", "crc", "end"]


class SegmentTooLong(ValueError):
    """A data segment has more characters than a frame takes."""


@dataclass(frozen=True, slots=True)
class BadFrame:
    """Bytes that are no frame, and why: no ``##``, a bad length, a wrong CRC, no CR LF."""

    fault: Fault
    raw: bytes


def crc(segment: bytes) -> int:
    """Return the CRC of a data segment."""
    register = 0xFFFF
    for byte in segment:
        register = (register >> 8) ^ byte
        for _ in range(8):
            low = register & 1
            register >>= 1
            if low:
                register ^= 0xA001
    return register


def encode(segment: str) -> bytes:
    """Return the frame of a data segment. Raises :class:`SegmentTooLong`."""
    body = segment.encode("gb18030")
    if len(body) > MOST_SEGMENT:
        raise SegmentTooLong(f"a data segment has at most {MOST_SEGMENT} characters, not {len(body)}")
    return b"##%04d%s%04X\r\n" % (len(body), body, crc(body))


class Deframer:
    """Takes bytes as they come and yields data segments; what is no frame is told and passed over."""

    def __init__(self) -> None:
        self._buffer = bytearray()

    def feed(self, data: bytes) -> Iterator[str | BadFrame]:
        """Yield what is complete; what is kept for the next time is less than one frame."""
        self._buffer += data
        while (one := self._take()) is not None:
            yield one

    def _take(self) -> str | BadFrame | None:
        buffer = self._buffer
        start = buffer.find(b"##")
        if start < 0:
            # The last byte may be the first half of the next beginning.
            start = len(buffer) - buffer.endswith(b"#")
        if start > 0:
            before = self._drop(start, "noise")
            return before if before.raw.strip() else self._take()
        if len(buffer) < _HEAD:
            return None
        digits = bytes(buffer[2:_HEAD])
        if not digits.isdigit() or int(digits) > MOST_SEGMENT:
            return self._drop(2, "length")
        size = int(digits)
        if len(buffer) < _HEAD + size + _TAIL:
            return None
        return self._frame(size)

    def _frame(self, size: int) -> str | BadFrame:
        buffer = self._buffer
        segment = bytes(buffer[_HEAD : _HEAD + size])
        tail = bytes(buffer[_HEAD + size : _HEAD + size + _TAIL])
        # A wrong length would swallow the next frame: go on right behind the beginning.
        if tail[4:] != b"\r\n":
            return self._drop(2, "end")
        if tail[:4].upper() != b"%04X" % crc(segment):
            return self._drop(_HEAD + size + _TAIL, "crc")
        del buffer[: _HEAD + size + _TAIL]
        return segment.decode("gb18030", errors="replace")

    def _drop(self, count: int, fault: Fault) -> BadFrame:
        raw = bytes(self._buffer[:count])
        del self._buffer[:count]
        return BadFrame(fault, raw)
