"""What a NATS server of one's own needs to know of the devices: one user for each certificate that counts.

NATS reads no list of revoked certificates. So a user is not a device but a single certificate, known by its DNS name
(``verify_and_map``): with the certificate revoked its user is gone, and a connection that stands is ended when the
server reads the file anew.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from app.broker import SERVER_USER, device_permissions
from app.broker_certificate import renewed
from store.registry.authority import certificate_user, processes_user
from store.registry.models import Device
from store.registry.provisioning import broker_username

if TYPE_CHECKING:
    from store.registry.database import Registry


@dataclass(frozen=True, slots=True)
class NatsFiles:
    """The files' texts by name. ``complaints`` name the enabled devices that cannot come in."""

    texts: dict[str, str]
    complaints: tuple[str, ...]


def files_of(registry: Registry, ca_folder: Path, server_hash: str, *, present: Path) -> NatsFiles:
    """Return what the registry says now; ``present`` is the folder of the files as they are.

    Raises ``ValueError`` where there is no authority yet.
    """
    from sqlalchemy import select

    from store.registry.authority import Authority
    from store.registry.certificates import counting

    authority = Authority.open(ca_folder)
    if authority is None:
        raise ValueError(
            "there is no certificate authority yet; make the broker's certificate first: "
            "quietwater admin certificate server HOST"
        )
    with registry.reader() as session:
        devices = session.scalars(select(Device).order_by(Device.site, Device.name)).all()
        files = nats_files(devices, counting(session, datetime.now(UTC)), server_hash)
    files.texts["ca.pem"] = authority.certificate_pem.decode()
    files.texts.update(renewed(authority, present, datetime.now(UTC)))
    return files


def nats_files(
    devices: Iterable[Device], serials: Mapping[tuple[str, str], Sequence[str]], server_hash: str
) -> NatsFiles:
    """Return the users for the enabled devices' certificates, and for the server's own processes. Pure."""
    users: list[dict[str, object]] = [
        {"user": SERVER_USER, "password": server_hash, "allowed_connection_types": ["STANDARD"]},
        {"user": processes_user(SERVER_USER), "allowed_connection_types": ["MQTT"]},
    ]
    complaints = []
    for device in devices:
        if not device.enabled:
            continue
        theirs = serials.get((device.site, device.name), ())
        if not theirs:
            complaints.append(
                f"{device.site}/{device.name} has no certificate that counts: "
                f"quietwater admin certificate device {device.site} {device.name}"
            )
        name = broker_username(device.site, device.name)
        users += [
            {
                "user": certificate_user(name, serial),
                "allowed_connection_types": ["MQTT"],
                "permissions": device_permissions(device.site, device.name),
            }
            for serial in theirs
        ]
    return NatsFiles({"users.conf": json.dumps({"users": users}, indent=1) + "\n"}, tuple(complaints))
