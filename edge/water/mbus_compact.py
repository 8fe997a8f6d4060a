"""Compact frames of M-Bus (EN 13757-3, annex G): data without record headers, whose format is known from elsewhere."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from edge.water.mbus_records import headers, records
from edge.water.mbus_security import crc16
from edge.water.register import FrameRefused

_FORMATS_MOST: Final = 100
"""Anyone can send telegrams: what they teach is bounded."""


class CompactFormats:
    """Formats by their signature, the CRC-16 of their record headers.

    A full frame teaches its format. A compact frame carries the CRC of the full frame as well, so nothing is guessed.
    """

    def __init__(self, formats: Iterable[str] = ()) -> None:
        """``formats`` are record headers in hexadecimal."""
        self._headers = {crc16(headers): headers for headers in map(bytes.fromhex, formats)}

    def learn(self, payload: bytes) -> None:
        """Take in the format of a full frame's records."""
        found = records(payload)
        if all(one.header.data_bytes is not None for one in found):
            raw = b"".join(one.header.raw for one in found)
            if len(self._headers) < _FORMATS_MOST:
                self._headers.setdefault(crc16(raw), raw)

    def expanded(self, data: bytes) -> bytes:
        """Return the records of a compact frame. Raises :class:`FrameRefused` where its format is unknown."""
        if len(data) < 4:
            raise FrameRefused("ends within the header of a compact frame")
        signature, checksum = int.from_bytes(data[:2], "little"), int.from_bytes(data[2:4], "little")
        raw = self._headers.get(signature)
        if raw is None:
            raise FrameRefused(
                f"compact frame of unknown format {signature:04X}H: needs a full frame before it, or a profile"
            )
        full = _woven(raw, data[4:])
        if crc16(full) != checksum:
            raise FrameRefused("the checksum of the compact frame does not fit its data")
        return full


def _woven(raw: bytes, data: bytes) -> bytes:
    full, place = b"", 0
    for header in headers(raw):
        length = header.data_bytes
        if length is None:
            raise FrameRefused("a compact frame's format holds data of variable length")
        full += header.raw + data[place : place + length]
        place += length
    if place != len(data):
        raise FrameRefused(f"compact frame with {len(data)} bytes of data; its format has {place}")
    return full
