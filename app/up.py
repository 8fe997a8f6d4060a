"""``quietwater up`` and the commands of single parts: open, start, tell, wait for Ctrl-C, stop."""

from __future__ import annotations

import signal
import threading
import time
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Final

import click
import structlog

from api.uplinks.config import BadUplinks
from app import banner
from app.broker import BrokerFailed, free_port
from app.demo.agents import agents_process, write_configurations
from app.demo.quarter import ensure_quarter
from app.lock import FolderInUse
from app.logs import announce, is_json
from app.settings import ServerSettings
from app.system import ALL_PARTS, Part, System
from app.web import WebFailed
from contract.clock import Clock, SystemClock, catch_up
from store.registry.database import RegistryUnavailable
from store.series.interface import SeriesStore, StoreUnavailable

log = structlog.get_logger(__name__)

_CANNOT_START: Final = (
    FolderInUse,
    StoreUnavailable,
    RegistryUnavailable,
    BrokerFailed,
    WebFailed,
    BadUplinks,
    OSError,
)
_FAST_BEHIND: Final = timedelta(hours=24)
"""A demo that runs faster than the wall begins a day ago, so that it has something to catch up."""


@dataclass(frozen=True, slots=True)
class DemoOptions:
    """How the demo runs: times the speed of the wall, hours of history at the first start, a microphone."""

    speed: float = 1.0
    history_h: float = 3.0
    microphone: str | None = None


def run_system(
    settings: ServerSettings, parts: tuple[Part, ...] = ALL_PARTS, demo: DemoOptions | None = None
) -> None:
    """Run parts until SIGINT or SIGTERM. Raises ``click.ClickException`` with cause and cure if they cannot start."""
    stop = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stop.set())
    system = System(settings, parts)
    try:
        system.open()
        clock = _demo_clock(system.series, demo.speed) if demo else SystemClock()
        if demo is not None:
            with system.registry.session() as session:
                ensure_quarter(session, clock.now())
        system.start(clock, demo=demo is not None)
        if demo is not None:
            _start_demo(system, clock, demo)
    except _CANNOT_START as error:
        system.stop()
        raise click.ClickException(str(error)) from error
    told = banner.rows(system, parts, clock, demo.speed if demo else None)
    announce(banner.for_people(told), "quietwater runs", **{row.key: row.value for row in told})
    stop.wait()
    announce(
        "\nStopping; readings that are not stored yet wait in the devices' outboxes.", "quietwater stops"
    )
    began = time.monotonic()
    system.stop()
    took_s = round(time.monotonic() - began, 1)
    announce(
        f"Stopped after {took_s:.1f} s. The data are in {settings.data}.", "quietwater has stopped",
        after_s=took_s, data=str(settings.data),
    )  # fmt: skip


def with_free_ports(settings: ServerSettings, *, port_given: bool, mqtt_port_given: bool) -> ServerSettings:
    """Return the settings with another port in place of a default one that somebody else uses."""
    if not port_given:
        settings = replace(settings, port=free_port(settings.port))
    if not mqtt_port_given and settings.broker_url is None:
        settings = replace(settings, mqtt_port=free_port(settings.mqtt_port))
    return settings


def _demo_clock(series: SeriesStore, speed: float) -> Clock:
    if speed <= 1.0:
        return SystemClock()
    wall = datetime.now(UTC)
    newest = series.newest()
    start = wall - _FAST_BEHIND if newest is None else newest + timedelta(seconds=1)
    return catch_up(wall, max(timedelta(0), wall - start), speed)


def _start_demo(system: System, clock: Clock, demo: DemoOptions) -> None:
    folder = system.settings.data / "demo"
    configurations = write_configurations(
        folder.absolute(), system.registry, system.broker_url,
        speed=demo.speed, history_h=demo.history_h, microphone=demo.microphone,
    )  # fmt: skip
    agents = agents_process(
        configurations, clock, folder / "agents.log", log_format="json" if is_json() else "text"
    )
    agents.start()
    system.on_stop("demo agents", agents.stop)
