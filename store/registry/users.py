"""People: their passwords (Argon2id), the sites they may see, and their sessions.

The one file that imports argon2. A session's token goes to the browser and is kept here as its SHA-256 only, so that
a copy of the database opens no session.
"""

from __future__ import annotations

import hashlib
import re
import secrets
import threading
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cache
from typing import Final, Literal, cast, get_args

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError
from sqlalchemy import delete, func, select
from sqlalchemy.orm import Session, joinedload

from store.registry import passwords
from store.registry.models import LoginSession, Site, User, UserSite

Role = Literal["admin", "bureau", "water_office", "manager", "committee", "viewer"]
Language = Literal["zh", "en"]
ROLES: Final[tuple[Role, ...]] = get_args(Role)
SITE_BOUND_ROLES: Final = frozenset({"manager", "committee", "viewer"})
"""Roles that see the sites they were given; the others see every site."""
PASSWORD_LEAST: Final = 10
PASSWORD_MOST: Final = 256
ADMIN_NAME: Final = "admin"

_NAME: Final = re.compile(r"[^\W_][\w.@-]{0,63}")
_HASHER: Final = PasswordHasher()
_HASHING: Final = threading.BoundedSemaphore(2)
"""A hash takes 64 MiB and a core: a flood of logins waits here instead of taking the memory of everything else."""
_OFFICE_IDLE: Final = timedelta(hours=12)
_PHONE_IDLE: Final = timedelta(days=30)
_LONGEST: Final = timedelta(days=180)


class NameTaken(ValueError):
    """There is a user of that name."""


class WeakPassword(ValueError):
    """The password is too short, too long or the user's name; the message says which."""


class NoSuchUser(LookupError):
    """There is no user of that name."""


@dataclass(frozen=True, slots=True)
class OpenedSession:
    """A session that was just opened: what the browser gets."""

    token: str
    csrf_token: str
    expires_at: datetime


# -- users -----------------------------------------------------------------------------------------------------


def create_user(
    session: Session, name: str, password: str, *, role: Role, now: datetime, sites: Iterable[str] = (),
    language: Language = "zh",
) -> User:  # fmt: skip
    """Make a user. ``sites`` are what a manager or viewer may see.

    Raises :class:`NameTaken`, :class:`WeakPassword`, and ``ValueError`` for a bad name, role, language or site.
    """
    _demand_name(name)
    demand_password(password, name)
    if role not in ROLES:
        raise ValueError(f"role must be one of {', '.join(ROLES)}, not {role!r}")
    if language not in get_args(Language):
        raise ValueError(f"language must be zh or en, not {language!r}")
    if find_user(session, name):
        raise NameTaken(f"there is a user {name!r} already")
    user = User(
        name=name, password_hash=hash_password(password), role=role, language=language, created_at=now
    )
    session.add(user)
    session.flush()
    set_sites(session, user, sites)
    return user


def set_sites(session: Session, user: User, sites: Iterable[str]) -> None:
    """Replace the sites that a user may see. Raises ``ValueError`` that names an unknown site."""
    wanted = sorted(set(sites))
    known = set(session.scalars(select(Site.name).where(Site.name.in_(wanted))))
    unknown = [name for name in wanted if name not in known]
    if unknown:
        raise ValueError(f"there is no site {unknown[0]!r}")
    user.sites = [
        row if row is not None else UserSite(user_id=user.id, site=name)
        for name, row in (
            (name, next((one for one in user.sites if one.site == name), None)) for name in wanted
        )
    ]
    session.flush()


def find_user(session: Session, name: str) -> User | None:
    """Return the user of a name; upper and lower case are one."""
    exact = session.scalars(select(User).where(User.name == name)).one_or_none()
    return exact or session.scalars(select(User).where(func.lower(User.name) == name.lower())).first()


def set_password(session: Session, user: User, password: str) -> None:
    """Give a user another password and end all their sessions. Raises :class:`WeakPassword`."""
    demand_password(password, user.name)
    replace_hash(session, user, hash_password(password))


def replace_hash(session: Session, user: User, password_hash: str) -> None:
    """Give a user a password by its hash, made before the transaction began, and end all their sessions."""
    user.password_hash = password_hash
    close_sessions_of(session, user.id)


def ensure_admin(session: Session, now: datetime) -> str | None:
    """Make the user ``admin`` where there is no user at all; return its password, which is kept nowhere.

    Returns ``None`` on every later start.
    """
    if session.scalar(select(func.count()).select_from(User)):
        return None
    password = passwords.for_person()
    create_user(session, ADMIN_NAME, password, role="admin", now=now)
    return password


# -- passwords -------------------------------------------------------------------------------------------------


def demand_password(password: str, name: str) -> None:
    """Raise :class:`WeakPassword` unless the password is long enough and not the name."""
    if len(password) < PASSWORD_LEAST:
        raise WeakPassword(f"a password has at least {PASSWORD_LEAST} characters")
    if len(password) > PASSWORD_MOST:
        raise WeakPassword(f"a password has at most {PASSWORD_MOST} characters")
    if name.lower() in password.lower() and len(name) * 2 > len(password):
        raise WeakPassword("the password must not be the user's name")


def hash_password(password: str) -> str:
    """Return the Argon2id hash of a password (RFC 9106, low-memory parameters of the library)."""
    with _HASHING:
        return _HASHER.hash(password)


def password_fits(password_hash: str, password: str) -> bool:
    """Say whether a password belongs to a hash."""
    with _HASHING:
        try:
            return _HASHER.verify(password_hash, password)
        except (VerificationError, InvalidHashError):
            return False


def verify(session: Session, name: str, password: str) -> User | None:
    """Return the user whose name and password these are, unless disabled; else ``None``.

    An unknown name takes as long as a wrong password, so that the answer's time tells no names. Give a session for
    reading: hashing takes long, and a writer would hold the whole database meanwhile.
    """
    user = find_user(session, name)
    fits = password_fits(user.password_hash if user else _nobodys_hash(), password[: PASSWORD_MOST + 1])
    return user if user and fits and not user.disabled else None


def outdated_hash(user: User) -> bool:
    """Say whether a user's hash was made with other parameters than today's and should be made anew."""
    return _HASHER.check_needs_rehash(user.password_hash)


@cache
def _nobodys_hash() -> str:
    return _HASHER.hash(secrets.token_urlsafe(15))


def role_of(user: User) -> Role:
    """Return a user's role; one that this version does not know has no rights in any table."""
    return cast(Role, user.role)


# -- sites -----------------------------------------------------------------------------------------------------


def visible_sites(user: User) -> frozenset[str] | None:
    """Return the names of the sites that a user may see, or ``None`` for every site."""
    if user.role not in SITE_BOUND_ROLES:
        return None
    return frozenset(row.site for row in user.sites)


# -- sessions --------------------------------------------------------------------------------------------------


def open_session(session: Session, user: User, now: datetime) -> OpenedSession:
    """Open a session for a user whose password was verified, and clear away those that are over."""
    session.execute(delete(LoginSession).where(LoginSession.expires_at <= now))
    token, csrf = secrets.token_urlsafe(32), secrets.token_urlsafe(24)
    expires = now + _idle_time(user)
    session.add(
        LoginSession(
            token_sha256=_digest(token), user_id=user.id, csrf_token=csrf, created_at=now, expires_at=expires
        )
    )
    session.flush()
    return OpenedSession(token, csrf, expires)


def find_session(session: Session, token: str, now: datetime) -> LoginSession | None:
    """Return the session of a token unless it is over or its user disabled."""
    # One statement: this is asked at every request.
    whole = joinedload(LoginSession.user).joinedload(User.sites)
    row = session.get(LoginSession, _digest(token), options=[whole])
    if row is None or row.expires_at <= now or row.user.disabled:
        return None
    return row


def wants_renewal(row: LoginSession, now: datetime) -> bool:
    """Say whether a session in use should be prolonged: seldom enough to cost no write per request."""
    idle = _idle_time(row.user)
    return row.expires_at - now < idle * 0.9 and now + idle < row.created_at + _LONGEST


def renew_session(session: Session, token: str, now: datetime) -> datetime | None:
    """Prolong a session in use; return its new end, or ``None`` where it is over."""
    row = find_session(session, token, now)
    if row is None:
        return None
    row.expires_at = min(now + _idle_time(row.user), row.created_at + _LONGEST)
    return row.expires_at


def close_session(session: Session, token: str) -> None:
    """End a session; a no-op for one that is over."""
    session.execute(delete(LoginSession).where(LoginSession.token_sha256 == _digest(token)))


def close_sessions_of(session: Session, user_id: int) -> None:
    """End every session of a user."""
    session.execute(delete(LoginSession).where(LoginSession.user_id == user_id))


def _idle_time(user: User) -> timedelta:
    """An office session ends over night; a manager's phone stays logged in as long as it is used."""
    return _PHONE_IDLE if user.role in SITE_BOUND_ROLES else _OFFICE_IDLE


def _digest(token: str) -> str:
    return hashlib.sha256(token.encode()).hexdigest()


def _demand_name(name: str) -> None:
    if not _NAME.fullmatch(name):
        raise ValueError(
            "a user's name has 1 to 64 letters, digits, '.', '-', '_' or '@' and starts with a letter or digit; "
            f"not {name[:80]!r}"
        )
