"""The fleet's configuration: versions, what a device is to run, and rollouts in waves."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Body, Path
from pydantic import BaseModel, Field
from sqlalchemy import func, select
from sqlalchemy.orm import Session

from analysis.fleet.staging import STANDARD_WAVES, wave_sizes
from api import registry_reads as reads
from api.audit import record
from api.guard import Context, Who
from api.problems import ApiProblem, FieldFault, documented, not_found
from api.schemas import Out
from contract.remote_settings import REMOTE_SETTINGS
from store.registry import rollouts as kept
from store.registry.configurations import BadConfiguration, configurations, draft, want
from store.registry.fleet_models import Configuration, Rollout, RolloutDevice

router = APIRouter(tags=["fleet"])

Name = Annotated[str, Path(max_length=32)]
Number = Annotated[int, Path(ge=1, le=2**31 - 1)]


class RemoteSettingOut(Out):
    """A setting that devices take from the server."""

    key: str = Field(examples=["noise.events.margin_db"])
    kind: Literal["bool", "int", "float"]
    lowest: float | None = Field(description="Null for true or false.")
    highest: float | None
    optional: bool = Field(description="Whether it may be null: no such bound.")


class RemoteSettingsOut(Out):
    """Every setting that devices take from the server."""

    items: list[RemoteSettingOut]


class ConfigurationIn(BaseModel):
    """A new version. It is checked as devices check it, and given to none yet."""

    settings: dict[str, bool | int | float | str | None] = Field(
        max_length=100, examples=[{"noise.events.margin_db": 15, "water.interval_s": 300}]
    )
    note: str = Field(default="", max_length=200, examples=["fewer events at the market"])


class ConfigurationOut(Out):
    """A version of the configuration. It never changes."""

    version: int
    settings: dict[str, Any]
    note: str
    made_by: str
    made_at: datetime


class ConfigurationsOut(Out):
    """Versions, the newest first."""

    items: list[ConfigurationOut]


class WantedIn(BaseModel):
    """The version that a device is to run; 0 is its own configuration alone."""

    version: int = Field(ge=0, le=2**31 - 1)


class WantedOut(Out):
    """What a device is to run now. It tells in its status what it does run."""

    site: str
    device: str
    version: int
    before: int


class RolloutIn(BaseModel):
    """A rollout: a version, to whom, and in which waves."""

    version: int = Field(ge=1, le=2**31 - 1)
    sites: list[Annotated[str, Field(max_length=32)]] = Field(
        default=[], max_length=1000, description="Quarters whose devices get it; empty: all."
    )
    waves: list[Annotated[str, Field(max_length=8)]] = Field(
        default=list(STANDARD_WAVES), min_length=1, max_length=20,
        description="Numbers or shares of the devices that have it after each wave. The last has all in any case.",
    )  # fmt: skip
    healthy_min: int = Field(
        default=10, ge=1, le=10_080, description="For how long a wave must run it well before the next."
    )
    patience_min: int = Field(
        default=60, ge=2, le=43_200, description="For how long devices that are away are waited for."
    )
    most_failed_percent: float = Field(default=5.0, ge=0, le=100)


class RolloutDeviceOut(Out):
    """A device that is to have the version by now."""

    site: str
    device: str
    before: int = Field(description="The version that it goes back to.")
    healthy_since: datetime | None
    failure: str | None


class RolloutOut(Out):
    """A rollout and how far it is."""

    id: int
    version: int
    state: Literal["running", "paused", "halted", "done", "rolled_back"]
    reason: str = Field(description="What it waits for, or why it is in this state.")
    wave: int = Field(description="From 1.")
    waves: list[int] = Field(description="Devices that have the version after each wave.")
    reached: int = Field(description="Devices that are to have it by now.")
    healthy: int
    failed: int
    healthy_min: int
    patience_min: int
    most_failed_percent: float
    made_by: str
    made_at: datetime
    changed_at: datetime


class RolloutDetailOut(RolloutOut):
    """A rollout with the devices that it has reached."""

    devices: list[RolloutDeviceOut]


class RolloutsOut(Out):
    """Rollouts, the newest first."""

    items: list[RolloutOut]


@router.get("/fleet/settings", summary="What devices take from the server", responses=documented(401, 403))
def list_remote_settings(_who: Who) -> RemoteSettingsOut:
    """Return each setting with its range."""
    return RemoteSettingsOut(
        items=[
            RemoteSettingOut(
                key=one.key, kind=one.kind, optional=one.optional,
                lowest=None if one.kind == "bool" else one.lowest,
                highest=None if one.kind == "bool" else one.highest,
            )
            for one in REMOTE_SETTINGS.values()
        ]
    )  # fmt: skip


@router.get("/fleet/configurations", summary="Versions of the configuration", responses=documented(401, 403))
def list_configurations(context: Context, _who: Who) -> ConfigurationsOut:
    """Return the newest 200 versions."""
    with context.registry.reader() as session:
        return ConfigurationsOut(items=[_configuration_out(row) for row in configurations(session)])


@router.post(
    "/fleet/configurations", status_code=201, summary="Make a version", responses=documented(401, 403, 422)
)
def add_configuration(
    context: Context, who: Who, given: Annotated[ConfigurationIn, Body()]
) -> ConfigurationOut:
    """Check settings as devices do and keep them as a new version. No device runs it before it is given to it."""
    now = context.clock.now()
    with context.registry.session() as session:
        try:
            row = draft(session, given.settings, who=who.name, now=now, note=given.note)
        except BadConfiguration as error:
            faults = [FieldFault(where="body.settings", message=one) for one in error.faults]
            raise ApiProblem(422, "invalid_input", str(error)[:1000], errors=faults) from None
        record(session, who.name, "configuration.add", f"configuration {row.version}", now, given.settings)
        return _configuration_out(row)


@router.put(
    "/sites/{site}/devices/{device}/configuration", summary="Give a device a version",
    responses=documented(401, 403, 404, 422),
)  # fmt: skip
def set_device_configuration(
    context: Context, who: Who, site: Name, device: Name, given: Annotated[WantedIn, Body()]
) -> WantedOut:
    """Have one device run a version, at once. For many devices begin a rollout."""
    now = context.clock.now()
    with context.registry.session() as session:
        reads.one_device(session, site, device)
        try:
            before = want(session, site, device, given.version, who=who.name, now=now)
        except ValueError as error:
            raise ApiProblem(422, "invalid_input", str(error)) from None
        detail = {"version": given.version, "before": before}
        record(session, who.name, "device.configuration", f"{site}/{device}", now, detail)
    return WantedOut(site=site, device=device, version=given.version, before=before)


@router.get("/fleet/rollouts", summary="Rollouts", responses=documented(401, 403))
def list_rollouts(context: Context, _who: Who) -> RolloutsOut:
    """Return the newest 50 rollouts."""
    with context.registry.reader() as session:
        return RolloutsOut(items=[RolloutOut(**_fields(session, row)) for row in kept.rollouts(session)])


@router.post(
    "/fleet/rollouts", status_code=201, summary="Begin a rollout", responses=documented(401, 403, 409, 422)
)
def begin_rollout(context: Context, who: Who, given: Annotated[RolloutIn, Body()]) -> RolloutDetailOut:
    """Give a version to a first wave of devices; the server gives it to the next while all goes well."""
    now = context.clock.now()
    with context.registry.session() as session:
        try:
            row = kept.begin(
                session, given.version, sizes=lambda total: wave_sizes(total, given.waves), who=who.name, now=now,
                sites=given.sites, healthy_for=timedelta(minutes=given.healthy_min),
                patience=timedelta(minutes=given.patience_min), most_failed=given.most_failed_percent / 100,
            )  # fmt: skip
        except kept.NotPossible as error:
            raise ApiProblem(409, "not_possible", str(error)) from None
        except ValueError as error:
            raise ApiProblem(422, "invalid_input", str(error)) from None
        detail = {"version": given.version, "sites": given.sites, "waves": row.sizes}
        record(session, who.name, "rollout.begin", f"rollout {row.id}", now, detail)
        return _detail_out(session, row)


@router.get("/fleet/rollouts/{rollout}", summary="A rollout", responses=documented(401, 403, 404, 422))
def get_rollout(context: Context, _who: Who, rollout: Number) -> RolloutDetailOut:
    """Return a rollout with the devices that it has reached."""
    with context.registry.reader() as session:
        return _detail_out(session, _one(session, rollout))


@router.post(
    "/fleet/rollouts/{rollout}/pause",
    summary="Let no further wave begin",
    responses=documented(401, 403, 404, 409, 422),
)
def pause_rollout(context: Context, who: Who, rollout: Number) -> RolloutDetailOut:
    """Pause a rollout. What devices have they keep."""
    return _changed(
        context, rollout, lambda session, row: kept.pause(session, row, who=who.name, now=context.clock.now())
    )


@router.post(
    "/fleet/rollouts/{rollout}/resume",
    summary="Go on with a rollout",
    responses=documented(401, 403, 404, 409, 422),
)
def resume_rollout(context: Context, who: Who, rollout: Number) -> RolloutDetailOut:
    """Go on with a rollout that was paused or has halted. Devices that were away get their time anew."""
    return _changed(
        context,
        rollout,
        lambda session, row: kept.resume(session, row, who=who.name, now=context.clock.now()),
    )


@router.post(
    "/fleet/rollouts/{rollout}/back",
    summary="Take a rollout back",
    responses=documented(401, 403, 404, 409, 422),
)
def take_rollout_back(context: Context, who: Who, rollout: Number) -> RolloutDetailOut:
    """Give every device that was given the version what it ran before."""

    def back(session: Session, row: Rollout) -> None:
        kept.take_back(session, row, f"by {who.name}", who=who.name, now=context.clock.now())

    return _changed(context, rollout, back)


def _changed(context: Context, number: int, change: Callable[[Session, Rollout], None]) -> RolloutDetailOut:
    with context.registry.session() as session:
        row = _one(session, number)
        try:
            change(session, row)
        except kept.NotPossible as error:
            raise ApiProblem(409, "not_possible", str(error)) from None
        return _detail_out(session, row)


def _one(session: Session, number: int) -> Rollout:
    row = session.scalars(select(Rollout).where(Rollout.id == number).with_for_update()).one_or_none()
    if row is None:
        raise not_found(f"rollout {number}")
    return row


def _configuration_out(row: Configuration) -> ConfigurationOut:
    return ConfigurationOut(
        version=row.version, settings=row.settings, note=row.note, made_by=row.made_by, made_at=row.made_at
    )


def _fields(session: Session, row: Rollout) -> dict[str, Any]:
    within = (RolloutDevice.rollout == row.id) & (RolloutDevice.position < row.sizes[row.wave])
    healthy, failed = session.execute(
        select(func.count(RolloutDevice.healthy_since), func.count(RolloutDevice.failure)).where(within)
    ).one()
    return {
        "id": row.id, "version": row.version, "state": row.state, "reason": row.reason, "wave": row.wave + 1,
        "waves": row.sizes, "reached": row.sizes[row.wave], "healthy": healthy, "failed": failed,
        "healthy_min": row.healthy_s // 60, "patience_min": row.patience_s // 60,
        "most_failed_percent": row.most_failed * 100, "made_by": row.made_by, "made_at": row.made_at,
        "changed_at": row.changed_at,
    }  # fmt: skip


def _detail_out(session: Session, row: Rollout) -> RolloutDetailOut:
    devices = [
        RolloutDeviceOut(
            site=one.site, device=one.device, before=one.before, healthy_since=one.healthy_since, failure=one.failure
        )
        for one in kept.reached(session, row)
    ]  # fmt: skip
    return RolloutDetailOut(**_fields(session, row), devices=devices)
