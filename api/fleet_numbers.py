"""The devices' health as numbers, from the statuses that they told. Bounded: a page of metrics must stay readable."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from datetime import datetime
from typing import Any, Final

from sqlalchemy import select
from sqlalchemy.orm import Session

from api.metric_table import Labelled, Numbers
from store.registry.models import Device, DeviceState

MOST_DEVICES: Final = 2_000
"""Devices that get numbers of their own: six each. Of a larger fleet these are the sums alone and the first so many."""
MOST_VERSIONS: Final = 20
"""A device may call its version what it likes, so the rarest are counted together."""
_OTHER: Final = "other"

_Row = tuple[str, str, DeviceState]

_TOLD: Final[Mapping[str, Callable[[Mapping[str, Any]], float | None]]] = {
    "device_outbox_depth": lambda told: told.get("outbox_depth"),
    "device_clock_offset_seconds": lambda told: _scaled(told.get("clock_offset_ms"), 1e-3),
    "device_temperature_celsius": lambda told: told.get("temperature_c"),
    "device_disk_free_bytes": lambda told: _scaled(told.get("disk_free_mb"), 1e6),
}


def fleet_numbers(session: Session, *, most: int = MOST_DEVICES) -> Numbers:
    """Return the numbers of enabled devices that told a status, the first ``most`` by name, and what was left out."""
    same = (DeviceState.site == Device.site) & (DeviceState.device == Device.name)
    rows: list[_Row] = [
        (state.site, state.device, state)
        for state in session.scalars(
            select(DeviceState).join(Device, same).where(Device.enabled).order_by(Device.site, Device.name)
        )
    ]
    shown = rows[:most]
    numbers: dict[str, float | Labelled] = {
        "device_online": {(site, name): float(state.state == "online") for site, name, state in shown},
        "device_last_seen_timestamp_seconds": {
            (site, name): _unix_s(state.received_at) for site, name, state in shown
        },
        "devices_by_version": versions(state.status.get("version") for _, _, state in rows),
        "devices_left_out": float(len(rows) - len(shown)),
    }
    for number, read in _TOLD.items():
        values = {(site, name): read(state.status) for site, name, state in shown}
        numbers[number] = {key: float(value) for key, value in values.items() if value is not None}
    return numbers


def versions(told: Iterable[str | None]) -> Labelled:
    """Count versions; beyond ``MOST_VERSIONS`` the rarest are counted as one."""
    counted = Counter(version or "unknown" for version in told).most_common()
    kept = {(version,): float(count) for version, count in counted[:MOST_VERSIONS]}
    if rest := sum(count for _, count in counted[MOST_VERSIONS:]):
        kept[(_OTHER,)] = kept.get((_OTHER,), 0.0) + rest
    return kept


def _unix_s(at: datetime) -> float:
    return at.timestamp()


def _scaled(value: float | None, factor: float) -> float | None:
    return None if value is None else value * factor
