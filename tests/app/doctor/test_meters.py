"""Serial ports that are there, not there, and closed to this user."""

from __future__ import annotations

import os
import pty
from pathlib import Path

import pytest

from app.doctor import meters
from edge.water.settings import WaterSettings
from edge.water.settings_meters import BusSettings, Cjt188Meter


def _water(port: str) -> WaterSettings:
    meter = Cjt188Meter(name="m1", bus="b", address="00000000000001")
    return WaterSettings(buses=(BusSettings(name="b", port=port),), meters=(meter,))


def test_a_port_that_is_there() -> None:
    master, slave = pty.openpty()
    try:
        assert [one.key for one in meters.lines(_water(os.ttyname(slave)))] == ["meter_port"]
    finally:
        os.close(master)
        os.close(slave)


def test_ports_that_are_none(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    for path in (tmp_path / "none", tmp_path / "file"):
        assert [one.key for one in meters.lines(_water(str(path)))] == ["meter_port_missing"]


def test_a_port_of_somebody_else(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "access", lambda *_: False)  # root may open everything
    assert [one.key for one in meters.lines(_water("/dev/null"))] == ["meter_port_refused"]
