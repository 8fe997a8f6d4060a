"""The fleet as a table: how each device is, what it runs, and whether somebody should look after it."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Annotated, Any, Final

import msgspec
from fastapi import APIRouter, Query
from pydantic import Field
from sqlalchemy import select
from sqlalchemy.orm import Session, joinedload

from analysis.fleet.attention import Health, Reason, newest_version, reasons
from api.guard import Context, Who
from api.paging import Paged
from api.problems import documented
from api.schemas import Label, Out, label_of
from contract.messages import DeviceStatus
from store.registry.fleet_models import WantedConfiguration
from store.registry.models import Device, DeviceState
from store.series.interface import SeriesStore

router = APIRouter(tags=["fleet"])

_CALIBRATED_WITHIN: Final = timedelta(days=800)
_MOST_CALIBRATIONS: Final = 20_000


class FleetDeviceOut(Out):
    """A device that is switched on."""

    site: str
    site_label: Label
    name: str
    label: Label
    attention: list[Reason] = Field(description="Why somebody should look after it; empty: all is well.")
    online: bool
    last_seen: datetime | None = Field(description="Null for one that has never been there.")
    version: str | None
    temperature_c: float | None
    disk_free_mb: int | None
    outbox_depth: int | None
    clock_offset_s: float | None = Field(
        description="What the device's clock is ahead, as it told, else from its last status; the way is in it."
    )
    calibrated_at: datetime | None
    drift_db: float | None
    config_wanted: int | None = Field(description="Null where the server was never told of one.")
    config_version: int | None
    config_error: str | None
    certificate_ends: datetime | None


class FleetDevicesOut(Out):
    """The fleet."""

    items: list[FleetDeviceOut]
    next: str | None = Field(default=None, description="`after` of the next page; null on the last.")


@router.get("/fleet/devices", summary="The fleet", responses=documented(401, 403, 422, 503))
def list_fleet(
    context: Context, _who: Who, paged: Paged,
    attention: Annotated[bool, Query(description="Those alone that somebody should look after.")] = False,
) -> FleetDevicesOut:  # fmt: skip
    """Return every device that is switched on, with what it told of itself."""
    now = context.clock.now()
    drifts = _calibrations(context.series, now)
    with context.registry.reader() as session:
        rows = _rows(session, drifts, now)
    shown = [one for one in rows if one.attention or not attention]
    cut = paged.of(shown, lambda one: f"{one.site}/{one.name}")
    return FleetDevicesOut(items=cut.rows, next=cut.next)


def _rows(session: Session, drifts: Mapping[tuple[str, str], tuple[datetime, float | None]], now: datetime) -> list[
    FleetDeviceOut
]:  # fmt: skip
    states = {(row.site, row.device): row for row in session.scalars(select(DeviceState))}
    wanted = {(row.site, row.device): row for row in session.scalars(select(WantedConfiguration))}
    newest = newest_version(row.status.get("version") for row in states.values())
    devices = session.scalars(select(Device).where(Device.enabled).options(joinedload(Device.site_row)))
    found: list[FleetDeviceOut] = []
    for device in devices:
        name = (device.site, device.name)
        found.append(_row(device, states.get(name), wanted.get(name), drifts.get(name), newest, now))
    return found


def _row(
    device: Device, state: DeviceState | None, wanted: WantedConfiguration | None,
    calibration: tuple[datetime, float | None] | None, newest: str | None, now: datetime,
) -> FleetDeviceOut:  # fmt: skip
    told = DeviceStatus(state="offline") if state is None else _told(state.status)
    online = state is not None and state.state == "online"
    calibrated_at, drift_db = calibration or (None, None)
    health = Health(
        online, told.version, _clock_offset_s(told, state) if online else None, told.clock_synced, drift_db,
        told.outbox_oldest_t, told.certificate_ends, None if wanted is None else wanted.version,
        None if wanted is None else wanted.set_at, told.config_version, told.config_error, told.disk_free_mb,
        told.temperature_c,
    )  # fmt: skip
    return FleetDeviceOut(
        site=device.site, site_label=label_of(device.site_row), name=device.name, label=label_of(device),
        online=online,
        attention=[] if state is None else reasons(health, newest, now),
        last_seen=None if state is None else state.received_at, version=told.version,
        temperature_c=told.temperature_c, disk_free_mb=told.disk_free_mb, outbox_depth=told.outbox_depth,
        clock_offset_s=health.clock_offset_s, calibrated_at=calibrated_at, drift_db=drift_db,
        config_wanted=health.config_wanted, config_version=told.config_version, config_error=told.config_error,
        certificate_ends=told.certificate_ends,
    )  # fmt: skip


def _told(status: Mapping[str, Any]) -> DeviceStatus:
    try:
        return msgspec.convert(status, DeviceStatus)
    except msgspec.ValidationError:  # a row from before a change of the contract
        return DeviceStatus(state="offline")


def _clock_offset_s(told: DeviceStatus, state: DeviceState | None) -> float | None:
    if told.clock_offset_ms is not None:
        return told.clock_offset_ms / 1000
    if state is None or told.t is None:
        return None
    return (told.t - state.received_at).total_seconds()


def _calibrations(series: SeriesStore, now: datetime) -> dict[tuple[str, str], tuple[datetime, float | None]]:
    """Return when each device was last calibrated and how far it had drifted, in one query."""
    found: dict[tuple[str, str], tuple[datetime, float | None]] = {}
    events = series.events(now - _CALIBRATED_WITHIN, now, kind="calibration", limit=_MOST_CALIBRATIONS)
    for event in events:  # newest first
        drift = event.detail.get("deviation_db" if event.detail.get("action") == "check" else "drift_db")
        number = float(drift) if isinstance(drift, int | float) else None
        found.setdefault((event.site, event.device), (event.t, number))
    return found
