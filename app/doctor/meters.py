"""Checks of the lines to water meters: the serial ports are there and may be opened. Nothing is sent."""

from __future__ import annotations

import os
import stat
from pathlib import Path

from app.doctor.finding import Finding, error, ok
from edge.water.settings import WaterSettings


def lines(settings: WaterSettings) -> list[Finding]:
    """Say of each serial bus whether its port can be used; gateways and receivers are left out."""
    return [_port(Path(bus.port)) for bus in settings.buses if bus.port is not None]


def _port(path: Path) -> Finding:
    try:
        mode = path.stat().st_mode
    except OSError as problem:
        cure = (
            "plug the adapter in, or correct the bus' port; /dev/serial/by-id names adapters by serial number"
        )
        return error("meter_port_missing", f"{path}: {problem.strerror}", cure)
    if not stat.S_ISCHR(mode):
        return error("meter_port_missing", f"{path} is no serial port", "correct the bus' port")
    if not os.access(path, os.R_OK | os.W_OK):
        cure = (
            "give the port to the group dialout (deploy/pi/60-quietwater.rules), and the service's user to it"
        )
        return error("meter_port_refused", f"{path} may not be opened by this user", cure)
    return ok("meter_port", f"{path} is there")
