"""MQTT 3.1.1 packets, as far as devices need them. Pure: no socket, no state but the parser's rest.

A client library costs a thread or tens of microseconds a message; ten thousand devices in one process need neither.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

CONNACK, PUBLISH, PUBACK, SUBACK, PINGRESP = 2, 3, 4, 9, 13
PINGREQ: Final = b"\xc0\x00"
DISCONNECT: Final = b"\xe0\x00"
_LONGEST: Final = 1 << 21


class BadPacket(Exception):
    """The broker sent what is no MQTT."""


@dataclass(frozen=True, slots=True)
class Login:
    """Who a connection is: client id, user and password, and the status it leaves behind when it breaks."""

    client_id: str
    username: str | None = None
    password: str | None = None
    will_topic: str | None = None
    will_payload: bytes = b""
    clean: bool = False


def connect(login: Login, keepalive_s: int) -> bytes:
    """Return CONNECT; the will is retained, at QoS 1."""
    flags = 0x02 if login.clean else 0
    parts = [_text(login.client_id)]
    if login.will_topic is not None:
        flags |= 0x04 | 0x08 | 0x20
        parts += [_text(login.will_topic), len(login.will_payload).to_bytes(2, "big") + login.will_payload]
    if login.username is not None:
        flags |= 0x80 | 0x40
        parts += [_text(login.username), _text(login.password or "")]
    body = b"\x00\x04MQTT\x04" + bytes([flags]) + keepalive_s.to_bytes(2, "big") + b"".join(parts)
    return _packet(0x10, body)


def subscribe(mid: int, filters: Sequence[str], qos: int) -> bytes:
    """Return SUBSCRIBE."""
    return _packet(0x82, mid.to_bytes(2, "big") + b"".join(_text(one) + bytes([qos]) for one in filters))


def publish(topic: bytes, payload: bytes, mid: int, *, retain: bool = False) -> bytes:
    """Return PUBLISH at QoS 1."""
    body = b"".join((len(topic).to_bytes(2, "big"), topic, mid.to_bytes(2, "big"), payload))
    return _packet(0x33 if retain else 0x32, body)


def puback(mid: int) -> bytes:
    """Return PUBACK."""
    return b"\x40\x02" + mid.to_bytes(2, "big")


def published(head: int, body: bytes) -> tuple[str, bytes, int]:
    """Return topic, payload and number (0 at QoS 0) of a PUBLISH. Raises :class:`BadPacket`."""
    size = int.from_bytes(body[:2], "big")
    at = 2 + size + (2 if head & 0x06 else 0)
    if at > len(body):
        raise BadPacket(f"a PUBLISH of {len(body)} bytes that says its topic has {size}")
    mid = int.from_bytes(body[at - 2 : at], "big") if head & 0x06 else 0
    return body[2 : 2 + size].decode("utf-8", "replace"), body[at:], mid


class Parser:
    """Cuts what arrives into packets."""

    def __init__(self) -> None:
        self._rest = b""

    def feed(self, data: bytes) -> Iterator[tuple[int, bytes]]:
        """Yield (first byte, body) of each whole packet. Raises :class:`BadPacket`."""
        data = self._rest + data if self._rest else data
        at = 0
        while True:
            begin, size = _length(data, at)
            if begin == 0 or begin + size > len(data):
                break
            yield data[at], data[begin : begin + size]
            at = begin + size
        self._rest = data[at:]


def _length(data: bytes, at: int) -> tuple[int, int]:
    """Return where a packet's body begins and how long it is; (0, 0) while that is not known."""
    size = 0
    for n in range(4):
        if at + 1 + n >= len(data):
            return 0, 0
        byte = data[at + 1 + n]
        size |= (byte & 127) << (7 * n)
        if size > _LONGEST:
            raise BadPacket(f"a packet of more than {_LONGEST} bytes")
        if byte < 128:
            return at + 2 + n, size
    raise BadPacket("a length of more than four bytes")


def _text(text: str) -> bytes:
    raw = text.encode()
    return len(raw).to_bytes(2, "big") + raw


def _packet(head: int, body: bytes) -> bytes:
    length, size = bytearray(), len(body)
    while True:
        size, low = divmod(size, 128)
        length.append(low | (128 if size else 0))
        if not size:
            return bytes([head]) + bytes(length) + body
