"""Which certificates devices have: issued, over, revoked. The keys themselves are given away and kept nowhere."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Final

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from store.registry.authority import DEVICE_DAYS, Authority, Pair, Revoked, Signed
from store.registry.models import Certificate, Device
from store.registry.provisioning import broker_username

_MOST_A_DAY: Final = 10


def issue(
    session: Session,
    authority: Authority,
    device: Device,
    *,
    who: str,
    now: datetime,
    days: int = DEVICE_DAYS,
) -> Pair:
    """Make a certificate for a device and keep its serial number. Those made before go on to count.

    So a device can change over before the old one is over or revoked.
    """
    pair = authority.for_device(broker_username(device.site, device.name), now, days=days)
    session.add(
        Certificate(
            serial=pair.serial, site=device.site, device=device.name, issued_by=who, issued_at=now,
            expires_at=pair.expires_at,
        )
    )  # fmt: skip
    session.flush()
    return pair


class MayNotRenew(ValueError):
    """The device gets no certificate by itself; the text says why."""


def sign(
    session: Session, authority: Authority, device: Device, csr: str, *, who: str, now: datetime,
    days: int = DEVICE_DAYS,
) -> Signed:  # fmt: skip
    """Certify a key that the device has made. Raises ``ValueError`` for a request that cannot be certified."""
    signed = authority.for_request(csr, broker_username(device.site, device.name), now, days=days)
    session.add(
        Certificate(
            serial=signed.serial, site=device.site, device=device.name, issued_by=who, issued_at=now,
            expires_at=signed.expires_at,
        )
    )  # fmt: skip
    session.flush()
    return signed


def demand_may_renew(session: Session, device: Device, now: datetime) -> None:
    """Raise :class:`MayNotRenew` for a device that is switched off, was revoked, or asks all the time.

    One is revoked whose newest certificate is: only a person can bring it back, with a code.
    """
    if not device.enabled:
        raise MayNotRenew("this device is switched off")
    rows = session.scalars(
        select(Certificate)
        .where(Certificate.site == device.site, Certificate.device == device.name)
        .order_by(Certificate.issued_at.desc())
        .limit(_MOST_A_DAY)
    ).all()
    if rows and rows[0].revoked_at is not None:
        raise MayNotRenew("the certificate of this device was revoked: enrol it anew")
    if len(rows) == _MOST_A_DAY and now - rows[-1].issued_at < timedelta(days=1):
        raise MayNotRenew(f"this device got {_MOST_A_DAY} certificates within a day; ask again tomorrow")


def revoke(session: Session, device: Device, *, now: datetime, serial: str | None = None) -> list[str]:
    """Revoke all certificates of a device, or the one named; return the serial numbers.

    Raises ``ValueError`` where there is none that still counts.
    """
    wanted = select(Certificate).where(
        Certificate.site == device.site, Certificate.device == device.name, Certificate.revoked_at.is_(None)
    )
    if serial is not None:
        wanted = wanted.where(Certificate.serial == serial.lower().lstrip("0"))
    rows = session.scalars(wanted).all()
    if not rows:
        which = "certificate" if serial is None else f"certificate {serial}"
        raise ValueError(f"{device.site}/{device.name} has no {which} that still counts")
    for row in rows:
        row.revoked_at = now
    session.flush()
    return [row.serial for row in rows]


def first_expiry(session: Session) -> datetime | None:
    """Return when the first enabled device that has certificates has none left; a revoked one does not count."""
    same = (Certificate.site == Device.site) & (Certificate.device == Device.name)
    lasts = (
        select(func.max(Certificate.expires_at).label("last"))
        .join(Device, same)
        .where(Device.enabled, Certificate.revoked_at.is_(None))
        .group_by(Certificate.site, Certificate.device)
        .subquery()
    )
    return session.scalar(select(func.min(lasts.c.last)))


def certificates(session: Session) -> Sequence[Certificate]:
    """Return all certificates, by device and the newest first."""
    return session.scalars(
        select(Certificate).order_by(Certificate.site, Certificate.device, Certificate.issued_at.desc())
    ).all()


def counting(session: Session, now: datetime) -> dict[tuple[str, str], list[str]]:
    """Return the serial numbers that count at ``now``, by site and device."""
    found: dict[tuple[str, str], list[str]] = {}
    for row in certificates(session):
        if row.revoked_at is None and row.expires_at > now:
            found.setdefault((row.site, row.device), []).append(row.serial)
    return found


def revoked(session: Session) -> list[Revoked]:
    """Return what a revocation list must hold."""
    rows = session.scalars(select(Certificate).where(Certificate.revoked_at.is_not(None)))
    return [Revoked(row.serial, row.revoked_at) for row in rows if row.revoked_at is not None]
