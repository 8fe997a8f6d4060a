"""Every captured frame: decoded to exactly its value, or refused with a reason."""

from decimal import Decimal

import pytest

from contract.flags import WaterFlag
from edge.water.drivers import decode
from edge.water.register import FrameRefused
from tests.edge.water import vectors

# Formats of one manufacturer that carry no record of EN 13757-3: only wmbusmeters' own drivers read them.
VENDOR_ONLY = {
    "apator162", "apator172", "apatorna1", "izarv2", "mkradio3", "mkradio4", "mkradio4a", "zenner0b",
}  # fmt: skip
# DES of security mode 2 and an undefined security mode; a walk-by telegram in the manufacturer's string;
# no current volume.
OTHER_REFUSALS = {"actislink-0", "hydrus-3", "qwaterv2-6", "qwaterv2-14", "lse_07_17-1"}


def everything(driver):
    return [pytest.param(one, id=one.get("id", one["hex"][-24:])) for one in vectors.good(driver)]


def decoded(driver, vector):
    return decode(driver, bytes.fromhex(vector["hex"]), key=vectors.key_of(vector))


@pytest.mark.parametrize("vector", everything("cjt188"))
def test_cjt188(vector):
    expected = vector["expected"]
    if vectors.volume_of(vector) is None:
        with pytest.raises(FrameRefused, match=r"a request \(control 01H\)|unit 29H"):
            decoded("cjt188", vector)
        return
    register = decoded("cjt188", vector)
    assert register.volume_m3 == Decimal(str(expected["total_m3"]))
    assert register.resolution_m3 == Decimal("0.01")
    assert register.serial == expected["address_bcd_msb_first"]
    assert bool(register.flags & WaterFlag.VALVE_CLOSED) == (expected["valve"] == "closed")
    assert bool(register.flags & WaterFlag.LOW_BATTERY) == expected["battery_low"]
    if "meter_time" in expected:
        assert register.meter_time == expected["meter_time"].replace(" ", "T")


@pytest.mark.parametrize("vector", everything("mbus"))
def test_mbus(vector):
    expected = vector["expected"]
    if expected["total_m3"] is None:
        with pytest.raises(FrameRefused, match=r"fixed data structure|no volume of storage 0"):
            decoded("mbus", vector)
        return
    register = decoded("mbus", vector)
    assert register.volume_m3 == Decimal(str(expected["total_m3"]))
    assert register.serial == expected["serial"].zfill(8)


@pytest.mark.parametrize("vector", everything("wmbus"))
def test_wmbus_decodes_exactly_or_refuses(vector):
    expected = vector["expected"]
    if vector["driver"] in VENDOR_ONLY or vector["id"] in OTHER_REFUSALS:
        with pytest.raises(FrameRefused):
            decoded("wmbus", vector)
        return
    register = decoded("wmbus", vector)
    assert register.volume_m3 == Decimal(str(expected["total_m3"]))
    assert register.serial == expected["id"]
    for key in ("meter_datetime", "device_datetime"):
        if key in expected:
            assert register.meter_time is not None
            assert register.meter_time.startswith(expected[key].replace(" ", "T"))
    for key in ("total_backward_m3", "total_backwards_m3", "total_backward_flow_m3"):
        if key in expected:
            assert register.reverse_m3 == Decimal(str(expected[key]))
    for key in ("flow_m3h", "volume_flow_m3h", "current_flow_m3h"):
        if key in expected and not vector["driver"].startswith("qwater"):  # theirs has a qualifier
            assert register.flow_m3h == Decimal(str(expected[key]))


def test_wmbus_covers_all_that_is_open():
    covered = sum(
        one["driver"] not in VENDOR_ONLY and one["id"] not in OTHER_REFUSALS for one in vectors.good("wmbus")
    )
    assert covered == 49
    assert len(vectors.good("wmbus")) == 77


@pytest.mark.parametrize(
    ("name", "flags"),
    [
        ("kamwater-1", WaterFlag.DRY),
        ("kadenwater-3", WaterFlag.LEAK),
        ("picoflux-2", WaterFlag.LEAK),
        ("iwmtx5-2", WaterFlag.TAMPER),
        ("iwmtx5-0", WaterFlag.METER_FAULT),
        ("ultrimisv2-3", WaterFlag.DRY),
        ("waterstarm-2", WaterFlag.LOW_BATTERY),
        ("evo868-0", WaterFlag(0)),
    ],
)
def test_wmbus_flags(name, flags):
    assert decoded("wmbus", vectors.by_id("wmbus", name)).flags == flags


@pytest.mark.parametrize("vector", everything("lorawan"))
def test_lorawan(vector):
    register = decoded("lorawan", vector)
    assert register.volume_m3 == Decimal("6.054")
    assert register.meter_time == "2026-09-02T23:09:34"
    assert register.flags == 0


@pytest.mark.parametrize(
    ("driver", "vector"),
    [(driver, one) for driver in ("cjt188", "mbus") for one in vectors.bad(driver)],
)
def test_negatives_are_refused_with_their_reason(driver, vector):
    with pytest.raises(FrameRefused) as caught:
        decoded(driver, vector)
    reason = vector["expected"].get("reason", "")
    for told in ("08, computed 13", "A4, computed 8F", "17"):
        if told in reason:
            for number in told.replace(", computed", "").split():
                assert f"{number}H" in str(caught.value)


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("application_busy", "application busy"),
        ("premature_end_of_data2", "ends within the data of a record"),
        ("premature_end_of_dif2", "ends within the data information"),
        ("premature_end_of_var_vif1", "ends within the unit text"),
        ("too_long_var_vif", "ends within the unit text"),
        ("too_many_difes", "more than 10 DIFE"),
        ("unimplemented_ci", "CI field not implemented"),
    ],
)
def test_reasons_of_mbus(name, reason):
    vector = next(one for one in vectors.bad("mbus") if one["id"] == name)
    with pytest.raises(FrameRefused, match=reason):
        decoded("mbus", vector)


@pytest.mark.parametrize("driver", ["cjt188", "mbus", "wmbus", "lorawan"])
def test_nothing_is_read_from_a_frame_with_garbage_around_or_a_part_missing(driver):
    for vector in vectors.good(driver):
        raw, key = bytes.fromhex(vector["hex"]), vectors.key_of(vector)
        for broken in (
            raw + b"\x00",
            raw + b"\x16",
            b"\x00" + raw,
            raw[:-1],
            raw[1:] if driver != "cjt188" else b"",
            raw * 2,
            b"",
        ):
            with pytest.raises(FrameRefused):
                decode(driver, broken, key=key)
