"""Passwords that Quietwater makes up, for persons, devices and brokers.

They are read aloud, typed from a screen and pasted into command lines, so they hold letters and digits alone: none
that are taken for one another (0 O, 1 l I), and no sign that a shell or an option parser reads as its own.
"""

from __future__ import annotations

import secrets

_ALPHABET = "abcdefghijkmnopqrstuvwxyzABCDEFGHJKLMNPQRSTUVWXYZ23456789"
PERSON_LENGTH = 20
"""116 bits: behind Argon2 and a throttle."""
MACHINE_LENGTH = 32
"""186 bits: behind a cheaper hash, since brokers check it at each connection."""


def for_person() -> str:
    """Return a new password for a person."""
    return _make(PERSON_LENGTH)


def for_machine() -> str:
    """Return a new password for a device or a process."""
    return _make(MACHINE_LENGTH)


def _make(length: int) -> str:
    return "".join(secrets.choice(_ALPHABET) for _ in range(length))
