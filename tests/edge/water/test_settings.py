import msgspec
import pytest

from edge.water.settings import WaterSettings, driver_of
from edge.water.settings_meters import Cjt188Meter

BUS = {"name": "b", "port": "/dev/ttyUSB0"}
CJT = {"name": "m", "driver": "cjt188", "bus": "b", "address": "00112233445566"}
MBUS = {"name": "n", "driver": "mbus", "bus": "b", "primary": 1}
PULSE = {"name": "p", "driver": "pulse", "pin": 17, "pulse_ml": 10_000}
WMBUS = {"name": "w", "driver": "wmbus", "receiver": "r", "id": "12345678"}
LORA = {"name": "l", "driver": "lorawan", "network": "n", "dev_eui": "70b3d5e75e000001"}
REPLAY = {"name": "d", "file": "x.csv"}


def made(**tables):
    return msgspec.convert(tables, WaterSettings)


def test_every_kind_of_meter():
    settings = made(
        buses=[BUS],
        receivers=[{"name": "r", "command": ["rtl_wmbus"]}],
        networks=[{"name": "n", "url": "mqtt://127.0.0.1:1883", "topic": "v3/+/devices/+/up"}],
        meters=[CJT, PULSE, WMBUS, LORA],
        replays=[REPLAY],
    )
    assert [driver_of(one) for one in settings.meters] == ["cjt188", "pulse", "wmbus", "lorawan"]
    assert settings.on_bus("b") == [settings.meters[0]]
    assert isinstance(settings.meters[0], Cjt188Meter)


@pytest.mark.parametrize(
    ("tables", "text"),
    [
        ({}, "nothing to read"),
        ({"meters": [CJT]}, "'m' names the bus 'b', but there is none"),
        ({"meters": [WMBUS]}, "names the receiver 'r'"),
        ({"meters": [LORA]}, "names the network 'n'"),
        ({"buses": [BUS], "meters": [CJT, CJT]}, "meters: the name 'm' is given twice"),
        ({"buses": [BUS, {**BUS, "name": "c"}], "meters": [CJT]}, "'/dev/ttyUSB0' is given twice"),
        ({"buses": [BUS], "meters": [CJT, MBUS]}, "a bus has one protocol"),
        ({"meters": [PULSE, {**PULSE, "name": "q"}]}, "pin '17' is given twice"),
        ({"buses": [{"name": "b"}], "meters": [CJT]}, r"or tcp \(gateway\) - at `\$.buses\[0\]`"),
        ({"buses": [{**BUS, "tcp": "h:1"}], "meters": [CJT]}, "either port"),
        ({"buses": [{**BUS, "framing": "tcp"}], "meters": [CJT]}, "do not go over a serial port"),
        ({"buses": [BUS], "meters": [{**CJT, "adress": "1"}]}, r"unknown field `adress` - at `\$.meters\[0\]`"),
        ({"buses": [BUS], "meters": [{**CJT, "address": "12"}]}, r"\$.meters\[0\].address"),
        ({"buses": [BUS], "meters": [{**CJT, "interval_s": 0}]}, r"\$.meters\[0\].interval_s"),
        ({"buses": [BUS], "meters": [{**CJT, "interval_s": 1, "jitter_s": 2}]}, "jitter_s is longer"),
        ({"buses": [BUS], "meters": [{**CJT, "driver": "zigbee"}]}, r"'zigbee' - at `\$.meters\[0\].driver"),
        ({"buses": [BUS], "meters": [{**CJT, "name": "Flat 1"}]}, r"\$.meters\[0\].name"),
        ({"buses": [BUS], "meters": [{**MBUS, "secondary": "12345678"}]}, "either primary or secondary"),
        ({"receivers": [{"name": "r"}], "meters": [WMBUS]}, "either command or folder"),
        ({"receivers": [{"name": "r", "command": []}], "meters": [WMBUS]}, "either command or folder"),
        ({"networks": [{"name": "n", "url": "http://x", "topic": "t"}], "meters": [LORA]}, r"\$.networks\[0\].url"),
        ({"replays": [{**REPLAY, "meters": {"A": "x", "B": "x"}}]}, "play the one meter 'x'"),
        ({"replays": [{**REPLAY, "anchor": "2026-01-01T00:00:00"}]}, r"\$.replays\[0\].anchor"),
    ],
)  # fmt: skip
def test_errors_name_the_key(tables, text):
    with pytest.raises(msgspec.ValidationError, match=text):
        made(**tables)
