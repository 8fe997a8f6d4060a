"""Rollouts as the registry keeps them: begun, moved on, paused, taken back. What to do is decided elsewhere."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from typing import Final

from sqlalchemy import and_, select
from sqlalchemy.orm import Session

from store.registry.configurations import want, wanted_versions
from store.registry.fleet_models import Configuration, Rollout, RolloutDevice
from store.registry.models import AuditEntry, Device, DeviceState

OPEN: Final = ("running", "paused", "halted")
_ALLOWED: Final = {"pause": ("running",), "resume": ("paused", "halted"), "back": (*OPEN, "done")}


class NotPossible(ValueError):
    """The rollout's state does not allow it, or other rollouts do not; the text says why."""


def begin(
    session: Session, version: int, *, sizes: Callable[[int], list[int]], who: str, now: datetime,
    sites: Sequence[str] = (), healthy_for: timedelta, patience: timedelta, most_failed: float,
) -> Rollout:  # fmt: skip
    """Begin a rollout to the enabled devices of ``sites`` (all where it is empty); ``sizes`` makes waves of them.

    Devices that are online come first, otherwise by chance, so that a wave is no single quarter. Raises ``ValueError``
    for an unknown version or site, :class:`NotPossible` where there is no device, or another rollout has one of them.
    """
    if session.get(Configuration, version) is None:
        raise ValueError(f"there is no configuration {version}")
    devices = _devices(session, sites)
    if not devices:
        raise NotPossible(f"there is no enabled device at {', '.join(sites) or 'any site'}")
    _demand_free(session, devices)
    rollout = Rollout(
        version=version, state="running", sizes=sizes(len(devices)), wave=0, wave_began_at=now,
        healthy_s=int(healthy_for.total_seconds()), patience_s=int(patience.total_seconds()),
        most_failed=most_failed, made_by=who, made_at=now, changed_at=now, reason="has just begun",
    )  # fmt: skip
    session.add(rollout)
    session.flush()
    states = select(DeviceState.site, DeviceState.device).where(DeviceState.state == "online")
    online = {(site, device) for site, device in session.execute(states)}
    before = wanted_versions(session)
    devices.sort(key=lambda name: (name not in online, _chance(rollout.id, name)))
    for position, (site, device) in enumerate(devices):
        session.add(RolloutDevice(
            rollout=rollout.id, position=position, site=site, device=device, before=before.get((site, device), 0),
        ))  # fmt: skip
    session.flush()
    _give(session, rollout, 0, now)
    return rollout


def rollouts(session: Session, limit: int = 50) -> Sequence[Rollout]:
    """Return rollouts, the newest first."""
    return session.scalars(select(Rollout).order_by(Rollout.id.desc()).limit(limit)).all()


def reached(session: Session, rollout: Rollout) -> Sequence[RolloutDevice]:
    """Return the devices that are to have the version by now."""
    return session.scalars(
        select(RolloutDevice)
        .where(RolloutDevice.rollout == rollout.id, RolloutDevice.position < rollout.sizes[rollout.wave])
        .order_by(RolloutDevice.position)
    ).all()


def advance(session: Session, rollout: Rollout, reason: str, now: datetime) -> None:
    """Give the next wave its version."""
    rollout.wave += 1
    rollout.wave_began_at = now
    _give(session, rollout, rollout.sizes[rollout.wave - 1], now)
    move(session, rollout, "running", reason, now, action="rollout.advance", who="server")


def move(
    session: Session, rollout: Rollout, state: str, reason: str, now: datetime, *, action: str, who: str
) -> None:
    """Set the state with its reason, and a line in the audit log."""
    rollout.state, rollout.reason, rollout.changed_at = state, reason[:300], now
    detail = {"version": rollout.version, "wave": rollout.wave + 1, "reason": reason[:300]}
    session.add(
        AuditEntry(at=now, who=who[:64], action=action, target=f"rollout {rollout.id}", detail=detail)
    )


def pause(session: Session, rollout: Rollout, *, who: str, now: datetime) -> None:
    """Let no further wave begin. Raises :class:`NotPossible`."""
    _demand(rollout, "pause")
    move(session, rollout, "paused", f"by {who}", now, action="rollout.pause", who=who)


def resume(session: Session, rollout: Rollout, *, who: str, now: datetime) -> None:
    """Go on; devices that were away get their time anew. Raises :class:`NotPossible`."""
    _demand(rollout, "resume")
    rollout.wave_began_at = now
    move(session, rollout, "running", f"resumed by {who}", now, action="rollout.resume", who=who)


def take_back(session: Session, rollout: Rollout, reason: str, *, who: str, now: datetime) -> None:
    """Have every device that was given the version run again what it ran before. Raises :class:`NotPossible`.

    One that was given another version in the meantime keeps that.
    """
    _demand(rollout, "back")
    now_wanted = wanted_versions(session)
    for row in reached(session, rollout):
        if now_wanted.get((row.site, row.device)) == rollout.version:
            want(session, row.site, row.device, row.before, who=who, now=now)
    move(session, rollout, "rolled_back", reason, now, action="rollout.back", who=who)


def _give(session: Session, rollout: Rollout, start: int, now: datetime) -> None:
    for row in reached(session, rollout):
        if row.position >= start:
            want(session, row.site, row.device, rollout.version, who=f"rollout {rollout.id}", now=now)


def _devices(session: Session, sites: Sequence[str]) -> list[tuple[str, str]]:
    query = select(Device.site, Device.name).where(Device.enabled)
    if sites:
        query = query.where(Device.site.in_(sites))
    found = [(site, name) for site, name in session.execute(query)]
    for site in sites:
        if site not in {name for name, _ in found}:
            raise ValueError(f"there is no site {site!r} with a device that is switched on")
    return found


def _demand_free(session: Session, devices: list[tuple[str, str]]) -> None:
    names = set(devices)
    same = and_(RolloutDevice.rollout == Rollout.id, Rollout.state.in_(OPEN))
    for number, site, device in session.execute(
        select(Rollout.id, RolloutDevice.site, RolloutDevice.device).join(RolloutDevice, same)
    ):
        if (site, device) in names:
            raise NotPossible(
                f"rollout {number} has {site}/{device} and is not over: wait for its end, or take it back"
            )


def _demand(rollout: Rollout, what: str) -> None:
    if rollout.state not in _ALLOWED[what]:
        raise NotPossible(
            f"rollout {rollout.id} is {rollout.state.replace('_', ' ')}: that cannot be done to it"
        )


def _chance(number: int, name: tuple[str, str]) -> bytes:
    return hashlib.sha256(f"{number} {name[0]}/{name[1]}".encode()).digest()
