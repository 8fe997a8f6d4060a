"""Make sites, devices and meters; a device's password is shown once and kept as a bcrypt hash."""

from __future__ import annotations

import hashlib
import hmac
import re
import secrets
from base64 import b64decode, b64encode
from datetime import datetime
from typing import Final, Literal
from zoneinfo import ZoneInfo

import bcrypt
from sqlalchemy.orm import Session

from contract.messages import SLUG_PATTERN
from store.registry import passwords
from store.registry.models import Device, Meter, Site

ZONE_CLASSES: Final = ("0", "1", "2", "3", "4a", "4b")
"""Acoustic function zones of GB 3096-2008."""
DeviceKind = Literal["noise", "gateway", "both"]
MeterRole = Literal["household", "master", "public"]
_BCRYPT_ROUNDS: Final = 6
_PBKDF2_ROUNDS: Final = 101
"""Low on purpose, both: the passwords are 192 random bits, and ten thousand devices may reconnect at once."""


_NOBODY: Final = bcrypt.hashpw(b"nobody has this password", bcrypt.gensalt(_BCRYPT_ROUNDS, prefix=b"2a"))
"""Checked where there is no device: the answer takes as long."""


class AlreadyExists(ValueError):
    """There is a site, device or meter of that name."""


def add_site(
    session: Session, name: str, *, label_zh: str, label_en: str, now: datetime, zone_class: str = "1",
    district: str = "", timezone: str = "Asia/Shanghai", latitude: float | None = None, longitude: float | None = None,
) -> Site:  # fmt: skip
    """Make a site. Raises ``ValueError`` for a bad name or zone and :class:`AlreadyExists`."""
    _demand_slug(name, "site")
    if zone_class not in ZONE_CLASSES:
        raise ValueError(
            f"zone class must be one of {', '.join(ZONE_CLASSES)} (GB 3096-2008), not {zone_class!r}"
        )
    _demand_zone(timezone)
    if session.get(Site, name):
        raise AlreadyExists(f"there is a site {name!r} already")
    site = Site(
        name=name, label_zh=label_zh, label_en=label_en, zone_class=zone_class, district=district,
        timezone=timezone, latitude=latitude, longitude=longitude, created_at=now,
    )  # fmt: skip
    session.add(site)
    session.flush()
    return site


def add_device(
    session: Session, site: str, name: str, *, kind: DeviceKind, label_zh: str, label_en: str, now: datetime,
    type_approved: bool = False, password: str | None = None,
) -> str:  # fmt: skip
    """Make a device and return its broker password (made here unless given); it is not kept.

    Raises ``ValueError`` for a bad name or an unknown site and :class:`AlreadyExists`.
    """
    _demand_slug(name, "device")
    if session.get(Site, site) is None:
        raise ValueError(f"there is no site {site!r}")
    if session.get(Device, (site, name)):
        raise AlreadyExists(f"there is a device {name!r} at {site!r} already")
    password = password or passwords.for_machine()
    session.add(
        Device(
            site=site, name=name, kind=kind, label_zh=label_zh, label_en=label_en, type_approved=type_approved,
            secret_hash=_hash(password), mosquitto_hash=mosquitto_hash(password), created_at=now,
        )
    )  # fmt: skip
    session.flush()
    return password


def set_device_password(session: Session, site: str, name: str, password: str | None = None) -> str:
    """Give a device a new broker password (made here unless given) and return it; the old one ends.

    Raises ``ValueError`` for an unknown device.
    """
    device = session.get(Device, (site, name))
    if device is None:
        raise ValueError(f"there is no device {name!r} at {site!r}")
    password = password or passwords.for_machine()
    device.secret_hash, device.mosquitto_hash = _hash(password), mosquitto_hash(password)
    session.flush()
    return password


def device_of_login(session: Session, username: str, password: str) -> Device | None:
    """Return the device of a broker login, or ``None`` where the name or the password is wrong."""
    site, _, name = username.partition(".")
    device = session.get(Device, (site, name))
    known = _NOBODY if device is None else device.secret_hash.encode()
    right = bcrypt.checkpw(password.encode()[:72], known)
    return device if right else None


def add_meter(
    session: Session, site: str, name: str, *, device: str, label_zh: str, label_en: str, now: datetime,
    role: MeterRole = "household", persons: int | None = None, peer_kind: str = "",
) -> Meter:  # fmt: skip
    """Make a meter that ``device`` reads. Raises ``ValueError`` and :class:`AlreadyExists` like the others."""
    _demand_slug(name, "meter")
    if session.get(Device, (site, device)) is None:
        raise ValueError(f"there is no device {device!r} at {site!r}")
    if session.get(Meter, (site, name)) or session.get(Device, (site, name)):
        raise AlreadyExists(f"there is a meter or device {name!r} at {site!r} already")
    meter = Meter(
        site=site, name=name, device=device, role=role, label_zh=label_zh, label_en=label_en, created_at=now,
        persons=persons, peer_kind=peer_kind,
    )  # fmt: skip
    session.add(meter)
    session.flush()
    return meter


def broker_username(site: str, device: str) -> str:
    """Return the name with which a device logs in to the broker."""
    return f"{site}.{device}"


def _demand_zone(timezone: str) -> None:
    try:
        ZoneInfo(timezone)
    except (KeyError, ValueError, OSError) as error:
        raise ValueError(f"there is no time zone {timezone!r}; take a name such as Asia/Shanghai") from error


def _hash(password: str) -> str:
    return bcrypt.hashpw(password.encode(), bcrypt.gensalt(_BCRYPT_ROUNDS, prefix=b"2a")).decode()


def mosquitto_hash(password: str) -> str:
    """Return a password as a line of Mosquitto's password file has it (PBKDF2 with SHA-512, version 7)."""
    return _mosquitto_line(password, secrets.token_bytes(12))


def mosquitto_hash_is_of(line: str, password: str) -> bool:
    """Whether a line of :func:`mosquitto_hash` was made of this password."""
    try:
        _, _, rounds, salt, _ = line.split("$")
        return int(rounds) == _PBKDF2_ROUNDS and hmac.compare_digest(
            _mosquitto_line(password, b64decode(salt)), line
        )
    except ValueError:
        return False


def _mosquitto_line(password: str, salt: bytes) -> str:
    digest = hashlib.pbkdf2_hmac("sha512", password.encode(), salt, _PBKDF2_ROUNDS)
    return f"$7${_PBKDF2_ROUNDS}${b64encode(salt).decode()}${b64encode(digest).decode()}"


def _demand_slug(name: str, what: str) -> None:
    if not re.fullmatch(SLUG_PATTERN.strip("^$"), name):
        raise ValueError(
            f"the name of a {what} has 1 to 32 of a-z, 0-9 and -, and starts with a letter or digit; not {name!r}"
        )
