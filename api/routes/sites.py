"""Quarters, their devices and meters, and how they are now."""

from __future__ import annotations

from datetime import datetime
from typing import Literal

from fastapi import APIRouter, Request, Response
from pydantic import Field
from sqlalchemy.orm import Session

from analysis.calibrations import Calibration, newest_calibration
from api import registry_reads as reads
from api.cache import caches_of
from api.context import ApiContext
from api.guard import Context, Who
from api.paging import Page, Paged
from api.present import PresentBoard, PresentLevel, PresentSite
from api.problems import documented
from api.schemas import Label, LimitOut, Out, label_of, limit_out
from contract.flags import NOISE_EXCLUDED, NoiseFlag, names
from store.registry.models import Device, DeviceState, Meter, Site

router = APIRouter(tags=["sites"])

LevelState = Literal["below", "near", "above", "no_data"]


class DeviceLevelOut(Out):
    """A noise device's level over the last ten minutes (less after 06:00 and 22:00) against the limit."""

    device: str = Field(examples=["east-gate"])
    label: Label
    laeq_db: float | None = Field(examples=[47.312])
    lafmax_db: float | None = Field(examples=[61.05])
    margin_db: float | None = Field(
        description="Level minus limit: above the limit where positive.", examples=[2.31]
    )
    valid_s: float = Field(description="Valid seconds in the window.", examples=[598.0])
    last_t: datetime | None
    state: LevelState = Field(
        description="A matter for attention, never a finding: GB 3096 judges days and nights."
    )
    indicative: bool = Field(description="True for a meter that is not type approved: not for enforcement.")


class AlertCountOut(Out):
    """Open alerts."""

    unanswered: int
    acknowledged: int
    pending: int


class OnlineOut(Out):
    """Enabled devices."""

    online: int
    total: int


class SiteOut(Out):
    """A quarter and its present."""

    name: str = Field(examples=["quiet-garden"])
    label: Label
    district: str = Field(examples=["海淀区"])
    zone_class: str = Field(description="Acoustic function zone of GB 3096-2008.", examples=["1"])
    timezone: str = Field(examples=["Asia/Shanghai"])
    day_starts_h: int = Field(examples=[6])
    night_starts_h: int = Field(examples=[22])
    latitude: float | None
    longitude: float | None
    limit: LimitOut
    state: LevelState = Field(description="Of the source that is worst off.")
    worst: DeviceLevelOut | None
    levels: list[DeviceLevelOut] = Field(description="One for each noise device.")
    window_s: float = Field(description="Length of the window of `laeq_db`.", examples=[600.0])
    alerts: AlertCountOut
    devices: OnlineOut
    indicative: bool = Field(description="True where any of the sources is not type approved.")


class SitesOut(Out):
    """All quarters that the user may see."""

    t: datetime = Field(description="The time of the data for which this holds.")
    items: list[SiteOut]
    next: str | None = Field(default=None, description="`after` of the next page; null on the last.")


class DeviceStateOut(Out):
    """What a device last told of itself."""

    state: Literal["online", "offline", "never_seen"]
    since: datetime | None
    last_seen: datetime | None
    version: str | None = None
    clock_offset_ms: float | None = None
    clock_synced: bool | None = None
    outbox_depth: int | None = None
    outbox_oldest_t: datetime | None = None
    dropped: int | None = None
    refused: int | None = None
    temperature_c: float | None = None
    disk_free_mb: int | None = None
    uptime_s: int | None = None
    config_version: int | None = None


class DeviceOut(Out):
    """A device of a quarter."""

    site: str
    name: str = Field(examples=["east-gate"])
    label: Label
    kind: Literal["noise", "gateway", "both"]
    enabled: bool
    type_approved: bool
    indicative: bool
    health: DeviceStateOut
    meters: list[str] = Field(description="Meters that this device reads.")


class CalibrationOut(Out):
    """The newest calibration of a device, as it told; all null where none is on record."""

    device: str = Field(examples=["east-gate"])
    t: datetime | None
    age_days: int | None
    action: str | None = Field(
        description="`set`: the sensitivity was set; `check`: it was only looked at.", examples=["set"]
    )
    drift_db: float | None = Field(description="Against the calibration before; of a check, its deviation.")
    calibrator: str | None


class CalibrationsOut(Out):
    """The devices of a quarter that measure noise."""

    items: list[CalibrationOut]


class DevicesOut(Out):
    """The devices of a quarter."""

    items: list[DeviceOut]
    next: str | None = Field(default=None, description="`after` of the next page; null on the last.")


class MeterOut(Out):
    """A water meter."""

    name: str = Field(examples=["b1-0302"])
    label: Label
    role: Literal["household", "master", "public"]
    device: str
    persons: int | None = Field(description="People who live behind a household meter.")
    peer_kind: str = Field(description="Households are compared within a kind.", examples=["flat-2-rooms"])


class MetersOut(Out):
    """The meters of a quarter."""

    items: list[MeterOut]
    next: str | None = Field(default=None, description="`after` of the next page; null on the last.")


class LatestNoiseOut(Out):
    """A noise device's newest stored second."""

    device: str
    t: datetime
    laeq_db: float
    lafmax_db: float
    flags: list[str] = Field(examples=[["gap"]])
    valid: bool
    indicative: bool


class LatestWaterOut(Out):
    """A meter's newest stored reading."""

    meter: str
    t: datetime
    register_ml: int = Field(examples=[123456000])
    flow_m3h: float | None


class LatestOut(Out):
    """The newest readings of a quarter."""

    noise: list[LatestNoiseOut]
    water: list[LatestWaterOut]


@router.get("/sites", summary="Quarters now", response_model=SitesOut, responses=documented(401, 503))
def list_sites(request: Request, context: Context, who: Who, paged: Paged) -> Response:
    """Return every quarter that you may see with its present level against the limit, alerts and devices.

    Pages of one second share the answer: a city's takes long to render.
    """

    def render() -> bytes:
        return _page_of_sites(request, context, who.sites, paged)

    body = caches_of(request).sites.get(who.sites, render) if paged.whole else render()
    return Response(body, media_type="application/json")


@router.get("/sites/{site}", summary="One quarter now", responses=documented(401, 404, 503))
def get_site(request: Request, context: Context, site: str) -> SiteOut:
    """Return one quarter, as in the list."""
    with context.registry.reader() as session:
        row = reads.one_site(session, site)
        return _render_sites(request, session, [row], context.clock.now())[0]


@router.get("/sites/{site}/devices", summary="Devices of a quarter", responses=documented(401, 404))
def list_devices(context: Context, site: str, paged: Paged) -> DevicesOut:
    """Return the quarter's devices with their health."""
    with context.registry.reader() as session:
        row = reads.one_site(session, site)
        states = reads.states_of(session, site)
        meters: dict[str, list[str]] = {}
        for meter in row.meters:
            meters.setdefault(meter.device, []).append(meter.name)
        cut = paged.of(row.devices, lambda device: device.name)
        return DevicesOut(
            items=[device_out(one, states.get(one.name), meters.get(one.name, [])) for one in cut.rows],
            next=cut.next,
        )


@router.get(
    "/sites/{site}/calibrations",
    summary="Calibrations of a quarter's devices",
    responses=documented(401, 404, 503),
)
def list_calibrations(context: Context, site: str) -> CalibrationsOut:
    """Return the newest calibration of each device that measures noise, and how old it is."""
    now = context.clock.now()
    with context.registry.reader() as session:
        devices = list(reads.one_site(session, site).devices)
    return CalibrationsOut(
        items=[
            _calibration_out(one, newest_calibration(context.series, one, now), now)
            for one in devices
            if one.kind != "gateway"
        ]
    )


@router.get("/sites/{site}/meters", summary="Water meters of a quarter", responses=documented(401, 404))
def list_meters(context: Context, site: str, paged: Paged) -> MetersOut:
    """Return the quarter's meters, the one that feeds it first."""
    with context.registry.reader() as session:
        reads.one_site(session, site)
        cut = paged.of(reads.meters_of(session, site), reads.meter_order)
        return MetersOut(items=[meter_out(one) for one in cut.rows], next=cut.next)


@router.get(
    "/sites/{site}/latest", summary="Newest readings of a quarter", responses=documented(401, 404, 503)
)
def get_latest(context: Context, site: str) -> LatestOut:
    """Return each noise device's newest second and each meter's newest reading, as stored."""
    with context.registry.reader() as session:
        row = reads.one_site(session, site)
        approved = {one.name: one.type_approved for one in row.devices}
    return LatestOut(
        noise=[
            LatestNoiseOut(
                device=source, t=t, laeq_db=laeq, lafmax_db=lafmax, flags=names(NoiseFlag(flags)),
                valid=not flags & NOISE_EXCLUDED, indicative=not approved.get(source, False),
            )
            for _, source, t, laeq, lafmax, flags in context.series.noise_latest(site=site)
        ],
        water=[
            LatestWaterOut(meter=meter, t=point.t, register_ml=point.volume_ml, flow_m3h=point.flow_m3h)
            for _, meter, point in context.series.water_latest(site=site)
        ],
    )  # fmt: skip


def _page_of_sites(
    request: Request, context: ApiContext, visible: frozenset[str] | None, paged: Page
) -> bytes:
    now = context.clock.now()
    with context.registry.reader() as session:
        cut = paged.of(reads.sites_for(session, visible), lambda site: site.name)
        answer = SitesOut(t=now, items=_render_sites(request, session, cut.rows, now), next=cut.next)
    return answer.model_dump_json().encode()


def device_out(device: Device, state: DeviceState | None, meters: list[str]) -> DeviceOut:
    """Render a device."""
    told = state.status if state else {}
    health = DeviceStateOut.model_validate(
        {
            **{key: told.get(key) for key in DeviceStateOut.model_fields if key in told and key != "state"},
            "state": state.state if state else "never_seen",
            "since": state.since if state else None,
            "last_seen": state.received_at if state else None,
        }
    )
    return DeviceOut.model_validate(
        {
            "site": device.site, "name": device.name, "label": label_of(device), "kind": device.kind,
            "enabled": device.enabled, "type_approved": device.type_approved,
            "indicative": not device.type_approved, "health": health, "meters": meters,
        }
    )  # fmt: skip


def _calibration_out(device: Device, found: Calibration | None, now: datetime) -> CalibrationOut:
    if found is None:
        return CalibrationOut(
            device=device.name, t=None, age_days=None, action=None, drift_db=None, calibrator=None
        )
    return CalibrationOut(
        device=device.name, t=found.t, age_days=(now - found.t).days, action=found.action,
        drift_db=found.drift_db, calibrator=found.calibrator or None,
    )  # fmt: skip


def meter_out(row: Meter) -> MeterOut:
    """Render a meter."""
    return MeterOut.model_validate(
        {
            "name": row.name, "label": label_of(row), "role": row.role, "device": row.device,
            "persons": row.persons, "peer_kind": row.peer_kind or "",
        }
    )  # fmt: skip


def _render_sites(request: Request, session: Session, sites: list[Site], now: datetime) -> list[SiteOut]:
    only = sites[0].name if len(sites) == 1 else None
    devices = reads.noise_devices(session, only)
    board = request.app.state.present
    assert isinstance(board, PresentBoard)
    present = board.present(sites, {site: [one.name for one in rows] for site, rows in devices.items()}, now)
    alerts, online = reads.alert_counts(session), reads.online_counts(session)
    return [
        _site_out(
            site, present[site.name], {one.name: one for one in devices.get(site.name, [])},
            alerts.get(site.name, reads.AlertCount()), online.get(site.name, reads.OnlineCount()),
        )
        for site in sites
    ]  # fmt: skip


def _site_out(
    site: Site, present: PresentSite, devices: dict[str, Device], alerts: reads.AlertCount,
    online: reads.OnlineCount,
) -> SiteOut:  # fmt: skip
    levels = [_level_out(one, devices[one.source]) for one in present.sources]
    worst = present.worst
    return SiteOut(
        name=site.name, label=label_of(site), district=site.district, zone_class=site.zone_class,
        timezone=site.timezone, day_starts_h=site.day_starts_h, night_starts_h=site.night_starts_h,
        latitude=site.latitude, longitude=site.longitude, limit=limit_out(present.limit), state=present.state,
        worst=_level_out(worst, devices[worst.source]) if worst else None, levels=levels,
        window_s=present.window_s,
        alerts=AlertCountOut(
            unanswered=alerts.unanswered, acknowledged=alerts.acknowledged, pending=alerts.pending
        ),
        devices=OnlineOut(online=online.online, total=online.total),
        indicative=any(not one.type_approved for one in devices.values()),
    )  # fmt: skip


def _level_out(one: PresentLevel, device: Device) -> DeviceLevelOut:
    # Of a thousand devices each second: what we made ourselves is not checked anew.
    return DeviceLevelOut.model_construct(
        device=one.source, label=label_of(device), laeq_db=one.laeq_db, lafmax_db=one.lafmax_db,
        margin_db=one.margin_db, valid_s=one.valid_s, last_t=one.last_t, state=one.state,
        indicative=not device.type_approved,
    )  # fmt: skip
