"""Versions of the devices' configuration, and which each device is to run. Checked before they are kept."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from contract.codec import encode
from contract.messages import MAX_CONFIG_BYTES, DeviceConfig
from contract.remote_settings import faults
from store.registry.fleet_models import Configuration, WantedConfiguration


class BadConfiguration(ValueError):
    """A configuration that devices would refuse; ``faults`` are all of its faults."""

    def __init__(self, found: Sequence[str]) -> None:
        super().__init__("; ".join(found))
        self.faults = list(found)


def draft(
    session: Session, settings: Mapping[str, Any], *, who: str, now: datetime, note: str = ""
) -> Configuration:
    """Keep a new version; no device runs it yet. Raises :class:`BadConfiguration`."""
    found = faults(settings)
    if not found and len(encode(DeviceConfig(version=0, settings=dict(settings)))) > MAX_CONFIG_BYTES // 2:
        found = ["too many settings for one message"]
    if found:
        raise BadConfiguration(found)
    row = Configuration(settings=dict(settings), note=note, made_by=who, made_at=now)
    session.add(row)
    session.flush()
    return row


def configurations(session: Session, limit: int = 200) -> Sequence[Configuration]:
    """Return versions, the newest first."""
    return session.scalars(select(Configuration).order_by(Configuration.version.desc()).limit(limit)).all()


def want(session: Session, site: str, device: str, version: int, *, who: str, now: datetime) -> int:
    """Have a device run a version (0: its own configuration alone); return the version wanted before.

    Raises ``ValueError`` for an unknown version.
    """
    if version != 0 and session.get(Configuration, version) is None:
        raise ValueError(f"there is no configuration {version}")
    row = session.get(WantedConfiguration, (site, device))
    before = 0 if row is None else row.version
    if row is None:
        session.add(WantedConfiguration(site=site, device=device, version=version, set_by=who, set_at=now))
    elif row.version != version:
        row.version, row.set_by, row.set_at = version, who, now
    return before


def wanted_versions(session: Session, site: str | None = None) -> dict[tuple[str, str], int]:
    """Return the version that each device is to run, of those that were ever told."""
    query = select(WantedConfiguration)
    if site is not None:
        query = query.where(WantedConfiguration.site == site)
    return {(row.site, row.device): row.version for row in session.scalars(query)}


def wanted_payloads(session: Session) -> dict[tuple[str, str], bytes]:
    """Return the message that each device's topic is to hold."""
    versions = wanted_versions(session)
    rows = session.scalars(select(Configuration).where(Configuration.version.in_(set(versions.values()))))
    payloads = {row.version: encode(DeviceConfig(version=row.version, settings=row.settings)) for row in rows}
    payloads[0] = encode(DeviceConfig(version=0))
    return {name: payloads[version] for name, version in versions.items() if version in payloads}
