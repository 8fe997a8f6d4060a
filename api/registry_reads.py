"""What the API asks of the registry, each in one query however many sites there are."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from analysis.indicative import approved_sources
from api.problems import not_found
from store.registry.models import Alert, Device, DeviceState, Meter, Site

NOISE_KINDS = ("noise", "both")
OPEN_STATES = ("pending", "firing", "escalated", "acknowledged")
"""States of alerts that are not over. Pending ones were told to nobody yet."""
UNANSWERED_STATES = ("firing", "escalated")


@dataclass(frozen=True, slots=True)
class AlertCount:
    """Open alerts of a site: those that somebody should answer, and those that somebody looks after."""

    unanswered: int = 0
    acknowledged: int = 0
    pending: int = 0


@dataclass(frozen=True, slots=True)
class OnlineCount:
    """Enabled devices of a site."""

    online: int = 0
    total: int = 0


def sites_for(session: Session, visible: frozenset[str] | None) -> list[Site]:
    """Return the sites that a user may see, by name."""
    query = select(Site).order_by(Site.name)
    if visible is not None:
        query = query.where(Site.name.in_(visible))
    return list(session.scalars(query))


def one_site(session: Session, name: str) -> Site:
    """Return a site or raise the problem "not found"."""
    site = session.get(Site, name)
    if site is None:
        raise not_found(f"site {name!r}")
    return site


def one_device(session: Session, site: str, name: str) -> Device:
    """Return a device or raise the problem "not found"."""
    device = session.get(Device, (site, name))
    if device is None:
        raise not_found(f"device {name!r} at {site!r}")
    return device


def one_meter(session: Session, site: str, name: str) -> Meter:
    """Return a meter or raise the problem "not found"."""
    meter = session.get(Meter, (site, name))
    if meter is None:
        raise not_found(f"meter {name!r} at {site!r}")
    return meter


def noise_devices(session: Session, site: str | None = None) -> dict[str, list[Device]]:
    """Return the enabled noise devices by site."""
    query = (
        select(Device).where(Device.enabled, Device.kind.in_(NOISE_KINDS)).order_by(Device.site, Device.name)
    )
    if site is not None:
        query = query.where(Device.site == site)
    groups: dict[str, list[Device]] = defaultdict(list)
    for device in session.scalars(query):
        groups[device.site].append(device)
    return groups


def states_of(session: Session, site: str) -> dict[str, DeviceState]:
    """Return the last status of each device of a site."""
    return {row.device: row for row in session.scalars(select(DeviceState).where(DeviceState.site == site))}


def online_counts(session: Session) -> dict[str, OnlineCount]:
    """Count enabled devices, and those online, by site."""
    totals = session.execute(select(Device.site, func.count()).where(Device.enabled).group_by(Device.site))
    online = session.execute(
        select(Device.site, func.count().label("up"))
        .join(DeviceState, (DeviceState.site == Device.site) & (DeviceState.device == Device.name))
        .where(Device.enabled, DeviceState.state == "online")
        .group_by(Device.site)
    )
    up = {row.site: row.up for row in online}
    return {site: OnlineCount(up.get(site, 0), count) for site, count in totals}


def alert_counts(session: Session) -> dict[str, AlertCount]:
    """Count open alerts by site."""
    rows = session.execute(
        select(Alert.site, Alert.state, func.count())
        .where(Alert.state.in_(OPEN_STATES))
        .group_by(Alert.site, Alert.state)
    )
    by_site: dict[str, dict[str, int]] = defaultdict(lambda: defaultdict(int))
    for site, state, count in rows:
        by_site[site][state] += count
    return {
        site: AlertCount(
            sum(counts[state] for state in UNANSWERED_STATES), counts["acknowledged"], counts["pending"]
        )
        for site, counts in by_site.items()
    }


def meters_of(session: Session, site: str) -> Sequence[Meter]:
    """Return the meters of a site, the one that feeds the quarter first."""
    return sorted(session.scalars(select(Meter).where(Meter.site == site)), key=meter_order)


def meter_order(meter: Meter) -> str:
    """Return the key by which meters of a site are listed: master meters, public ones, households, each by name."""
    rank = {"master": 0, "public": 1}.get(meter.role, 2)
    return f"{rank}.{meter.name}"


def approved_meters(session: Session, site: str) -> set[str]:
    """Return the meters of a site whose readings are more than indicative: a type-approved device reads them."""
    devices = session.scalars(select(Device).where(Device.site == site)).all()
    meters = session.scalars(select(Meter).where(Meter.site == site)).all()
    return {name for _, name in approved_sources(devices, meters)}
