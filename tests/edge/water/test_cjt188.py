from decimal import Decimal

import msgspec
import pytest

from contract.flags import WaterFlag
from edge.water import bcd, cjt188
from edge.water.profiles import Cjt188Field, Cjt188Profile, StatusRule, load
from edge.water.register import FrameRefused

PROFILE = load("cjt188", Cjt188Profile)
ADDRESS = cjt188.wire_address("78330011223344")


def data(
    *, volume="00123456", unit="2C", settlement="00123456", clock="20260630120000", status="0000", di="901F"
):
    wire = bytes.fromhex(di) + b"\x01"
    wire += bytes.fromhex(volume)[::-1] + bytes.fromhex(unit) + bytes.fromhex(settlement)[::-1] + b"\x2c"
    return wire + bytes.fromhex(clock)[::-1] + bytes.fromhex(status)


def reply(content=None, *, meter_type=0x10, control=0x81, preamble=4, **fields):
    return cjt188.build(
        meter_type, ADDRESS, control, data(**fields) if content is None else content, preamble=preamble
    )


def test_what_is_built_is_parsed():
    frame = cjt188.parse(cjt188.build(0x10, ADDRESS, 0x01, b"\x90\x1f\x07"))
    assert frame == cjt188.Frame(0x10, "78330011223344", 0x01, b"\x90\x1f\x07")


@pytest.mark.parametrize("preamble", [0, 1, 4, 20])
def test_any_preamble_is_taken(preamble):
    assert cjt188.decode(reply(preamble=preamble), PROFILE).volume_m3 == Decimal("1234.56")


@pytest.mark.parametrize("di", ["901F", "1F90"])
def test_both_orders_of_the_identifier_are_taken(di):
    assert cjt188.decode(reply(di=di), PROFILE).serial == "78330011223344"


@pytest.mark.parametrize(
    ("frame", "reason"),
    [
        (reply(di="D120"), "data identifier D120"),
        (reply(control=0xC1), "reports an error"),
        (reply(control=0x84), "answers no reading"),
        (reply(control=0x01), "a request"),
        (reply(b""), "data identifier missing"),
        (reply(b"\x90\x1f\x00"), "0 bytes of fields"),
        (reply(data() + b"\x00"), "another layout needs a profile"),
        (reply(meter_type=0x30), "30H is no water meter"),
        (reply(meter_type=0x20), "20H is no water meter"),
        (reply(unit="35"), "35H is no volume"),
        (reply(unit="29"), "unit_29_step_ml"),
        (reply(volume="0012345A"), "not in BCD digits"),
        (reply(volume="FFFFFFFF"), "does not give it"),
        (cjt188.build(0x10, b"\xaa" * 7, 0x81, data()), "not in BCD digits"),
        (reply()[4:].replace(b"\x68", b"\x69", 1), "starts with 69H"),
        (reply()[:-1] + b"\x17", "ends with 17H"),
        (b"", "0 bytes"),
        (b"\xfe" * 30, "0 bytes after the preamble"),
    ],
)
def test_refusals_say_why(frame, reason):
    with pytest.raises(FrameRefused, match=reason):
        cjt188.decode(frame, PROFILE)


def test_every_single_bit_error_is_refused():
    frame = reply(preamble=0)
    for place in range(len(frame)):
        for bit in range(8):
            broken = frame[:place] + bytes([frame[place] ^ 1 << bit]) + frame[place + 1 :]
            with pytest.raises(FrameRefused):
                cjt188.decode(broken, PROFILE)


@pytest.mark.parametrize("clock", ["00000000000000", "FFFFFFFFFFFFFF", "20261332250000", "2026AB30120000"])
def test_a_clock_that_is_none_is_none(clock):
    register = cjt188.decode(reply(clock=clock), PROFILE)
    assert register.meter_time is None
    assert register.volume_steps == 123456


def test_a_settlement_that_is_not_supported_changes_nothing():
    assert cjt188.decode(reply(settlement="FFFFFFFF"), PROFILE).volume_steps == 123456


@pytest.mark.parametrize(
    ("status", "flags"),
    [
        ("0000", 0),
        ("0100", WaterFlag.VALVE_CLOSED),
        ("0300", WaterFlag.VALVE_FAULT),
        ("0400", WaterFlag.LOW_BATTERY),
        ("0500", WaterFlag.LOW_BATTERY | WaterFlag.VALVE_CLOSED),
        ("00FF", 0),
        ("FFFF", 0),
    ],
)
def test_status(status, flags):
    assert cjt188.decode(reply(status=status), PROFILE).flags == flags


def test_a_profile_gives_unit_29h_its_scale_and_status_its_meaning():
    profile = msgspec.structs.replace(
        PROFILE,
        unit_29_step_ml=1000,
        clock_order="year_first",
        status=(
            StatusRule(flag="valve_closed", mask=0xC0, value=0x40),
            StatusRule(flag="leak", mask=0x01, byte=1),
        ),
    )
    register = cjt188.decode(reply(unit="29", status="4001", clock="58240528202620"), profile)
    assert register.volume_m3 == Decimal("123.456")
    assert register.flags == WaterFlag.VALVE_CLOSED | WaterFlag.LEAK
    swapped = cjt188.decode(reply(unit="29", clock=bytes.fromhex("20260528205824")[::-1].hex()), profile)
    assert swapped.meter_time == "2026-05-28T20:58:24"


def test_a_profile_gives_another_layout():
    layout = (
        Cjt188Field(field="volume", bytes=4),
        Cjt188Field(field="reverse", bytes=4, decimals=3),
        Cjt188Field(field="flow", bytes=4, decimals=4),
        Cjt188Field(field="skip", bytes=2),
        Cjt188Field(field="status", bytes=1),
    )
    content = b"\x1f\x90\x00" + bcd.encoded(123456, 4) + b"\x2c" + bcd.encoded(1239, 4) + b"\x2c"
    content += bcd.encoded(12500, 4) + b"\x35" + b"\x00\x00" + b"\x04"
    register = cjt188.decode(reply(content), msgspec.structs.replace(PROFILE, layout=layout))
    assert (register.volume_m3, register.reverse_m3) == (Decimal("1234.56"), Decimal("1.23"))
    assert register.flow_m3h == Decimal("1.25")
    assert register.meter_time is None
    assert register.flags == WaterFlag.LOW_BATTERY


def test_frames_are_found_within_noise():
    good = reply()
    noise = b"\x68\x10\x00" + good[:9] + good + b"\x68" + good[4:-1] + b"\x99" + good
    assert [one.address for one in cjt188.frames_in(noise)] == ["78330011223344"] * 2


def test_bcd():
    assert bcd.number(b"\x56\x34\x12") == 123456
    assert bcd.number(b"\x5a") is None
    assert bcd.encoded(907, 2) == b"\x07\x09"
    with pytest.raises(ValueError, match="does not fit"):
        bcd.encoded(10000, 2)
