"""Meters that send by themselves: a receiver's process and folder, a network's broker."""

import json
import sys
import threading
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import msgspec
import paho.mqtt.client as mqtt
import pytest
from paho.mqtt.enums import CallbackAPIVersion

from contract.flags import WaterFlag
from edge.water import wmbus_json
from edge.water.heard import Heard
from edge.water.poller import Poller
from edge.water.register import FrameRefused, NoAnswer
from edge.water.settings import WaterConfigError, WaterSettings
from edge.water.settings_meters import ReceiverSettings, WmbusMeter
from edge.water.wmbus_receiver import Line, WmbusDesk
from tests.broker import mosquitto
from tests.edge.water import vectors
from tests.edge.water.bench import polled, wait_until
from tests.edge.water.test_lorawan import chirpstack_4

NOW = datetime(2026, 5, 1, 12, tzinfo=UTC)


def wmbus_line(vector_id, **more):
    vector = vectors.by_id("wmbus", vector_id)
    found = {
        "_": "telegram",
        "media": "water",
        "meter": vector["driver"],
        "name": "x",
        **vector["expected"],
        **more,
    }
    return json.dumps(found)


def desk(*ids, **keys):
    return WmbusDesk([WmbusMeter(name=f"m-{one}", receiver="r", id=one, **keys) for one in ids])


@pytest.mark.parametrize(
    ("vector_id", "flags"),
    [
        ("apator162-1", 0),
        ("izarv2-1", 0),
        ("kamwater-1", WaterFlag.DRY),
        ("kadenwater-3", WaterFlag.LEAK),
        ("waterstarm-2", WaterFlag.LOW_BATTERY),
        ("iwmtx5-0", WaterFlag.METER_FAULT),
        ("iwmtx5-2", WaterFlag.TAMPER),
        ("izarv2-5", 0),
    ],
)
def test_what_wmbusmeters_prints_is_read_exactly(vector_id, flags):
    expected = vectors.by_id("wmbus", vector_id)["expected"]
    register = wmbus_json.register_of(wmbus_json.parse(wmbus_line(vector_id)))
    assert register.volume_m3 == Decimal(str(expected["total_m3"]))
    assert register.serial == expected["id"]
    assert register.flags == flags


@pytest.mark.parametrize(
    "vector", [one for one in vectors.good("wmbus") if "total_m3" in one["expected"]], ids=lambda v: v["id"]
)
def test_every_meter_that_wmbusmeters_knows(vector):
    register = wmbus_json.register_of(wmbus_json.parse(wmbus_line(vector["id"])))
    assert register.volume_m3 == Decimal(str(vector["expected"]["total_m3"]))
    assert register.step_ml in (1, 10, 100, 1000)


@pytest.mark.parametrize(
    "found",
    [{}, {"total_m3": None}, {"total_m3": "1"}, {"total_m3": Decimal("NaN")}, {"total_m3": Decimal("1E-7")}],
)
def test_json_without_a_register_is_refused(found):
    with pytest.raises(FrameRefused):
        wmbus_json.register_of(found)


@pytest.mark.parametrize("line", ["", "x", "[1]", '{"a":', "{" * 100_000, '"x"'])
def test_lines_that_are_no_json(line):
    assert wmbus_json.parse(line) is None


@pytest.mark.parametrize(
    "line",
    [
        "{hex}",
        "T1;1;1;2026-05-01 12:00:00.000;97;104;33225544;0x{hex}",
        "telegram=|{hex}|+42",
        "2026-05-01T12:00:00 rx |{hex}|",
    ],
)
def test_telegrams_in_a_receivers_lines(line):
    telegram = vectors.by_id("wmbus", "iperl-1")["hex"]
    (reading,) = desk("33225544").readings(Line(line.format(hex=telegram)), NOW)
    assert (reading.meter, reading.volume_steps, reading.t) == ("m-33225544", 123_529, NOW)


def test_a_keyed_telegram(tmp_path):
    vector = vectors.by_id("wmbus", "waterstarm-0")
    key_file = tmp_path / "key"
    key_file.write_text(vector["key"] + "\n")
    (reading,) = desk("20096221", key_file=str(key_file)).readings(Line(vector["hex"]), NOW)
    assert reading.volume_steps == 106
    assert desk("20096221").readings(Line(vector["hex"]), NOW) == []


def test_a_meter_is_known_by_its_own_number_behind_a_radio_module():
    (reading,) = desk("19680750").readings(Line(vectors.by_id("wmbus", "gwfwater-1")["hex"]), NOW)
    assert reading.volume_steps == 879_068


@pytest.mark.parametrize(("offset_s", "taken"), [(-30, True), (-3600, False), (3600, False)])
def test_the_time_of_reception_is_taken_where_it_can_be(offset_s, taken):
    t = NOW + timedelta(seconds=offset_s)
    line = wmbus_line("iperl-1", timestamp=t.strftime("%Y-%m-%dT%H:%M:%SZ"))
    (reading,) = desk("33225544").readings(Line(line), NOW)
    assert reading.t == (t if taken else NOW)


@pytest.mark.parametrize(
    "line", ["noise", "deadbeef" * 20, wmbus_line("iperl-1"), vectors.by_id("wmbus", "iperl-1")["hex"]]
)
def test_other_meters_and_noise_give_nothing(line):
    assert desk("00000000").readings(Line(line), NOW) == []


def test_what_is_heard_is_read_in_its_order():
    heard = Heard("m")
    with pytest.raises(NoAnswer):
        heard.read(NOW)
    (reading,) = desk("33225544").readings(Line(vectors.by_id("wmbus", "iperl-1")["hex"]), NOW)
    heard.hear(reading)
    assert heard.read(NOW) is reading


def radio(receiver, **keys):
    meter = {
        "name": "m",
        "driver": "wmbus",
        "receiver": "r",
        "id": "33225544",
        "interval_s": 1,
        "jitter_s": 0,
        **keys,
    }
    return {"receivers": [{"name": "r", **receiver}], "meters": [meter]}


SENDER = """
import sys, time
lines = sys.argv[2:]
for line in lines:
    print(line, flush=True)
if sys.argv[1] == "stay":
    time.sleep(600)
"""


@pytest.mark.system
@pytest.mark.parametrize("behaviour", ["stay", "end"])
def test_a_receivers_process_is_kept_running(behaviour, tmp_path):
    command = [sys.executable, "-c", SENDER, behaviour, "starting up", wmbus_line("iperl-1"), "noise"]
    with polled(radio({"command": command}), tmp_path) as output:
        wait_until(lambda: output.count()["m"] >= (1 if behaviour == "stay" else 2), 30)
    assert output.readings[0].volume_steps == 123_529


@pytest.mark.system
def test_a_receiver_that_cannot_be_started_leaves_its_meters_silent(tmp_path):
    with polled(radio({"command": ["/no/such/receiver"]}, silent_after=2), tmp_path) as output:
        wait_until(lambda: output.kinds() == [("meter_silent", "m")], 30)


@pytest.mark.system
def test_a_folder_of_wmbusmeters_and_one_reading_an_interval(tmp_path):
    folder = tmp_path / "readings"
    folder.mkdir()
    with polled(radio({"folder": str(folder)}, interval_s=3600), tmp_path) as output:
        for total in (1, 2, 3):
            path = folder / "MyWater"
            path.write_text(wmbus_line("iperl-1", total_m3=total) + "\n")
            (folder / "Other").write_text(wmbus_line("itron-0"))
            wait_until(lambda: output.count()["m"] >= 1, 30)
            threading.Event().wait(1.2)
    assert len({int(one.t.timestamp()) // 3600 for one in output.readings}) == len(output.readings)
    assert output.readings[0].volume_ml == 1_000_000


def test_a_key_that_cannot_be_read_is_an_error_of_the_configuration(tmp_path):
    for text, reason in ((None, "cannot be read"), ("12", "a key has 16")):
        path = tmp_path / "key"
        path.unlink(missing_ok=True)
        if text is not None:
            path.write_text(text)
        settings = WaterSettings(
            receivers=(ReceiverSettings(name="r", command=("x",)),),
            meters=(WmbusMeter(name="m", receiver="r", id="12345678", key_file=str(path)),),
        )
        with pytest.raises(WaterConfigError, match=reason):
            Poller(settings, None, print, tmp_path)  # type: ignore[arg-type]


@pytest.mark.system
def test_uplinks_from_a_broker_also_those_that_came_while_away(tmp_path, program, free_port):
    port = free_port()
    tables = {
        "networks": [
            {
                "name": "n", "url": f"mqtt://127.0.0.1:{port}", "topic": "application/+/device/+/event/up",
                "client_id": "qw-test",
            }
        ],
        "meters": [
            {
                "name": "flat", "driver": "lorawan", "network": "n", "dev_eui": "70b3d5e75e000001",
                "interval_s": 1, "jitter_s": 0,
            }
        ],
    }  # fmt: skip
    with mosquitto(program("mosquitto"), tmp_path / "broker", port):
        sender = mqtt.Client(CallbackAPIVersion.VERSION2, "sender")
        sender.connect("127.0.0.1", port)
        sender.loop_start()

        def send(payload=None):
            text = payload or json.dumps(chirpstack_4(t=datetime.now(UTC).isoformat()))
            sender.publish("application/1/device/x/event/up", text, qos=1).wait_for_publish(5)

        with polled(tables, tmp_path) as output:

            def heard():
                send()
                return output.count()["flat"] >= 1

            wait_until(heard, 30)
            send(b"\xff not json")
        assert output.readings[0].volume_steps == 6054
        threading.Event().wait(1.1)
        send()
        with polled(tables, tmp_path) as output:
            wait_until(lambda: output.count()["flat"] >= 1, 30)
        sender.loop_stop()


@pytest.mark.parametrize("key", ["password_file", "ca_file"])
def test_a_network_whose_files_cannot_be_read(key, tmp_path):
    settings = {
        "networks": [{"name": "n", "url": "mqtts://h", "topic": "t", key: str(tmp_path / "none")}],
        "meters": [{"name": "l", "driver": "lorawan", "network": "n", "dev_eui": "70b3d5e75e000001"}],
    }
    with pytest.raises(WaterConfigError, match=rf"water\.networks: 'n': {key}"):
        Poller(msgspec.convert(settings, WaterSettings), None, print, tmp_path)  # type: ignore[arg-type]


@pytest.mark.system
def test_a_broker_that_is_not_there_leaves_its_meters_silent(tmp_path, free_port):
    tables = {
        "networks": [{"name": "n", "url": f"mqtt://127.0.0.1:{free_port()}", "topic": "t"}],
        "meters": [
            {
                "name": "l", "driver": "lorawan", "network": "n", "dev_eui": "70b3d5e75e000001", "interval_s": 1,
                "jitter_s": 0, "silent_after": 1,
            }
        ],
    }  # fmt: skip
    with polled(tables, tmp_path) as output:
        wait_until(lambda: output.kinds() == [("meter_silent", "l")])
