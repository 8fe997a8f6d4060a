"""The device's own health, as its status tells it."""

from __future__ import annotations

import shutil
import time
import uuid
from datetime import UTC, datetime
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from contract.messages import DeviceStatus
from edge.outbox import Outbox
from edge.remote_state import ConfigReport

_STARTED = time.monotonic()
_THERMAL = Path("/sys/class/thermal/thermal_zone0/temp")
_BOOT_ID = Path("/proc/sys/kernel/random/boot_id")
_TIMESYNC = Path("/run/systemd/timesync/synchronized")


@cache
def package_version() -> str:
    """Return the installed version of Quietwater."""
    try:
        return version("quietwater")
    except PackageNotFoundError:
        return "unknown"


@cache
def boot_id() -> str:
    """Return the kernel's id of this boot, or a random one where there is none."""
    try:
        return _BOOT_ID.read_text().strip()
    except OSError:
        return str(uuid.uuid4())


def temperature_c() -> float | None:
    """Return the processor's temperature, if the machine tells it."""
    try:
        return int(_THERMAL.read_text()) / 1000
    except (OSError, ValueError):
        return None


def clock_synced() -> bool | None:
    """Say whether systemd-timesyncd has set the clock; ``None`` where it does not run."""
    return _TIMESYNC.exists() if _TIMESYNC.parent.exists() else None


def status(
    outbox: Outbox,
    folder: Path,
    now: datetime,
    config: ConfigReport,
    certificate_ends: datetime | None = None,
    interval_s: float | None = None,
) -> DeviceStatus:
    """Return the status to publish."""
    oldest_ms = outbox.oldest_t_ms()
    return DeviceStatus(
        state="online",
        t=now,
        version=package_version(),
        boot_id=boot_id(),
        clock_synced=clock_synced(),
        outbox_depth=outbox.depth(),
        outbox_oldest_t=None if oldest_ms is None else datetime.fromtimestamp(oldest_ms / 1000, UTC),
        dropped=outbox.dropped_total,
        refused=outbox.refused_total,
        temperature_c=temperature_c(),
        disk_free_mb=shutil.disk_usage(folder).free >> 20,
        uptime_s=int(time.monotonic() - _STARTED),
        config_version=config.version,
        config_on_trial=config.on_trial or None,
        config_error=config.error,
        certificate_ends=certificate_ends,
        status_interval_s=interval_s,
    )
