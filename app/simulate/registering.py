"""Enter a simulated fleet into the registry, so that the server knows whom it hears."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import insert, select
from sqlalchemy.orm import Session

from analysis.rules.catalog import ensure_default_rules
from app.simulate.scenario import Scenario
from store.registry.models import Device, Meter, Site
from store.registry.provisioning import add_device, add_site, set_device_password


def register(session: Session, scenario: Scenario, now: datetime, password: str) -> tuple[int, int, int]:
    """Make the sites, devices and meters that are missing; return how many of each were made.

    All devices have one ``password``, hashed once; those that were there get it too. Raises ``ValueError``.
    """
    sites = _sites(session, scenario, now)
    devices = [
        (scenario.site_name(scenario.device_site(n)), scenario.device_name(n), "noise")
        for n in range(scenario.devices)
    ]
    devices += [
        (scenario.site_name(site), scenario.gateway_name(), "gateway")
        for site in range(scenario.sites) if scenario.meters_at(site)
    ]  # fmt: skip
    return sites, _devices(session, devices, now, password), _meters(session, scenario, now)


def _sites(session: Session, scenario: Scenario, now: datetime) -> int:
    known = set(session.scalars(select(Site.name)))
    names = [scenario.site_name(site) for site in range(scenario.sites)]
    missing = [name for name in names if name not in known]
    for name in missing:
        number = int(name.rsplit("-", 1)[1])
        add_site(
            session, name, label_zh=f"模拟小区{number}", label_en=f"Simulated quarter {number}", district="模拟",
            latitude=30.5 + number // 100 * 0.01, longitude=111.0 + number % 100 * 0.01, now=now,
        )  # fmt: skip
        ensure_default_rules(session, name, now)
    return len(missing)


def _devices(session: Session, wanted: list[tuple[str, str, str]], now: datetime, password: str) -> int:
    known = {(one.site, one.name): one for one in session.scalars(select(Device))}
    missing = [one for one in wanted if one[:2] not in known]
    there = [known[one[:2]] for one in wanted if one[:2] in known]
    hashes = _hashes(session, wanted[0], missing, now, password)
    for device in there:
        device.secret_hash, device.mosquitto_hash = hashes
    rows = [
        {
            "site": site, "name": name, "kind": kind, "label_zh": f"模拟设备 {name}", "label_en": f"Simulated {name}",
            "secret_hash": hashes[0], "mosquitto_hash": hashes[1], "created_at": now,
        }
        for site, name, kind in missing if (site, name) != wanted[0][:2]
    ]  # fmt: skip
    if rows:
        session.execute(insert(Device), rows)
    return len(missing)


def _hashes(
    session: Session,
    first: tuple[str, str, str],
    missing: list[tuple[str, str, str]],
    now: datetime,
    password: str,
) -> tuple[str, str | None]:
    """Return the password's hashes, as the registry makes them for the first device."""
    site, name, kind = first
    if first in missing:
        add_device(
            session, site, name, kind="noise" if kind == "noise" else "gateway", label_zh=f"模拟设备 {name}",
            label_en=f"Simulated {name}", now=now, password=password,
        )  # fmt: skip
    else:
        set_device_password(session, site, name, password)
    device = session.get_one(Device, (site, name))
    return device.secret_hash, device.mosquitto_hash


def _meters(session: Session, scenario: Scenario, now: datetime) -> int:
    known = {(site, name) for site, name in session.execute(select(Meter.site, Meter.name))}
    rows = []
    for meter in range(scenario.meters):
        site, name = scenario.site_name(scenario.meter_site(meter)), scenario.meter_name(meter)
        if (site, name) not in known:
            number = name.rsplit("-", 1)[1]
            rows.append(
                {
                    "site": site, "name": name, "device": scenario.gateway_name(), "role": "household",
                    "label_zh": f"模拟水表{number}", "label_en": f"Simulated meter {number}", "peer_kind": "",
                    "created_at": now,
                }
            )  # fmt: skip
    if rows:
        session.execute(insert(Meter), rows)
    return len(rows)
