"""One-time passwords beside the password (TOTP, RFC 6238), with recovery codes. The one file that imports pyotp.

A code counts once: its time step is kept, and no code of that step or an earlier one is taken again. Recovery codes are
kept as their SHA-256 and go when they are used.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
from dataclasses import dataclass
from datetime import datetime
from typing import Final, Literal

from pyotp import random_base32
from pyotp.totp import TOTP
from sqlalchemy.orm import Session

from store.registry.models import SecondFactor, User

ISSUER: Final = "Quietwater"
STEP_S: Final = 30
RECOVERY_CODES: Final = 10
_DRIFT_STEPS: Final = 1
"""A phone's clock may be off by half a minute either way."""

Judgement = Literal["not_needed", "missing", "good", "wrong"]


@dataclass(frozen=True, slots=True)
class Enrolment:
    """What goes into the person's phone: the secret, and the address that the QR code holds."""

    secret: str
    uri: str


def enrol(session: Session, user: User) -> Enrolment:
    """Make a new secret, which counts from :func:`confirm` on. Raises ``ValueError`` where one is in force."""
    row = session.get(SecondFactor, user.id)
    if row is not None and row.confirmed_at is not None:
        raise ValueError("one-time passwords are in use already; end them first")
    secret = random_base32()
    if row is None:
        row = SecondFactor(user_id=user.id, secret=secret, last_step=0, recovery=[])
        session.add(row)
    row.secret, row.last_step = secret, 0
    return Enrolment(secret, TOTP(secret).provisioning_uri(name=user.name, issuer_name=ISSUER))


def confirm(session: Session, user: User, code: str, now: datetime) -> list[str]:
    """Put the secret in force by a first code from the phone, and return the recovery codes, which are kept nowhere.

    Raises ``ValueError`` for a wrong code, or where nothing was begun.
    """
    row = session.get(SecondFactor, user.id)
    if row is None or row.confirmed_at is not None:
        raise ValueError("begin with a new secret first")
    if not _take_step(row, code, now):
        raise ValueError("the code is wrong; is the phone's clock right?")
    codes = [f"{secrets.token_hex(3)}-{secrets.token_hex(3)}" for _ in range(RECOVERY_CODES)]
    row.confirmed_at = now
    row.recovery = [_digest(one) for one in codes]
    return codes


def in_force(session: Session, user_id: int) -> SecondFactor | None:
    """Return a user's second factor if it counts."""
    row = session.get(SecondFactor, user_id)
    return row if row is not None and row.confirmed_at is not None else None


def judge(session: Session, user_id: int, code: str | None, now: datetime) -> Judgement:
    """Judge what came with a password, and use it up: within a transaction that is committed."""
    row = in_force(session, user_id)
    if row is None:
        return "not_needed"
    if not code:
        return "missing"
    digest = _digest(code)
    if any(hmac.compare_digest(digest, kept) for kept in row.recovery):
        row.recovery = [kept for kept in row.recovery if kept != digest]
        return "good"
    return "good" if _take_step(row, code, now) else "wrong"


def remove(session: Session, user_id: int) -> bool:
    """End one-time passwords of a user; return whether there were any."""
    row = session.get(SecondFactor, user_id)
    if row is None:
        return False
    session.delete(row)
    return True


def _take_step(row: SecondFactor, code: str, now: datetime) -> bool:
    text = code.replace(" ", "")
    if not (text.isascii() and text.isdigit()):
        return False
    totp = TOTP(row.secret)
    present = int(now.timestamp()) // STEP_S
    for step in range(present - _DRIFT_STEPS, present + _DRIFT_STEPS + 1):
        if step > row.last_step and hmac.compare_digest(totp.at(step * STEP_S), text):
            row.last_step = step
            return True
    return False


def _digest(code: str) -> str:
    return hashlib.sha256(code.strip().lower().encode()).hexdigest()
