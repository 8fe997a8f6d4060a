"""Binary coded decimals, least significant byte first, as CJ/T 188 and EN 13757 send them."""

from __future__ import annotations


def digits(data: bytes) -> str | None:
    """Return the digits, most significant first; ``None`` where a half byte is no decimal digit."""
    text = data[::-1].hex()
    return text if text.isdecimal() else None


def number(data: bytes) -> int | None:
    """Return the number; ``None`` where a half byte is no decimal digit."""
    text = digits(data)
    return None if text is None else int(text)


def encoded(value: int, length: int) -> bytes:
    """Return ``value`` in ``length`` bytes. Raises ``ValueError`` where it does not fit."""
    text = f"{value:0{length * 2}d}"
    if value < 0 or len(text) != length * 2:
        raise ValueError(f"{value} does not fit into {length * 2} digits")
    return bytes.fromhex(text)[::-1]
