"""Tokens of programs: each acts as its user, as far as its scopes go. Kept as their SHA-256 only."""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Final, Literal, get_args

from sqlalchemy import select
from sqlalchemy.orm import Session

from store.registry.models import ApiToken

Scope = Literal["read", "acknowledge", "administer", "metrics"]
SCOPES: Final[tuple[Scope, ...]] = get_args(Scope)
PREFIX: Final = "qwt_"
"""Tokens begin with this, so that scanners for leaked secrets can know them."""
LONGEST: Final = timedelta(days=366)
MOST: Final = 20
"""Tokens of one user."""
_USED_EVERY: Final = timedelta(hours=1)


class TooManyTokens(ValueError):
    """The user has as many tokens as anybody may have."""


def make_token(
    session: Session, user_id: int, name: str, scopes: Iterable[str], *, now: datetime, valid_for: timedelta
) -> tuple[ApiToken, str]:
    """Make a token and return it with its text, which is kept nowhere.

    Raises :class:`TooManyTokens`, and ``ValueError`` for an unknown scope, none at all, or a time too long.
    """
    wanted = sorted(set(scopes))
    unknown = [one for one in wanted if one not in SCOPES]
    if unknown or not wanted:
        raise ValueError(f"scopes are some of {', '.join(SCOPES)}, not {', '.join(unknown) or 'none'}")
    if not timedelta(0) < valid_for <= LONGEST:
        raise ValueError(f"a token is valid for at most {LONGEST.days} days")
    if len(tokens_of(session, user_id)) >= MOST:
        raise TooManyTokens(f"nobody has more than {MOST} tokens; remove one first")
    text = PREFIX + secrets.token_urlsafe(32)
    row = ApiToken(
        user_id=user_id, name=name, token_sha256=_digest(text), scopes=wanted, created_at=now,
        expires_at=now + valid_for,
    )  # fmt: skip
    session.add(row)
    session.flush()
    return row, text


def find_token(session: Session, text: str, now: datetime) -> ApiToken | None:
    """Return the token of a text unless it is over or its user disabled."""
    if not text.startswith(PREFIX) or len(text) > 200:
        return None
    row = session.scalars(select(ApiToken).where(ApiToken.token_sha256 == _digest(text))).one_or_none()
    if row is None or row.expires_at <= now or row.user.disabled:
        return None
    return row


def tokens_of(session: Session, user_id: int) -> list[ApiToken]:
    """Return a user's tokens, those that are over included."""
    return list(session.scalars(select(ApiToken).where(ApiToken.user_id == user_id).order_by(ApiToken.id)))


def wants_note(row: ApiToken, now: datetime) -> bool:
    """Say whether the last use should be written down anew: once an hour, not at every request."""
    return row.used_at is None or now - row.used_at >= _USED_EVERY


def note_use(session: Session, token_id: int, now: datetime) -> None:
    """Write down that a token was used."""
    row = session.get(ApiToken, token_id)
    if row is not None:
        row.used_at = now


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()
