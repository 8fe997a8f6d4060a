"""M-Bus between link and records: extended link layer, authentication layer, transport layer, decryption.

EN 13757-4 defines the extended link layer, EN 13757-7 the rest. What cannot be checked is refused: an unknown
layer or security mode, a key that does not fit, a wrong MAC or CRC.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

from edge.water.mbus_compact import CompactFormats
from edge.water.mbus_security import crc16, decrypt_cbc, decrypt_ctr, mac_is_right, message_key
from edge.water.profiles import mbus_compact_formats
from edge.water.register import FrameRefused

_PLAIN_MARK: Final = b"\x2f\x2f"
"""Decrypted payloads begin with two idle fillers, which prove the key."""
_MAC_BYTES: Final = {3: 2, 4: 4, 5: 8, 6: 12, 7: 16}
_WATER_MEDIA: Final = frozenset((0x06, 0x07, 0x15, 0x16, 0x17, 0x28))
"""Warm, water, hot, cold, dual register, waste water (EN 13757-7, table 13)."""
_ERRORS: Final = {
    0: "unspecified error", 1: "CI field not implemented", 2: "buffer too long", 3: "too many records",
    4: "premature end of record", 5: "more than 10 DIFE", 6: "more than 10 VIFE", 8: "application busy",
    9: "too many readouts",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Identity:
    """Who sends: as on the wire, least significant byte first."""

    number: bytes
    manufacturer: bytes
    version: int
    medium: int

    @property
    def serial(self) -> str:
        """The eight digits on the meter's face."""
        return self.number[::-1].hex()

    @property
    def maker(self) -> str:
        """Three letters."""
        code = int.from_bytes(self.manufacturer, "little")
        return "".join(chr(64 + (code >> shift & 0x1F)) for shift in (10, 5, 0))

    @property
    def model(self) -> str:
        """Maker, version and medium, as profiles name a model."""
        return f"{self.maker}-{self.version:02X}-{self.medium:02X}"

    @property
    def address(self) -> bytes:
        """Manufacturer, number, version, medium, as in an initialisation vector."""
        return self.manufacturer + self.number + bytes([self.version, self.medium])


@dataclass(frozen=True, slots=True)
class Message:
    """Records in the clear, from whom, and the status byte beside them."""

    identity: Identity | None
    status: int
    payload: bytes


@dataclass(frozen=True, slots=True)
class Secrets:
    """What is known to open a message: the meter's key, and formats of compact frames."""

    key: bytes | None = None
    formats: CompactFormats = field(default_factory=lambda: CompactFormats(mbus_compact_formats()))


@dataclass(frozen=True, slots=True)
class _Authentication:
    control: bytes
    counter: bytes
    length: bytes
    mac: bytes


def demand_water(identity: Identity | None, any_medium: bool) -> None:
    """Raise :class:`FrameRefused` where the sender is no water meter."""
    if identity is not None and not any_medium and identity.medium not in _WATER_MEDIA:
        raise FrameRefused(
            f"medium {identity.medium:02X}H is not water; a profile with any_medium takes it all the same"
        )


def open_message(ci: int, data: bytes, sender: Identity | None, secrets: Secrets) -> Message:
    """Open what follows a link layer: ``ci`` and ``data`` after it. Raises :class:`FrameRefused`."""
    if ci in (0x8C, 0x8D, 0x8E, 0x8F):
        if sender is None:
            raise FrameRefused(f"CI {ci:02X}H belongs to wireless M-Bus")
        ci, data, sender = _extended_link(ci, data, sender, secrets)
    authentication = None
    if ci == 0x90:
        authentication, ci, data = _authentication(data)
    return _transport(ci, data, sender, secrets, authentication)


# -- extended link layer (EN 13757-4, clause 13) ---------------------------------------------------------


def _extended_link(ci: int, data: bytes, sender: Identity, secrets: Secrets) -> tuple[int, bytes, Identity]:
    communication, place = data[:1], 2
    if ci in (0x8E, 0x8F):
        other = _identity(data[place + 2 : place + 6], data[place : place + 2], data[place + 6 : place + 8])
        sender, place = other, place + 8
    if ci in (0x8D, 0x8F):
        session = data[place : place + 4]
        data = _session(communication, session, data[place + 4 :], sender, secrets)
    else:
        data = data[place:]
    if len(data) < 2:
        raise FrameRefused("ends within the extended link layer")
    return data[0], data[1:], sender


def _session(communication: bytes, session: bytes, rest: bytes, sender: Identity, secrets: Secrets) -> bytes:
    if len(session) < 4 or len(rest) < 3:
        raise FrameRefused("ends within the extended link layer")
    encryption = session[3] >> 5
    if encryption not in (0, 1):
        raise FrameRefused(f"encryption {encryption} of the extended link layer is unknown")
    if _crc_fits(rest):
        return rest[2:]
    if not encryption:
        raise FrameRefused("CRC of the extended link layer is wrong")
    if secrets.key is None:
        raise FrameRefused("encrypted (AES-CTR of the extended link layer): needs the meter's key")
    iv = sender.address + communication + session + b"\x00" * 3
    rest = decrypt_ctr(_aes_key(secrets.key), iv, rest)
    if not _crc_fits(rest):
        raise FrameRefused("the key does not fit: CRC of the extended link layer is wrong after decryption")
    return rest[2:]


def _crc_fits(rest: bytes) -> bool:
    return int.from_bytes(rest[:2], "little") == crc16(rest[2:])


# -- authentication and fragmentation layer (EN 13757-7, clause 6) ---------------------------------------


def _authentication(data: bytes) -> tuple[_Authentication, int, bytes]:
    length = data[0] if data else 0
    if length < 2 or len(data) < length + 2:
        raise FrameRefused("ends within the authentication layer")
    control, rest = int.from_bytes(data[1:3], "little"), data[3 : length + 1]
    if control & 0x4000:
        raise FrameRefused("one fragment of a longer message (AFL.MF): not supported")
    message_control, rest = _cut(rest, 1 if control & 0x2000 else 0)
    _key_information, rest = _cut(rest, 2 if control & 0x0200 else 0)
    counter, rest = _cut(rest, 4 if control & 0x0800 else 0)
    mac_bytes = _MAC_BYTES.get(message_control[0] & 0x0F, 0) if message_control else 0
    if control & 0x0400 and not mac_bytes:
        raise FrameRefused("the authentication layer has a MAC of an unknown kind")
    mac, rest = _cut(rest, mac_bytes if control & 0x0400 else 0)
    message_length, rest = _cut(rest, 2 if control & 0x1000 else 0)
    if rest:
        raise FrameRefused("the authentication layer's length does not fit its fields")
    found = _Authentication(message_control, counter, message_length, mac)
    return found, data[length + 1], data[length + 2 :]


def _cut(data: bytes, length: int) -> tuple[bytes, bytes]:
    if len(data) < length:
        raise FrameRefused("the authentication layer's length does not fit its fields")
    return data[:length], data[length:]


# -- transport layer (EN 13757-7, clause 7) --------------------------------------------------------------


def _transport(
    ci: int, data: bytes, sender: Identity | None, secrets: Secrets, authentication: _Authentication | None
) -> Message:
    if ci == 0x78:
        return Message(sender, 0, data)
    if ci == 0x79:
        return Message(sender, 0, secrets.formats.expanded(data))
    if ci in (0x72, 0x73):
        if ci == 0x73 and sender is None:
            raise FrameRefused("fixed data structure (CI 73H), withdrawn from EN 13757-3: not decoded")
        sender = _identity(data[:4], data[4:6], data[6:8])
        head, body = data[8:12], data[12:]
    elif ci in (0x7A, 0x7B):
        head, body = data[:4], data[4:]
    else:
        raise FrameRefused(_reason_for(ci, data))
    if len(head) < 4:
        raise FrameRefused("ends within the transport layer's header")
    access, status, configuration = head[0], head[1], int.from_bytes(head[2:4], "little")
    compact = ci in (0x73, 0x7B)
    message = bytes([ci]) + data
    body = _Sealed(configuration, access, body, message, sender, secrets, authentication).opened()
    return Message(sender, status, secrets.formats.expanded(_unfilled(body)) if compact else body)


def _unfilled(body: bytes) -> bytes:
    """A compact frame in the clear, without the idle filler around it that encryption needs."""
    return body.removeprefix(_PLAIN_MARK).rstrip(_PLAIN_MARK[:1])


def _identity(number: bytes, manufacturer: bytes, kind: bytes) -> Identity:
    if len(number) + len(manufacturer) + len(kind) < 8:
        raise FrameRefused("ends within a meter's identity")
    return Identity(number, manufacturer, kind[0], kind[1])


def _reason_for(ci: int, data: bytes) -> str:
    if ci == 0x70:
        text = _ERRORS.get(data[0], f"code {data[0]:02X}H") if data else "unspecified error"
        return f"the meter reports an error: {text}"
    if ci == 0x71:
        return "an alarm of the meter (CI 71H), not a reading"
    if 0xA0 <= ci <= 0xB7:
        return f"the manufacturer's own format (CI {ci:02X}H): only its own driver can read it"
    if ci in (0x51, 0x52, 0x53, 0x5A, 0x5B, 0x5C, 0x54, 0x50):
        return f"a request or command to a meter (CI {ci:02X}H), not a reading"
    return f"CI {ci:02X}H is not among those that carry a reading"


@dataclass(frozen=True, slots=True)
class _Sealed:
    """A transport layer's body, to be opened by its security mode."""

    configuration: int
    access: int
    body: bytes
    message: bytes
    sender: Identity | None
    secrets: Secrets
    authentication: _Authentication | None

    def opened(self) -> bytes:
        mode = self.configuration >> 8 & 0x1F
        if mode == 0:
            return self.body
        if mode == 5:
            return self._with_key(self.body, self._mode_5)
        if mode == 7:
            if not self.body:
                raise FrameRefused("ends within the transport layer's header")
            return self._with_key(self.body[1:], self._mode_7)
        raise FrameRefused(f"security mode {mode} is not supported (0, 5 and 7 are)")

    def _with_key(self, body: bytes, open_with: Callable[[bytes, bytes], bytes]) -> bytes:
        if body.startswith(_PLAIN_MARK):
            return body
        if self.secrets.key is None:
            raise FrameRefused("encrypted: needs the meter's key")
        blocks = self.configuration >> 4 & 0x0F
        if len(body) < blocks * 16 or not blocks:
            raise FrameRefused(f"{len(body)} bytes; {blocks} encrypted blocks of 16 do not fit")
        opened = open_with(_aes_key(self.secrets.key), body[: blocks * 16])
        if not opened.startswith(_PLAIN_MARK):
            raise FrameRefused("the key does not fit: no 2FH 2FH after decryption")
        return opened + body[blocks * 16 :]

    def _mode_5(self, key: bytes, data: bytes) -> bytes:
        if self.sender is None:
            raise FrameRefused("encrypted, and the sender's address, which decryption needs, is missing")
        return decrypt_cbc(key, self.sender.address + bytes([self.access]) * 8, data)

    def _mode_7(self, key: bytes, data: bytes) -> bytes:
        layer = self.authentication
        if self.sender is None or layer is None or len(layer.counter) != 4:
            raise FrameRefused("security mode 7 without a message counter")
        if layer.mac:
            text = layer.control + layer.counter + layer.length + self.message
            if not mac_is_right(key, layer.counter, self.sender.number, text, layer.mac):
                raise FrameRefused("the key does not fit, or the message was changed: its MAC is wrong")
        return decrypt_cbc(message_key(key, layer.counter, self.sender.number), bytes(16), data)


def _aes_key(key: bytes) -> bytes:
    if len(key) != 16:
        raise FrameRefused(f"the key has {len(key)} bytes; AES-128 takes 16")
    return key
