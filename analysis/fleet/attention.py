"""Which device needs somebody to look after it, and why. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final, Literal

Reason = Literal[
    "silent", "old_version", "clock", "drift", "outbox", "certificate", "configuration", "disk", "hot"
]

CLOCK_MOST_S: Final = 2.0
DRIFT_MOST_DB: Final = 0.5
OUTBOX_OLDEST: Final = timedelta(minutes=10)
CERTIFICATE_LEFT: Final = timedelta(days=30)
DISK_LEAST_MB: Final = 500
HOT_C: Final = 80.0
CONFIG_GRACE: Final = timedelta(minutes=5)


@dataclass(frozen=True, slots=True)
class Health:
    """What is known of an enabled device that has been seen; what it did not tell is ``None``."""

    online: bool
    version: str | None = None
    clock_offset_s: float | None = None
    clock_synced: bool | None = None
    drift_db: float | None = None
    outbox_oldest_t: datetime | None = None
    certificate_ends: datetime | None = None
    config_wanted: int | None = None
    config_wanted_since: datetime | None = None
    config_version: int | None = None
    config_error: str | None = None
    disk_free_mb: int | None = None
    temperature_c: float | None = None


def reasons(health: Health, newest_version: str | None, now: datetime) -> list[Reason]:
    """Return why a device needs attention; an empty list where it does not."""
    found: list[Reason] = []
    if not health.online:
        found.append("silent")
    if health.version and newest_version and _order(health.version) < _order(newest_version):
        found.append("old_version")
    if health.clock_synced is False or abs(health.clock_offset_s or 0.0) > CLOCK_MOST_S:
        found.append("clock")
    if abs(health.drift_db or 0.0) > DRIFT_MOST_DB:
        found.append("drift")
    if health.outbox_oldest_t is not None and now - health.outbox_oldest_t > OUTBOX_OLDEST:
        found.append("outbox")
    if health.certificate_ends is not None and health.certificate_ends - now < CERTIFICATE_LEFT:
        found.append("certificate")
    if health.config_error or _waits_for_config(health, now):
        found.append("configuration")
    if health.disk_free_mb is not None and health.disk_free_mb < DISK_LEAST_MB:
        found.append("disk")
    if health.temperature_c is not None and health.temperature_c > HOT_C:
        found.append("hot")
    return found


def newest_version(versions: Iterable[str | None]) -> str | None:
    """Return the newest version among those that devices told."""
    told = [version for version in versions if version and version[0].isdigit()]
    return max(told, key=_order, default=None)


def _waits_for_config(health: Health, now: datetime) -> bool:
    since = health.config_wanted_since
    if health.config_wanted is None or since is None or now - since < CONFIG_GRACE:
        return False
    return health.config_wanted != health.config_version


def _order(version: str) -> list[int]:
    return [int(number) for number in re.findall(r"\d{1,9}", version)]
