"""The devices' health as numbers, and that a large fleet or an inventive device does not flood the page."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

from sqlalchemy.orm import Session

from api.fleet_numbers import MOST_VERSIONS, fleet_numbers, versions
from store.registry.database import Registry
from store.registry.models import Device, DeviceState, Site

AT = datetime(2026, 3, 1, 12, tzinfo=UTC)


def _device(session: Session, name: str, **status: object) -> None:
    session.add(
        Device(
            site="s1", name=name, kind="noise", label_zh=name, label_en=name, secret_hash="-", created_at=AT
        )
    )
    session.flush()
    state = "online" if name != "d3" else "offline"
    told = {"state": state, **status}
    session.add(DeviceState(site="s1", device=name, state=state, since=AT, received_at=AT, status=told))


def test_what_devices_tell_and_nothing_else(tmp_path: Path) -> None:
    registry = Registry.in_folder(tmp_path)
    with registry.session() as session:
        session.add(Site(name="s1", label_zh="s1", label_en="s1", created_at=AT))
        session.flush()
        _device(session, "d1", version="1.0", outbox_depth=7, clock_offset_ms=-250.0, disk_free_mb=2000)
        _device(session, "d2", version="1.0", temperature_c=61.5)
        _device(session, "d3")
    with registry.reader() as session:
        told, cut = fleet_numbers(session), fleet_numbers(session, most=2)
    registry.close()
    assert told["device_online"] == {("s1", "d1"): 1.0, ("s1", "d2"): 1.0, ("s1", "d3"): 0.0}
    assert told["device_outbox_depth"] == {("s1", "d1"): 7.0}
    assert told["device_clock_offset_seconds"] == {("s1", "d1"): -0.25}
    assert told["device_disk_free_bytes"] == {("s1", "d1"): 2e9}
    assert told["device_temperature_celsius"] == {("s1", "d2"): 61.5}
    assert told["device_last_seen_timestamp_seconds"][("s1", "d3")] == AT.timestamp()  # type: ignore[index]
    assert told["devices_by_version"] == {("1.0",): 2.0, ("unknown",): 1.0}
    assert told["devices_left_out"] == 0
    assert cut["devices_left_out"] == 1 and len(cut["device_online"]) == 2  # type: ignore[arg-type]
    assert cut["devices_by_version"] == told["devices_by_version"], "versions are of all devices"


def test_many_versions_are_counted_together() -> None:
    told = versions([*["usual"] * 50, *(f"v{n}" for n in range(100)), "other"])
    assert len(told) == MOST_VERSIONS + 1
    assert told[("usual",)] == 50
    assert sum(told.values()) == 151
