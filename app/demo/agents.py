"""The demo's agents: one configuration file a device, all of them run by one process of ``quietwater edge run``."""

from __future__ import annotations

import sys
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, Final
from zoneinfo import ZoneInfo

import tomli_w

from app.child import SupervisedChild
from app.demo.quarter import GATEWAY, SITES, DemoSite, device_names
from app.logs import LogFormat
from contract.clock import CatchUpClock, Clock
from store.registry.database import Registry
from store.registry.models import Site
from store.registry.provisioning import set_device_password

_HERE: Final = Path(__file__).parent
_WATER_FILE: Final = _HERE / "water" / "daiad-alicante-12-weeks.csv.gz"
_DATA_MONDAY: Final = "2016-06-27T00:00:00"
"""The Monday of the data that is played in the first week: a week in which one meter leaks for real."""
_WATER_HISTORY_H: Final = 72
_SPECTRUM_UP_TO_SPEED: Final = 10.0
"""Faster than that the machine is spared the 1/3-octave bands."""


def write_configurations(
    folder: Path, registry: Registry, broker_url: str, *, speed: float, history_h: float,
    microphone: str | None = None,
) -> list[Path]:  # fmt: skip
    """Write the configuration and the password of each agent below ``folder`` and return the configurations.

    ``microphone`` (a PortAudio device, ``default`` for the system's own) takes the scene's place at the first device.
    A device whose password file is missing gets a new password.
    """
    with registry.reader() as session:
        # The week of the first set-up, not this one: a later start must map the registers in the same way.
        first_set_up = session.get_one(Site, SITES[0].name).created_at
    paths = []
    for site, device in device_names():
        name = f"{site.name}.{device}"
        password_file = folder / f"{name}.password"
        _ensure_password(registry, site.name, device, password_file)
        table: dict[str, Any] = {
            "site": site.name,
            "device": device,
            "data": str(folder / name),
            "mqtt": {"url": broker_url, "password_file": str(password_file)},
            "outbox": {"max_mb": 64},
        }
        if device == GATEWAY:
            table["water"] = _water(site, first_set_up)
        else:
            table["noise"] = _noise(site, device, speed, history_h, microphone)
        path = folder / f"{name}.toml"
        path.write_text(tomli_w.dumps(table))
        paths.append(path)
    return paths


def agents_process(
    configurations: list[Path], clock: Clock, log_path: Path, *, log_format: LogFormat = "text"
) -> SupervisedChild:
    """Return the (not yet started) process that runs all agents of the demo with the server's clock."""
    command = [sys.executable, "-m", "app", "--log-format", log_format, "edge", "run"]
    for path in configurations:
        command += ["--config", str(path)]
    if isinstance(clock, CatchUpClock):
        command += [
            "--catch-up", clock.started_at.isoformat(), clock.wall_started_at.isoformat(), str(clock.factor),
        ]  # fmt: skip
    return SupervisedChild("demo-agents", command, log_path)


def _ensure_password(registry: Registry, site: str, device: str, path: Path) -> None:
    if path.exists():
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    with registry.session() as session:
        password = set_device_password(session, site, device)
    path.touch(mode=0o600)
    path.write_text(password)


def _noise(
    site: DemoSite, device: str, speed: float, history_h: float, microphone: str | None
) -> dict[str, Any]:
    first = SITES[0]
    if microphone is not None and (site, device) == (first, first.devices[0].name):
        source: dict[str, Any] = {"type": "portaudio"}
        if microphone != "default":
            source["device"] = microphone
    else:
        scene = next(one.scene for one in site.devices if one.name == device)
        seed = [one[1] for one in device_names()].index(device) + 100 * SITES.index(site)
        source = {
            "type": "scene",
            "path": str(_HERE / "scenes" / f"{scene}.toml"),
            "seed": seed,
            "history_h": history_h,
        }
    return {"spectrum": speed <= _SPECTRUM_UP_TO_SPEED, "source": source}


def _water(site: DemoSite, first_set_up: datetime) -> dict[str, Any]:
    return {
        "replays": [
            {
                "name": "daiad",
                "file": str(_WATER_FILE),
                "meters": site.meter_names,
                "anchor": _monday_of(first_set_up),
                "data_anchor": datetime.fromisoformat(_DATA_MONDAY),
                "history_h": _WATER_HISTORY_H,
            }
        ]
    }


def _monday_of(t: datetime) -> datetime:
    local = t.astimezone(ZoneInfo("Asia/Shanghai"))
    monday = local.date() - timedelta(days=local.weekday())
    return datetime(monday.year, monday.month, monday.day, tzinfo=ZoneInfo("Asia/Shanghai"))
