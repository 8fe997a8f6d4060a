"""Drivers over a real transport: a pseudo-terminal and TCP, with the faults of real buses."""

import re
from contextlib import ExitStack
from pathlib import Path

import pytest

from edge.water.simulator.faults import Fault
from tests.edge.water.bench import bus_tables, polled, served, wait_until

DRIVERS = ("cjt188", "mbus", "modbus")
STEP_L = {"cjt188": 10, "mbus": 1, "modbus": 1}


def assert_true_registers(driver, output, meters):
    """Every reading shows its own meter's register at its time, and nothing else."""
    by_name = {f"m{one.number}": one for one in meters}
    for reading in output.readings:
        low_l = by_name[reading.meter].volume_l(reading.t)
        assert reading.step_ml == STEP_L[driver] * 1000
        assert 0 <= reading.volume_ml // 1000 - low_l // STEP_L[driver] * STEP_L[driver] <= 10, reading


@pytest.mark.parametrize("over", ["pty", "tcp"])
@pytest.mark.parametrize("driver", DRIVERS)
def test_meters_are_read(driver, over, tmp_path):
    with served(driver, 3, over=over) as (where, meters, _server):
        with polled(bus_tables(driver, where, meters, over=over), tmp_path) as output:
            wait_until(lambda: all(output.count()[f"m{n}"] >= 2 for n in (1, 2, 3)))
        assert_true_registers(driver, output, meters)
        assert output.events == []
        assert all(one.flags == () for one in output.readings)
        if driver != "modbus":
            assert output.readings[0].serial in (meters[0].cjt188_address, meters[0].mbus_serial)


@pytest.mark.parametrize(
    "fault", ["noise", "split", "echo", "checksum:0.3", "late:0.3", "other:0.3", "silent:0.3"]
)
@pytest.mark.parametrize("driver", DRIVERS)
def test_faults_cost_time_and_never_a_wrong_register(driver, fault, tmp_path):
    faults = [Fault("late", 0.3, late_s=0.4) if fault == "late:0.3" else fault]
    with served(driver, 3, faults=faults) as (where, meters, _server):
        tables = bus_tables(driver, where, meters, retries=3)
        with polled(tables, tmp_path) as output:
            wait_until(lambda: all(output.count()[f"m{n}"] >= 3 for n in (1, 2, 3)), 60)
        assert_true_registers(driver, output, meters)


@pytest.mark.parametrize("driver", DRIVERS)
def test_all_faults_at_once(driver, tmp_path):
    faults = ["echo", "noise:0.3", "split:0.5", "checksum:0.1", "other:0.1", "silent:0.1"]
    with served(driver, 2, over="tcp", faults=faults, framing="rtu") as (where, meters, _server):
        framing = "rtu" if driver == "modbus" else None
        tables = bus_tables(driver, where, meters, over="tcp", retries=3, framing=framing)
        with polled(tables, tmp_path) as output:
            wait_until(lambda: all(output.count()[f"m{n}"] >= 3 for n in (1, 2)), 60)
        assert_true_registers(driver, output, meters)


@pytest.mark.parametrize("driver", DRIVERS)
def test_a_silent_meter_is_told_and_does_not_hold_up_the_others(driver, tmp_path):
    with served(driver, 3, faults=["silent@2"]) as (where, meters, _server):
        tables = bus_tables(driver, where, meters, silent_after=2, retries=0)
        with polled(tables, tmp_path) as output:
            wait_until(lambda: ("meter_silent", "m2") in output.kinds() and output.count()["m3"] >= 4, 30)
        assert output.kinds() == [("meter_silent", "m2")]
        assert output.count()["m2"] == 0
        assert min(output.count()[name] for name in ("m1", "m3")) >= 4


def test_a_meter_that_comes_back_is_told(tmp_path):
    with served("cjt188", 1, faults=["silent@1"]) as (where, meters, server):
        tables = bus_tables("cjt188", where, meters, silent_after=2, retries=0)
        with polled(tables, tmp_path) as output:
            wait_until(lambda: output.kinds() == [("meter_silent", "m1")])
            server._faults = ()
            wait_until(lambda: output.count()["m1"] >= 2, 30)
        assert output.kinds() == [("meter_silent", "m1"), ("meter_back", "m1")]


@pytest.mark.parametrize("telegrams", [1, 2, 3])
@pytest.mark.parametrize("secondary", [False, True])
def test_mbus_readouts_of_several_telegrams(telegrams, secondary, tmp_path):
    with served("mbus", 3, telegrams=telegrams) as (where, meters, _server):
        with polled(bus_tables("mbus", where, meters, secondary=secondary), tmp_path) as output:
            wait_until(lambda: all(output.count()[f"m{n}"] >= 2 for n in (1, 2, 3)))
        assert_true_registers("mbus", output, meters)
        assert output.readings[0].flow_m3h == 0.06


def test_cjt188_by_broadcast_for_the_only_meter_on_a_line(tmp_path):
    with served("cjt188", 1) as (where, meters, _server):
        tables = bus_tables("cjt188", where, meters)
        tables["meters"][0]["address"] = "AA" * 7
        with polled(tables, tmp_path) as output:
            wait_until(lambda: output.count()["m1"] >= 1)
        assert output.readings[0].serial == meters[0].cjt188_address


@pytest.mark.parametrize("driver", DRIVERS)
def test_a_line_that_is_lost_and_back(driver, tmp_path, free_port):
    port = free_port()
    with ExitStack() as stack:
        with served(driver, 2, over="tcp", port=port) as (where, meters, _server):
            tables = bus_tables(driver, where, meters, over="tcp", silent_after=2)
            output = stack.enter_context(polled(tables, tmp_path))
            wait_until(lambda: all(output.count()[name] for name in ("m1", "m2")))
        wait_until(lambda: len(output.events) == 2, 30)
        assert sorted(output.kinds()) == [("meter_silent", "m1"), ("meter_silent", "m2")]
        assert re.search("cannot be opened|is lost", str(output.events[0].detail["reason"]))
        with served(driver, 2, over="tcp", port=port):
            wait_until(lambda: len(output.events) == 4, 60)
        assert sorted(output.kinds()[2:]) == [("meter_back", "m1"), ("meter_back", "m2")]


def test_a_port_that_is_not_there_is_said_once_and_all_its_meters_fall_silent(tmp_path):
    tables = {
        "buses": [{"name": "bus", "port": "/dev/no-such-port"}],
        "meters": [
            {
                "name": f"m{n}", "driver": "cjt188", "bus": "bus", "address": f"{n:014d}", "interval_s": 1,
                "jitter_s": 0, "silent_after": 2,
            }
            for n in (1, 2, 3)
        ],
    }  # fmt: skip
    with polled(tables, tmp_path) as output:
        wait_until(lambda: len(output.events) == 3, 30)
    assert {one.kind for one in output.events} == {"meter_silent"}
    assert output.readings == []


def test_a_port_has_one_reader(tmp_path):
    from edge.water.line import Line
    from edge.water.register import LineError
    from edge.water.settings_meters import BusSettings

    with served("cjt188", 1) as (where, _meters, _server):
        first, second = (Line(BusSettings(name="b", port=where)) for _ in range(2))
        first.open()
        try:
            with pytest.raises(LineError, match="cannot be opened"):
                second.open()
        finally:
            first.close()
        second.open()
        second.close()


def test_state_goes_on_after_a_restart(tmp_path):
    with served("cjt188", 2) as (where, meters, _server):
        with polled(bus_tables("cjt188", where, meters), tmp_path) as output:
            wait_until(lambda: output.count()["m1"] >= 1)
        assert list(Path(tmp_path).glob("water-meters-bus-bus.json"))
        tables = bus_tables("cjt188", where, list(reversed(meters)))
        tables["meters"][0]["name"], tables["meters"][1]["name"] = "m1", "m2"
        with polled(tables, tmp_path) as output:
            wait_until(lambda: output.count()["m1"] >= 1)
    assert output.readings[0].flags == ("meter_replaced",)
    assert output.kinds()[0][0] == "meter_replaced"


def test_our_own_clock_is_told_where_it_was_never_set(tmp_path):
    with (
        served("mbus", 1) as (where, meters, _server),
        polled(bus_tables("mbus", where, meters), tmp_path, synced=False) as output,
    ):
        wait_until(lambda: output.count()["m1"] >= 1)
    assert output.readings[0].flags == ("clock_unsynced",)


def test_more_flow_than_q4_is_flagged(tmp_path):
    with (
        served("mbus", 1, flow_lph=3_600_000) as (where, meters, _server),
        polled(bus_tables("mbus", where, meters, q4_m3h=3.125), tmp_path) as output,
    ):
        wait_until(lambda: output.count()["m1"] >= 3)
    assert [one.flags for one in output.readings[1:3]] == [("too_fast",)] * 2
