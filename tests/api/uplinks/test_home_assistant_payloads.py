"""What Home Assistant is told, checked against what its documentation allows."""

from __future__ import annotations

import json
from itertools import product
from pathlib import Path
from typing import Any

import pytest

from api.uplinks.config import BadUplinks, read_uplinks
from api.uplinks.home_assistant.outbox import Message, Outbox
from api.uplinks.home_assistant.payloads import (
    Naming,
    Thing,
    discovery,
    noise_state,
    site_state,
    water_state,
)

UNITS = {
    "sound_pressure": {"dB", "dBA"},
    "water": {"L", "gal", "m³", "ft³", "CCF", "MCF"},
    "volume_flow_rate": {"m³/h", "m³/min", "m³/s", "ft³/min", "L/h", "L/min", "L/s", "gal/min", "mL/s"},
}
"""Home Assistant, "Sensor", section "Device class"."""
STATE_CLASSES = {
    "sound_pressure": {"measurement"}, "water": {"total", "total_increasing"}, "volume_flow_rate": {"measurement"},
}  # fmt: skip
KEYS = {
    "name", "unique_id", "state_topic", "value_template", "availability_topic", "expire_after", "device", "origin",
    "unit_of_measurement", "device_class", "state_class", "suggested_display_precision",
}  # fmt: skip
THINGS = (
    Thing("site", "jing-yuan", "", "静园", "Quiet Garden"),
    Thing("noise", "jing-yuan", "east", "东门", "East gate"),
    Thing("water", "jing-yuan", "east", "水表", "Meter"),
)


def configs(naming: Naming = Naming()) -> dict[str, Any]:  # noqa: B008
    return {topic: json.loads(payload) for topic, payload in discovery(naming, THINGS).items()}


def test_units_and_state_classes_are_those_of_the_device_class() -> None:
    seen = set()
    for topic, config in configs().items():
        assert set(config) <= KEYS
        assert topic.startswith("homeassistant/") and topic.endswith("/config") and topic.count("/") == 4
        if topic.split("/")[1] == "binary_sensor":
            assert config["device_class"] == "problem"
        elif "device_class" in config:
            assert config["unit_of_measurement"] in UNITS[config["device_class"]]
            assert config["state_class"] in STATE_CLASSES[config["device_class"]]
            seen.add(config["device_class"])
    assert seen == set(UNITS)


def test_unique_ids_differ_and_outlive_names_language_and_interval() -> None:
    plain = configs()
    ids = {topic: one["unique_id"] for topic, one in plain.items()}
    assert len(set(ids.values())) == len(ids) == 6
    other = Naming(language="en", interval_s=60)
    assert {topic: one["unique_id"] for topic, one in configs(other).items()} == ids
    renamed = [Thing(one.kind, one.site, one.name, "新", "New") for one in THINGS]
    assert {t: json.loads(p)["unique_id"] for t, p in discovery(Naming(), renamed).items()} == ids
    elsewhere = {one["unique_id"] for one in configs(Naming(base_topic="east/quietwater")).values()}
    assert not elsewhere & set(ids.values())


def test_every_via_device_is_a_device_that_is_told() -> None:
    devices = [one["device"] for one in configs(Naming(base_topic="a/b")).values()]
    identifiers = {name for one in devices for name in one["identifiers"]}
    assert {one["via_device"] for one in devices if "via_device" in one} <= identifiers
    assert sum("via_device" not in one for one in devices) == 1


@pytest.mark.parametrize(
    ("language", "names"),
    [("zh", {"静园", "东门", "水表"}), ("en", {"Quiet Garden", "East gate", "Meter"})],
)
def test_names_are_in_one_language(language: Any, names: set[str]) -> None:
    told = configs(Naming(language=language)).values()
    assert {one["device"]["name"] for one in told} == names
    assert all(one["name"].isascii() for one in told) == (language == "en")


def test_states_have_the_keys_that_the_templates_read() -> None:
    states = {
        "site": json.loads(site_state(2)),
        "noise": json.loads(noise_state(55.123, 61.0, 55.0)),
        "water": json.loads(water_state(123_456_789, None)),
    }
    for config, (kind, _) in product(configs().values(), states.items()):
        if f"/{kind}/" in config["state_topic"]:
            key = config["value_template"].removeprefix("{{ value_json.").removesuffix(" }}")
            assert key in states[kind]
    assert states["water"] == {"volume_m3": 123.456789, "flow_m3h": None}
    assert states["noise"]["over_limit"] == "ON"
    assert json.loads(noise_state(55.0, 61.0, 55.0))["over_limit"] == "OFF"
    assert json.loads(noise_state(None, None, 55.0))["over_limit"] is None


def test_a_full_outbox_gives_up_its_oldest_and_counts_it() -> None:
    outbox = Outbox(most=2)
    for topic, payload in (("a", b"1"), ("b", b"1"), ("b", b"2"), ("c", b"1")):
        outbox.put(Message(topic, payload, False))
    assert outbox.dropped == 1
    assert [outbox.take(), outbox.take(), outbox.take()] == [
        Message("b", b"2", False), Message("c", b"1", False), None,
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("line", "cause"),
    [
        ('base_topic = "a/#"', "base_topic"), ('language = "fr"', "language"), ('password = "x"', "username"),
        ('ca_file = "ca.pem"', "tls = true"), ("interval_s = 0.2", "interval_s"), ("colour = 1", "colour"),
    ],
)  # fmt: skip
def test_a_bad_table_is_refused_with_its_cause(line: str, cause: str, tmp_path: Path) -> None:
    (tmp_path / "uplinks.toml").write_text(f'[home_assistant.home]\nhost = "ha.example.org"\n{line}\n')
    with pytest.raises(BadUplinks, match=cause):
        read_uplinks(tmp_path)


def test_the_port_follows_from_tls(tmp_path: Path) -> None:
    (tmp_path / "uplinks.toml").write_text(
        '[home_assistant.a]\nhost = "x"\n[home_assistant.b]\nhost = "x"\ntls = true\n'
    )
    told = read_uplinks(tmp_path).home_assistant
    assert (told["a"].broker_port, told["b"].broker_port) == (1883, 8883)
