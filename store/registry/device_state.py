"""The last status of each device."""

from __future__ import annotations

from datetime import datetime

import msgspec
from sqlalchemy.orm import Session

from contract.messages import DeviceStatus
from store.registry.models import Device, DeviceState


def record_status(
    session: Session, site: str, device: str, status: DeviceStatus, received_at: datetime
) -> bool:
    """Keep a device's newest status; ``since`` moves only when it goes online or offline.

    Returns ``False`` for a device that the registry does not know.
    """
    if session.get(Device, (site, device)) is None:
        return False
    row = session.get(DeviceState, (site, device))
    told = msgspec.to_builtins(status)
    if row is None:
        session.add(
            DeviceState(
                site=site,
                device=device,
                state=status.state,
                since=received_at,
                received_at=received_at,
                status=told,
            )
        )
        return True
    if row.state != status.state:
        row.state, row.since = status.state, received_at
    if status.t is not None:  # a last will says only that the device is gone; keep what it told before
        row.status = told
    row.received_at = received_at
    return True
