"""Enrolment codes: what an installer types so that a device fetches its identity. Kept as their SHA-256 only.

A code is for one device, works once, and is over after a while. Redeeming it gives the device a new broker password, so
what somebody else may have of it before is worth nothing from then on.
"""

from __future__ import annotations

import hashlib
import re
import secrets
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final, Literal

from sqlalchemy import select
from sqlalchemy.orm import Session

from store.registry.models import Device, Enrolment
from store.registry.provisioning import set_device_password

_ALPHABET: Final = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
"""Crockford's base 32: no I, L, O or U, which people take for others."""
_LENGTH: Final = 12
_READ_AS: Final = str.maketrans("ILO", "110")
USUAL: Final = timedelta(days=2)
LONGEST: Final = timedelta(days=30)

Refusal = Literal["unknown", "used", "over", "disabled", "other"]


class CodeRefused(ValueError):
    """A code gives nothing; ``reason`` says why."""

    def __init__(self, reason: Refusal) -> None:
        super().__init__(reason)
        self.reason: Refusal = reason


@dataclass(frozen=True, slots=True)
class Enrolled:
    """What a redeemed code gives: the device and its new broker password, which is kept nowhere."""

    device: Device
    password: str


def make_code(
    session: Session, device: Device, *, who: str, now: datetime, valid_for: timedelta = USUAL
) -> tuple[Enrolment, str]:
    """Make a code for a device and return it as it is typed; codes made before for the device end.

    Raises ``ValueError`` for a time too long.
    """
    if not timedelta(0) < valid_for <= LONGEST:
        raise ValueError(f"an enrolment code is valid for at most {LONGEST.days} days")
    for row in _open(session, device):
        row.expires_at = min(row.expires_at, now)
    code = "".join(secrets.choice(_ALPHABET) for _ in range(_LENGTH))
    row = Enrolment(
        site=device.site, device=device.name, code_sha256=_digest(code), made_by=who, made_at=now,
        expires_at=now + valid_for,
    )  # fmt: skip
    session.add(row)
    session.flush()
    return row, "-".join(code[at : at + 4] for at in range(0, _LENGTH, 4))


def redeem(session: Session, text: str, now: datetime, *, device: str | None = None) -> Enrolled:
    """Use a code up and give its device a new password.

    ``device``, as SITE/NAME, is the one that asks, where it has a name already. Raises :class:`CodeRefused`.
    """
    code = normalized(text)
    row = session.scalars(select(Enrolment).where(Enrolment.code_sha256 == _digest(code))).one_or_none()
    if row is None:
        raise CodeRefused("unknown")
    if row.used_at is not None:
        raise CodeRefused("used")
    if row.expires_at <= now:
        raise CodeRefused("over")
    if device not in (None, f"{row.site}/{row.device}"):
        raise CodeRefused("other")
    found = session.get_one(Device, (row.site, row.device))
    if not found.enabled:
        raise CodeRefused("disabled")
    row.used_at = now
    return Enrolled(found, set_device_password(session, row.site, row.device))


def normalized(text: str) -> str:
    """Return a code as it was made from what was typed: without spaces and dashes, letters that look alike as one."""
    return re.sub(r"[\s-]", "", text).upper().translate(_READ_AS)[:64]


def _open(session: Session, device: Device) -> list[Enrolment]:
    wanted = select(Enrolment).where(
        Enrolment.site == device.site, Enrolment.device == device.name, Enrolment.used_at.is_(None)
    )
    return list(session.scalars(wanted))


def _digest(code: str) -> str:
    return hashlib.sha256(b"quietwater enrolment " + code.encode()).hexdigest()
