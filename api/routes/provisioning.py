"""Quarters, devices and meters, by an administrator."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from fastapi import APIRouter, Body, Path, Request
from pydantic import BaseModel, Field

from analysis.rules.catalog import ensure_default_rules
from analysis.site_settings import parse_settings
from api import registry_reads as reads
from api.audit import record
from api.cache import caches_of
from api.etags import demand_unchanged
from api.guard import Context, Who
from api.problems import documented
from api.refusals import refusals
from api.routes.sites import DeviceOut, MeterOut, device_out, meter_out
from api.schemas import Out
from store.registry.provisioning import add_device as provision_device
from store.registry.provisioning import add_meter as provision_meter
from store.registry.provisioning import add_site as provision_site
from store.registry.provisioning import broker_username, set_device_password

router = APIRouter(tags=["provisioning"], prefix="/sites")

Slug = Annotated[str, Field(min_length=1, max_length=32, examples=["east-gate"])]
"""What is a good name is decided where rows are made."""
Name = Annotated[str, Path(max_length=32)]
Zone = Literal["0", "1", "2", "3", "4a", "4b"]
Words = Annotated[str, Field(min_length=1, max_length=80)]


class SiteIn(BaseModel):
    """A new quarter."""

    name: Slug
    label_zh: Words = Field(examples=["静园小区"])
    label_en: Words = Field(examples=["Quiet Garden"])
    zone_class: Zone = "1"
    district: str = Field(default="", max_length=80)
    timezone: str = Field(default="Asia/Shanghai", max_length=40)
    latitude: float | None = Field(default=None, ge=-90, le=90)
    longitude: float | None = Field(default=None, ge=-180, le=180)


class SiteChangeIn(BaseModel):
    """What is to be different; what is left out stays. `settings` replaces all settings of the quarter."""

    label_zh: Words | None = None
    label_en: Words | None = None
    zone_class: Zone | None = None
    district: str | None = Field(default=None, max_length=80)
    latitude: float | None = Field(default=None, ge=-90, le=90)
    longitude: float | None = Field(default=None, ge=-180, le=180)
    settings: dict[str, Any] | None = None


class SiteSettingsOut(Out):
    """A quarter as it is kept."""

    name: str
    label_zh: str
    label_en: str
    zone_class: str
    district: str
    timezone: str
    latitude: float | None
    longitude: float | None
    settings: dict[str, Any] = Field(
        description="Own limits, quiet periods, water: what differs from the defaults."
    )


class DeviceIn(BaseModel):
    """A new device."""

    name: Slug
    kind: Literal["noise", "gateway", "both"]
    label_zh: Words = Field(examples=["东门"])
    label_en: Words = Field(examples=["East gate"])
    type_approved: bool = False


class DeviceChangeIn(BaseModel):
    """What is to be different; what is left out stays. A device that is not enabled cannot log in to the broker."""

    label_zh: Words | None = None
    label_en: Words | None = None
    type_approved: bool | None = None
    enabled: bool | None = None


class DevicePasswordOut(Out):
    """A device with the password it logs in to the broker with. It is kept nowhere: put it into the device now."""

    device: DeviceOut
    username: str = Field(examples=["quiet-garden.east-gate"])
    password: str


class MeterIn(BaseModel):
    """A new meter, read by a device of the same quarter."""

    name: Slug
    device: Slug
    role: Literal["household", "master", "public"] = "household"
    label_zh: Words = Field(examples=["1号楼 302"])
    label_en: Words = Field(examples=["Building 1, 302"])
    persons: int | None = Field(default=None, ge=0, le=10_000, description="People behind a household meter.")
    peer_kind: str = Field(
        default="",
        max_length=32,
        description="Households are compared within a kind.",
        examples=["flat-2-rooms"],
    )


class MeterChangeIn(BaseModel):
    """What is to be different; what is left out stays."""

    device: Slug | None = None
    role: Literal["household", "master", "public"] | None = None
    label_zh: Words | None = None
    label_en: Words | None = None
    persons: int | None = Field(default=None, ge=0, le=10_000, description="0 for not known.")
    peer_kind: str | None = Field(default=None, max_length=32)


@router.post("", status_code=201, summary="Add a quarter", responses=documented(401, 403, 409, 422))
def add_site(context: Context, who: Who, given: Annotated[SiteIn, Body()]) -> SiteSettingsOut:
    """Make a quarter with its default rules."""
    now = context.wall.now()
    with context.registry.session() as session, refusals():
        row = provision_site(session, given.name, now=now, **given.model_dump(exclude={"name"}))
        ensure_default_rules(session, row.name, now)
        record(session, who.name, "site.add", row.name, now, given.model_dump())
        return SiteSettingsOut.model_validate(row, from_attributes=True)


@router.get("/{site}/settings", summary="A quarter as it is kept", responses=documented(401, 403, 404))
def get_site_settings(context: Context, site: Name) -> SiteSettingsOut:
    """Return what can be changed of a quarter."""
    with context.registry.reader() as session:
        return SiteSettingsOut.model_validate(reads.one_site(session, site), from_attributes=True)


@router.patch("/{site}", summary="Change a quarter", responses=documented(401, 403, 404, 412, 422))
def change_site(
    request: Request, context: Context, who: Who, site: Name, given: Annotated[SiteChangeIn, Body()]
) -> SiteSettingsOut:
    """Change names, zone, place or settings of a quarter.

    `If-Match` takes the `ETag` of `/sites/{site}/settings`.
    """
    changed = given.model_dump(exclude_unset=True)
    with context.registry.session() as session, refusals("body.settings"):
        row = reads.one_site(session, site)
        demand_unchanged(request, SiteSettingsOut.model_validate(row, from_attributes=True))
        if changed.get("settings") is not None:
            parse_settings(changed["settings"])
        for key, value in changed.items():
            if value is not None or key in ("latitude", "longitude"):
                setattr(row, key, value)
        record(session, who.name, "site.change", site, context.wall.now(), changed)
        session.flush()
        answer = SiteSettingsOut.model_validate(row, from_attributes=True)
    caches_of(request).forget_judged()
    return answer


@router.post(
    "/{site}/devices", status_code=201, summary="Add a device", responses=documented(401, 403, 404, 409, 422)
)
def add_device(
    context: Context, who: Who, site: Name, given: Annotated[DeviceIn, Body()]
) -> DevicePasswordOut:
    """Make a device; the answer holds its password, once."""
    now = context.wall.now()
    with context.registry.session() as session, refusals():
        reads.one_site(session, site)
        password = provision_device(session, site, now=now, **given.model_dump())
        record(session, who.name, "device.add", f"{site}/{given.name}", now, given.model_dump())
        row = reads.one_device(session, site, given.name)
        return DevicePasswordOut(
            device=device_out(row, None, []), username=broker_username(site, row.name), password=password
        )


@router.patch("/{site}/devices/{device}", summary="Change a device", responses=documented(401, 403, 404, 422))
def change_device(
    context: Context, who: Who, site: Name, device: Name, given: Annotated[DeviceChangeIn, Body()]
) -> DeviceOut:
    """Change a device's names, approval, or whether it may send."""
    changed = given.model_dump(exclude_none=True)
    with context.registry.session() as session:
        row = reads.one_device(session, site, device)
        for key, value in changed.items():
            setattr(row, key, value)
        record(session, who.name, "device.change", f"{site}/{device}", context.wall.now(), changed)
        session.flush()
        states = reads.states_of(session, site)
        return device_out(row, states.get(device), [])


@router.post(
    "/{site}/devices/{device}/password",
    summary="Give a device a new password",
    responses=documented(401, 403, 404),
)
def renew_device_password(context: Context, who: Who, site: Name, device: Name) -> DevicePasswordOut:
    """Make a new password for a device; the old one ends."""
    with context.registry.session() as session:
        row = reads.one_device(session, site, device)
        password = set_device_password(session, site, device)
        record(session, who.name, "device.password", f"{site}/{device}", context.wall.now())
        state = reads.states_of(session, site).get(device)
        return DevicePasswordOut(
            device=device_out(row, state, []), username=broker_username(site, device), password=password
        )


@router.post(
    "/{site}/meters", status_code=201, summary="Add a meter", responses=documented(401, 403, 404, 409, 422)
)
def add_meter(context: Context, who: Who, site: Name, given: Annotated[MeterIn, Body()]) -> MeterOut:
    """Make a water meter."""
    now = context.wall.now()
    with context.registry.session() as session, refusals("body.device"):
        reads.one_site(session, site)
        row = provision_meter(session, site, now=now, **given.model_dump())
        record(session, who.name, "meter.add", f"{site}/{given.name}", now, given.model_dump())
        return meter_out(row)


@router.patch("/{site}/meters/{meter}", summary="Change a meter", responses=documented(401, 403, 404, 422))
def change_meter(
    context: Context, who: Who, site: Name, meter: Name, given: Annotated[MeterChangeIn, Body()]
) -> MeterOut:
    """Change a meter's names, role, or the device that reads it."""
    changed = given.model_dump(exclude_none=True)
    with context.registry.session() as session:
        row = reads.one_meter(session, site, meter)
        if "device" in changed:
            reads.one_device(session, site, changed["device"])
        for key, value in changed.items():
            setattr(row, key, value)
        record(session, who.name, "meter.change", f"{site}/{meter}", context.wall.now(), changed)
        session.flush()
        return meter_out(row)
