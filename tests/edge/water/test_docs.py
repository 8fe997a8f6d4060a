"""``docs/meters.md`` names everything that can be set, and its examples work."""

import json
import re
import shlex
import tomllib
from itertools import pairwise
from pathlib import Path
from typing import get_args

import msgspec
import pytest
from click.testing import CliRunner

from contract.flags import WaterFlag
from edge.water import profiles
from edge.water.cli import COMMANDS
from edge.water.drivers import DRIVERS
from edge.water.settings import ReplaySettings, WaterSettings
from edge.water.settings_meters import BusSettings, MeterSettings, NetworkSettings, ReceiverSettings
from edge.water.simulator.faults import KINDS

TEXT = (Path(__file__).parents[3] / "docs" / "meters.md").read_text()
SETTINGS = (BusSettings, ReceiverSettings, NetworkSettings, ReplaySettings, *get_args(MeterSettings))


@pytest.mark.parametrize("kind", SETTINGS, ids=lambda one: one.__name__)
def test_every_key_is_documented(kind):
    for one in msgspec.structs.fields(kind):
        assert f"`{one.encode_name}`" in TEXT, one.encode_name


def test_every_driver_profile_flag_fault_and_command_is_documented():
    words = [*DRIVERS, *profiles.built_in(), *KINDS, *(one.name.lower() for one in WaterFlag)]
    words += ["meter_silent", "meter_back", "meter_replaced", "tamper"]
    assert [word for word in words if f"`{word}`" not in TEXT] == []
    assert [one.name for one in COMMANDS if f"quietwater edge {one.name}" not in TEXT] == []


def blocks(language):
    return re.findall(rf"```{language}\n(.*?)```", TEXT, re.DOTALL)


def test_the_tables_of_the_examples_are_valid():
    merged: dict = {}
    for block in blocks("toml"):
        found = tomllib.loads(block)
        if "driver" in found:
            continue
        for key, tables in found.get("water", {}).items():
            merged.setdefault(key, []).extend(tables)
    settings = msgspec.convert(merged, WaterSettings)
    assert len(settings.meters) == 6
    assert len(settings.replays) == 1


def test_the_profiles_of_the_examples_are_valid(tmp_path):
    kinds = {}
    for block in blocks("toml"):
        if "driver" in tomllib.loads(block):
            path = tmp_path / f"{len(kinds)}.toml"
            path.write_text(block)
            kinds[path] = profiles._load_any(str(path))
    assert {one.__struct_config__.tag for one in kinds.values()} == {"modbus", "cjt188"}


def test_the_decoded_frames_of_the_examples_are_as_shown():
    decode = next(one for one in COMMANDS if one.name == "decode")
    shown = 0
    for block in blocks("console"):
        lines = block.splitlines()
        for line, answer in pairwise(lines):
            if line.startswith("$ quietwater edge decode"):
                result = CliRunner().invoke(decode, shlex.split(line)[4:])
                assert result.output.strip() == answer
                shown += 1
                if result.exit_code == 0:
                    json.loads(answer)
    assert shown == 2
