"""The last status of each device."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

import msgspec
from sqlalchemy import select, tuple_
from sqlalchemy.orm import Session

from contract.messages import DeviceStatus
from store.registry.models import Device, DeviceState

_CHUNK: Final = 300
"""Devices in one query; SQLite takes a limited number of parameters."""

_Name = tuple[str, str]


@dataclass(frozen=True, slots=True)
class StatusReport:
    """A status as it arrived. ``retained``: the broker told it again at our (re)connection."""

    site: str
    device: str
    status: DeviceStatus
    received_at: datetime
    retained: bool = False


def record_statuses(session: Session, reports: Sequence[StatusReport]) -> set[tuple[str, str]]:
    """Keep each device's newest status; ``since`` moves only when it goes online or offline.

    A retained status that says nothing new changes nothing, ``received_at`` included: it is not a sign of life.
    Returns the (site, device) that the registry does not know.
    """
    names = sorted({(report.site, report.device) for report in reports})
    known: set[_Name] = set()
    rows: dict[_Name, DeviceState] = {}
    for chunk in _chunks(names):
        known.update(
            (site, name)
            for site, name in session.execute(
                select(Device.site, Device.name).where(tuple_(Device.site, Device.name).in_(chunk))
            )
        )
        states = select(DeviceState).where(tuple_(DeviceState.site, DeviceState.device).in_(chunk))
        rows.update({(row.site, row.device): row for row in session.scalars(states)})
    for report in reports:
        name = (report.site, report.device)
        if name in known:
            _record(session, rows, name, report)
    return set(names) - known


def _record(session: Session, rows: dict[_Name, DeviceState], name: _Name, report: StatusReport) -> None:
    status = report.status
    told: dict[str, Any] = msgspec.to_builtins(status)
    row = rows.get(name)
    if row is None:
        row = rows[name] = DeviceState(
            site=name[0], device=name[1], state=status.state, since=report.received_at,
            received_at=report.received_at, status=told,
        )  # fmt: skip
        session.add(row)
        return
    if report.retained and row.state == status.state and (status.t is None or told == row.status):
        return
    if row.state != status.state:
        row.state, row.since = status.state, report.received_at
    if status.t is not None and told != row.status:  # a last will says only that the device is gone
        row.status = told
    row.received_at = report.received_at


def _chunks(names: Sequence[_Name]) -> Iterator[Iterable[_Name]]:
    for at in range(0, len(names), _CHUNK):
        yield names[at : at + _CHUNK]
