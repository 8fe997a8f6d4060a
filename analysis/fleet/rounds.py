"""One round of all rollouts that run: look at their devices, decide, and note it, in one transaction each.

Everything that a rollout knows is in the registry, so another process, or the same after a restart, goes on with it.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta

from sqlalchemy import select
from sqlalchemy.orm import Session

from analysis.fleet.staging import Member, Plan, Told, decide, look
from store.registry.database import Registry
from store.registry.fleet_models import Rollout, RolloutDevice
from store.registry.models import Device, DeviceState
from store.registry.rollouts import advance, move, reached, take_back
from store.series.interface import SeriesStore

_NOISE = ("noise", "both")


def rollout_round(series: SeriesStore, registry: Registry, now: datetime) -> list[str]:
    """Move every running rollout on; return what happened, in words. Raises ``StoreUnavailable``."""
    with registry.reader() as session:
        running = session.scalars(select(Rollout.id).where(Rollout.state == "running")).all()
    if not running:
        return []
    newest = {(site, source): (t, flags) for site, source, t, _, _, flags in series.noise_latest()}
    return [told for number in running if (told := _one(registry, number, newest, now)) is not None]


def _one(
    registry: Registry, number: int, newest: dict[tuple[str, str], tuple[datetime, int]], now: datetime
) -> str | None:
    with registry.session() as session:
        rollout = session.scalars(select(Rollout).where(Rollout.id == number).with_for_update()).one()
        if rollout.state != "running":
            return None
        rows = reached(session, rollout)
        told = _told(session, rows, newest)
        members: list[Member] = []
        for row in rows:
            before = Member(row.healthy_since, row.looks, row.overloaded, row.failure)
            member = look(before, told[row.site, row.device], rollout.version, now)
            if member != before:
                row.healthy_since, row.looks = member.healthy_since, member.looks
                row.overloaded, row.failure = member.overloaded, member.failure
            members.append(member)
        plan = Plan(
            rollout.wave, len(rollout.sizes), rollout.wave_began_at, timedelta(seconds=rollout.healthy_s),
            timedelta(seconds=rollout.patience_s), rollout.most_failed,
        )  # fmt: skip
        decision = decide(plan, members, now)
        if decision.verdict == "wait":
            if rollout.reason != decision.reason:
                rollout.reason = decision.reason
            return None
        if decision.verdict == "advance":
            advance(session, rollout, decision.reason, now)
        elif decision.verdict == "roll_back":
            take_back(session, rollout, decision.reason, who="server", now=now)
        else:
            state = "done" if decision.verdict == "finish" else "halted"
            action = f"rollout.{decision.verdict}"
            move(session, rollout, state, decision.reason, now, action=action, who="server")
        return f"rollout {number}: {decision.verdict}: {decision.reason}"


def _told(
    session: Session, rows: Sequence[RolloutDevice], newest: dict[tuple[str, str], tuple[datetime, int]]
) -> dict[tuple[str, str], Told]:
    sites = {row.site for row in rows}
    kinds = {
        (site, name): kind
        for site, name, kind in session.execute(
            select(Device.site, Device.name, Device.kind).where(Device.site.in_(sites))
        )
    }
    states = {
        (row.site, row.device): row
        for row in session.scalars(select(DeviceState).where(DeviceState.site.in_(sites)))
    }
    found: dict[tuple[str, str], Told] = {}
    for row in rows:
        name = (row.site, row.device)
        state = states.get(name)
        t, flags = newest.get(name, (None, 0))
        found[name] = Told(
            state is not None and state.state == "online", None if state is None else state.received_at,
            {} if state is None else state.status, kinds.get(name) in _NOISE, t, flags,
        )  # fmt: skip
    return found
