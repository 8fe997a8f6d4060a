import sys
import threading
from typing import get_args

import msgspec
import pytest

from contract.clock import SystemClock
from edge.water import poller as poller_module
from edge.water.drivers import DRIVERS
from edge.water.poller import Poller
from edge.water.settings import WaterConfigError, WaterSettings
from edge.water.settings_meters import BusSettings, Cjt188Meter, MeterSettings, ModbusMeter
from tests.edge.water.bench import bus_tables, polled, served, wait_until


def test_every_driver_of_the_settings_is_in_the_registry():
    kinds = {str(one.__struct_config__.tag) for one in get_args(MeterSettings)} | {"replay"}
    assert kinds == set(DRIVERS)


@pytest.mark.parametrize(
    ("meter", "reason"),
    [
        (Cjt188Meter(name="m", bus="b", address="0" * 14, profile="none"), "water.meters: no profile 'none'"),
        (ModbusMeter(name="m", bus="b", unit=1, profile="cjt188"), "is for cjt188, not for modbus"),
    ],
)
def test_a_profile_that_cannot_be_used_is_an_error_of_the_configuration(meter, reason, tmp_path):
    settings = WaterSettings(buses=(BusSettings(name="b", port="/dev/null"),), meters=(meter,))
    with pytest.raises(WaterConfigError, match=reason):
        Poller(settings, SystemClock(), print, tmp_path)


def test_a_source_that_fails_is_started_again_and_the_others_go_on(tmp_path, monkeypatch):
    monkeypatch.setattr(poller_module, "_RESTART_FIRST_S", 0.05)
    failures = []

    def emit(reading):
        if getattr(reading, "meter", None) == "m1" and len(failures) < 2:
            failures.append(reading)
            raise RuntimeError("the outbox is gone")
        taken.append(reading)

    taken: list = []
    with served("cjt188", 1) as (where, meters, _server), served("mbus", 2) as (other, others, _other):
        tables = bus_tables("cjt188", where, meters)
        second = bus_tables("mbus", other, others[1:])
        second["buses"][0]["name"] = "bus2"
        second["meters"][0] |= {"bus": "bus2"}
        tables["buses"] += second["buses"]
        tables["meters"] += second["meters"]
        poller = Poller(
            msgspec.convert(tables, WaterSettings), SystemClock(), emit, tmp_path, clock_synced=lambda: True
        )
        stop = threading.Event()
        thread = threading.Thread(target=poller.run, args=(stop,))
        thread.start()
        wait_until(lambda: {"m1", "m2"} <= {one.meter for one in taken} and len(failures) == 2)
        stop.set()
        thread.join(timeout=60)
        assert not thread.is_alive()


def test_a_poller_of_pulses_without_gpio_leaves_its_meters_silent(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "gpiozero", None)
    tables = {
        "meters": [
            {
                "name": "tap", "driver": "pulse", "pin": 4, "pulse_ml": 1000, "interval_s": 1, "jitter_s": 0,
                "silent_after": 1,
            }
        ]
    }  # fmt: skip
    with polled(tables, tmp_path) as output:
        wait_until(lambda: output.kinds() == [("meter_silent", "tap")])
    assert "quietwater[edge-gpio]" in str(output.events[0].detail["reason"])
