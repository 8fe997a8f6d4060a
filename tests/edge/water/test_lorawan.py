import base64
import json
from datetime import UTC, datetime
from decimal import Decimal

import msgspec
import pytest

from contract.flags import WaterFlag
from edge.water import lorawan
from edge.water.profiles import LorawanProfile, StatusRule, load
from edge.water.register import FrameRefused
from edge.water.settings_meters import LorawanMeter
from edge.water.uplinks import UplinkMessage
from tests.edge.water import vectors

PROFILE = load("axioma-w1", LorawanProfile)
HOURLY = load("axioma-w1-hourly", LorawanProfile)
PAYLOAD = bytes.fromhex(vectors.good("lorawan")[0]["hex"])
AT = datetime(2026, 9, 2, 23, 9, 50, tzinfo=UTC)
EUI = "70b3d5e75e000001"


def extended(status=0, volume=6054, log=5938, increments=(0,) * 14 + (116,)):
    numbers = (1788390574).to_bytes(4, "little") + bytes([status]) + volume.to_bytes(4, "little")
    numbers += (1788372000).to_bytes(4, "little") + log.to_bytes(4, "little")
    return numbers + b"".join(one.to_bytes(2, "little") for one in increments)


@pytest.mark.parametrize(
    ("status", "flags"),
    [
        (0x00, 0),
        (0x04, WaterFlag.LOW_BATTERY),
        (0x08, WaterFlag.METER_FAULT),
        (0x10, WaterFlag.DRY),
        (0x30, WaterFlag.LEAK),
        (0x70, WaterFlag.BACKFLOW),
        (0xB0, WaterFlag.BURST),
        (0x90, 0),
        (0x34, WaterFlag.LEAK | WaterFlag.LOW_BATTERY),
    ],
)
def test_status(status, flags):
    for payload in (PAYLOAD[:5] + bytes([status]) + PAYLOAD[6:], extended(status)):
        assert lorawan.decode(payload, PROFILE).flags == flags


def test_a_profile_adds_flags():
    profile = msgspec.structs.replace(PROFILE, status=(StatusRule(flag="tamper", mask=0x01),))
    assert lorawan.decode(PAYLOAD[:5] + b"\x01" + PAYLOAD[6:], profile).flags == WaterFlag.TAMPER


def test_extended():
    assert lorawan.decode(extended(), PROFILE).volume_m3 == Decimal("6.054")


@pytest.mark.parametrize(
    ("payload", "port", "reason"),
    [
        (PAYLOAD, 101, "FPort 101"),
        (b"\x02" + PAYLOAD[1:], None, "version 02H"),
        (PAYLOAD[:-1] + b"\x40", None, "multiplier"),
        (PAYLOAD[:-1], None, "50 bytes"),
        (PAYLOAD[:5], None, "an alarm"),
        (extended(log=7000), None, "above its register"),
        (b"", None, "0 bytes"),
    ],
)
def test_refusals(payload, port, reason):
    with pytest.raises(FrameRefused, match=reason):
        lorawan.decode(payload, PROFILE, port)


def chirpstack_4(payload=PAYLOAD, eui=EUI, port=100, t="2026-09-02T23:09:50.123456789+00:00"):
    return {
        "deviceInfo": {"devEui": eui},
        "fPort": port,
        "data": base64.b64encode(payload).decode(),
        "time": t,
    }


def chirpstack_3():
    eui = base64.b64encode(bytes.fromhex(EUI)).decode()
    return {"devEUI": eui, "fPort": 100, "data": base64.b64encode(PAYLOAD).decode()}


def things_stack():
    uplink = {
        "f_port": 100,
        "frm_payload": base64.b64encode(PAYLOAD).decode(),
        "received_at": "2026-09-02T23:09:50Z",
    }
    return {"end_device_ids": {"dev_eui": EUI.upper()}, "uplink_message": uplink}


@pytest.mark.parametrize("message", [chirpstack_4(), chirpstack_3(), things_stack()])
def test_uplinks_of_every_network_server(message):
    uplink = lorawan.parse(json.dumps(message).encode())
    assert (uplink.dev_eui, uplink.port, uplink.payload) == (EUI, 100, PAYLOAD)


@pytest.mark.parametrize(
    "text",
    [b"", b"[]", b"{}", b"\xff", b'{"data": "AA==", "fPort": 1}', b'{"uplink_message": {}}',
     b'{"deviceInfo": {"devEui": "x"}, "fPort": "1", "data": "AA=="}',
     b'{"deviceInfo": {"devEui": "x"}, "fPort": 1, "data": "?"}'],
)  # fmt: skip
def test_other_messages_are_refused(text):
    with pytest.raises(FrameRefused):
        lorawan.parse(text)


def desk(profile="axioma-w1"):
    return lorawan.UplinkDesk(
        [LorawanMeter(name="flat-1", network="n", dev_eui=EUI.upper(), profile=profile)]
    )


def heard(message, profile="axioma-w1", now=AT):
    return desk(profile).readings(UplinkMessage(json.dumps(message).encode()), now)


def test_a_reading_has_the_time_of_its_reception():
    (reading,) = heard(chirpstack_4())
    assert (reading.meter, reading.volume_steps, reading.step_ml) == ("flat-1", 6054, 1000)
    assert reading.t.replace(microsecond=0) == AT
    assert reading.serial == EUI


def test_a_time_beyond_belief_is_not_taken():
    (reading,) = heard(chirpstack_4(t="2031-01-01T00:00:00Z"))
    assert reading.t == AT


@pytest.mark.parametrize(
    "message", [chirpstack_4(eui="0" * 16), chirpstack_4(port=7), chirpstack_4(PAYLOAD[:9]), {}]
)
def test_what_is_no_reading_of_ours_gives_none(message):
    assert heard(message) == []


def test_the_log_becomes_readings_at_full_hours():
    readings = heard(chirpstack_4(), "axioma-w1-hourly")
    assert len(readings) == 25
    assert readings[0].t == datetime(2026, 9, 2, 0, tzinfo=UTC)
    assert readings[0].volume_steps == 5938
    assert readings[6].volume_steps == 5938 + 14
    assert readings[23].t == datetime(2026, 9, 2, 23, tzinfo=UTC)
    assert [one.volume_steps for one in readings[-2:]] == [6054, 6054]


def test_the_log_of_a_wrong_clock_is_left_out():
    late = datetime(2026, 9, 3, 9, tzinfo=UTC)
    assert len(heard(chirpstack_4(t=late.isoformat()), "axioma-w1-hourly", late)) == 1
