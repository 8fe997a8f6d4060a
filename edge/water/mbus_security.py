"""Decryption and authentication of M-Bus telegrams (EN 13757-7, OMS volume 2), with ``cryptography``."""

from __future__ import annotations

import hmac

from cryptography.hazmat.primitives.ciphers import Cipher
from cryptography.hazmat.primitives.ciphers.algorithms import AES
from cryptography.hazmat.primitives.ciphers.modes import CBC, CTR
from cryptography.hazmat.primitives.cmac import CMAC

_POLYNOMIAL = 0x3D65
_DERIVE_ENCRYPTION = 0x00
_DERIVE_MAC = 0x01


def decrypt_cbc(key: bytes, iv: bytes, data: bytes) -> bytes:
    """AES-128-CBC of whole blocks: security modes 5 and 7."""
    decryptor = Cipher(AES(key), CBC(iv)).decryptor()
    return decryptor.update(data) + decryptor.finalize()


def decrypt_ctr(key: bytes, iv: bytes, data: bytes) -> bytes:
    """AES-128-CTR: encryption of the extended link layer."""
    decryptor = Cipher(AES(key), CTR(iv)).decryptor()
    return decryptor.update(data) + decryptor.finalize()


def message_key(key: bytes, counter: bytes, meter_id: bytes) -> bytes:
    """Derive the encryption key of one message from the meter's key (security mode 7)."""
    return _cmac(key, bytes([_DERIVE_ENCRYPTION]) + counter + meter_id + b"\x07" * 7)


def mac_is_right(key: bytes, counter: bytes, meter_id: bytes, message: bytes, mac: bytes) -> bool:
    """Say whether a message's (truncated) CMAC is right."""
    mac_key = _cmac(key, bytes([_DERIVE_MAC]) + counter + meter_id + b"\x07" * 7)
    return hmac.compare_digest(_cmac(mac_key, message)[: len(mac)], mac)


def _cmac(key: bytes, data: bytes) -> bytes:
    mac = CMAC(AES(key))
    mac.update(data)
    return mac.finalize()


def crc16(data: bytes) -> int:
    """CRC-16 of EN 13757-4: polynomial 3D65H, inverted."""
    crc = 0
    for byte in data:
        crc = (crc << 8 & 0xFFFF) ^ _TABLE[crc >> 8 ^ byte]
    return crc ^ 0xFFFF


def _table() -> tuple[int, ...]:
    entries: list[int] = []
    for byte in range(256):
        crc = byte << 8
        for _ in range(8):
            crc = (crc << 1 ^ (_POLYNOMIAL if crc & 0x8000 else 0)) & 0xFFFF
        entries.append(crc)
    return tuple(entries)


_TABLE = _table()
