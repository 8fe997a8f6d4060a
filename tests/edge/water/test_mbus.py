from decimal import Decimal

import msgspec
import pytest

from contract.flags import WaterFlag
from edge.water import mbus_decode, mbus_link
from edge.water.mbus_records import more_follow, records, register_in
from edge.water.mbus_transport import Secrets
from edge.water.profiles import MbusProfile, MbusStatusRecord, StatusRule, load
from edge.water.register import FrameRefused

PROFILE = load("mbus", MbusProfile)


def register(payload, profile=PROFILE, status=0):
    return register_in(records(bytes.fromhex(payload)), "12345678", status, profile)


def frame(payload, *, control=0x08, ci=0x72, status=0, configuration="0000", medium=0x07):
    header = bytes.fromhex("78563412EE4601") + bytes([medium, 0x01, status]) + bytes.fromhex(configuration)
    return mbus_link.long_frame(control, 1, ci, header + bytes.fromhex(payload))


@pytest.mark.parametrize(
    ("payload", "volume", "resolution"),
    [
        ("041331D40000", "54.321", "0.001"),
        ("0C1378563412", "12345.678", "0.001"),
        ("0C1456341200", "1234.56", "0.01"),
        ("041035000000", "0.000053", "0.000001"),
        ("0416E8030000", "1000", "1"),
        ("04170A000000", "100", "10"),
        ("0613010000000000", "0.001", "0.001"),
        ("07130100000000000000", "0.001", "0.001"),
        ("0E13785634129078", "789012345.678", "0.001"),
        ("0413FFFFFFFF", "-0.001", "0.001"),
        ("0C13450300F0", "-0.345", "0.001"),
        ("2F2F0413010000002F2F", "0.001", "0.001"),
        ("0413010000000F1234", "0.001", "0.001"),
        ("041301000000FFFF", "0.001", "0.001"),
        ("441309000000041301000000041302000000", "0.001", "0.001"),
    ],
)
def test_volumes_are_exact(payload, volume, resolution):
    found = register(payload)
    assert (str(found.volume_m3), str(found.resolution_m3)) == (volume, resolution)


@pytest.mark.parametrize(
    ("payload", "reason"),
    [
        ("", "no volume of storage 0 among its 0"),
        ("441301000000", "no volume"),  # a past month
        ("141301000000", "no volume"),  # a maximum
        ("841013010000", "ends within the data"),
        ("84101301000000", "no volume"),  # tariff 1
        ("84401301000000", "no volume"),  # subunit 1
        ("04933B01000000", "no volume"),  # one direction only
        ("04933C01000000", "no volume"),
        ("043B01000000", "no volume"),  # a flow
        ("0413010000", "ends within the data"),
        ("04", "value information"),
        ("84", "data information"),
        ("0493", "value information"),
        ("0D13", "length"),
        ("0D1305010203", "ends within the data"),
        ("0D13F7", "reserved"),
        ("3F", "no data"),
        ("0813", "no data"),
        ("8480808080808080808080808001", "more than 10 DIFE"),
        ("0493" + "80" * 11 + "00", "more than 10 VIFE"),
        ("0C13FFFFFFFF", "invalid"),
        ("0C13123456AB", "invalid"),
        ("041300000080", "invalid"),
        ("05130000803F", "floating-point"),
        ("0013", "invalid"),
    ],
)
def test_what_is_no_register_is_refused(payload, reason):
    with pytest.raises(FrameRefused, match=reason):
        register(payload)


def test_flow_reverse_time_and_status():
    found = register("0413E803000004933C64000000023B2C01046D0B0B7A36", status=0x04)
    assert found.flow_m3h == Decimal("0.300")
    assert found.reverse_m3 == Decimal("0.100")
    assert found.meter_time == "2027-06-26T11:11:00"
    assert found.flags == WaterFlag.LOW_BATTERY


@pytest.mark.parametrize(
    ("payload", "flow"),
    [("02390100", "0.00001"), ("02400100", "0.000006"), ("02480100", "0.0000036"), ("023BFEFF", "-0.002")],
)
def test_flow_units(payload, flow):
    assert register("041301000000" + payload).flow_m3h == Decimal(flow)


@pytest.mark.parametrize("flow", ["023B0080", "0A3BFFFF", "1A3B0100", "423B0100"])
def test_a_flow_that_is_none_is_none(flow):
    assert register("041301000000" + flow).flow_m3h is None


def test_a_profile_names_tariff_status_and_records():
    profile = msgspec.structs.replace(
        PROFILE,
        tariff=1,
        status=(StatusRule(flag="leak", mask=0x20),),
        records=(MbusStatusRecord(vif="FD17", rules=(StatusRule(flag="burst", mask=0x0100),)),),
    )
    found = register("0413010000008410130200000002FD170001", profile, status=0x20)
    assert found.volume_steps == 2
    assert found.flags == WaterFlag.LEAK | WaterFlag.BURST


@pytest.mark.parametrize(
    ("status", "flags"),
    [(0, 0), (0x04, WaterFlag.LOW_BATTERY), (0x08, WaterFlag.METER_FAULT), (0x10, WaterFlag.METER_FAULT),
     (0x02, WaterFlag.METER_FAULT), (0x03, 0), (0xE0, 0)],
)  # fmt: skip
def test_status_byte(status, flags):
    assert register("041301000000", status=status).flags == flags


def test_plain_text_units_are_stepped_over():
    assert [one.data for one in records(bytes.fromhex("02FC0348522574D411041301000000"))] == [
        b"\xd4\x11",
        b"\x01\0\0\0",
    ]


def test_more_records_follow():
    assert more_follow(bytes.fromhex("0413010000001F"))
    assert not more_follow(bytes.fromhex("0413010000000F1F"))


@pytest.mark.parametrize(
    ("raw", "reason"),
    [
        (b"\xe5", "acknowledgement"),
        (mbus_link.short_frame(mbus_link.REQ_UD2, 1), "a request"),
        (frame("041301000000", control=0x53), "no response"),
        (frame("041301000000", medium=0x04), "not water"),
        (frame("041301000000", configuration="0005"), "needs the meter's key|do not fit"),
        (frame("041301000000", configuration="0002"), "security mode 2"),
        (mbus_link.long_frame(0x08, 1, 0x71, b"\x00"), "alarm"),
        (mbus_link.long_frame(0x08, 1, 0x51, b"\x00"), "request or command"),
        (mbus_link.long_frame(0x08, 1, 0x8C, b"\x00" * 20), "wireless"),
        (mbus_link.long_frame(0x08, 1, 0x72, b"\x00" * 7), "identity|header"),
        (mbus_link.long_frame(0x08, 1, 0x72, b"\x07" * 10), "header"),
        (b"\x68\x03\x04\x68" + b"\x00" * 5, "length bytes differ"),
        (b"\x68\x03\x03\x10" + b"\x00" * 5, "starts with"),
    ],
)
def test_frames_that_are_no_reading(raw, reason):
    with pytest.raises(FrameRefused, match=reason):
        mbus_decode.decode(raw, PROFILE, Secrets())


def test_a_frame_without_header_has_no_serial_but_a_register():
    raw = mbus_link.long_frame(0x08, 1, 0x78, bytes.fromhex("041301000000"))
    found = mbus_decode.decode(raw, PROFILE, Secrets())
    assert (found.serial, found.volume_steps) == (None, 1)


def test_the_models_own_profile_is_used_unless_another_is_named():
    payload = "04130100000003FD17040000"
    header = bytes.fromhex("785634120106") + b"\x01\x16\x01\x00\x00\x00"
    raw = mbus_link.long_frame(0x08, 1, 0x72, header + bytes.fromhex(payload))
    assert mbus_decode.decode(raw, PROFILE, Secrets()).flags == WaterFlag.DRY
    named = msgspec.structs.replace(PROFILE, title="mine")
    assert mbus_decode.decode(raw, named, Secrets()).flags == 0


def test_every_single_bit_error_is_refused():
    raw = frame("041331D40000")
    for place in range(len(raw)):
        for bit in range(8):
            broken = raw[:place] + bytes([raw[place] ^ 1 << bit]) + raw[place + 1 :]
            with pytest.raises(FrameRefused):
                mbus_decode.decode(broken, PROFILE, Secrets())


def test_secondary_addresses():
    answer = mbus_link.parse_long(frame("041301000000"))
    assert mbus_link.secondary_of(answer) == "12345678EE460107"
    assert mbus_link.matches("12345678", answer)
    assert mbus_link.matches("1234FFFFFFFF0107", answer)
    assert not mbus_link.matches("12345679", answer)
    assert mbus_link.select_frame("12345678").hex() == "680b0b6853fd5278563412ffffffffb216"
