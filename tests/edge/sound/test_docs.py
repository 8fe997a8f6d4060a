"""docs/sound.md names every setting, option, flag and event, and its figures are those of the code."""

from __future__ import annotations

import re
from pathlib import Path

import click
import msgspec
import numpy as np
import pytest

from contract.flags import NoiseFlag
from edge.sound.cli import COMMANDS
from edge.sound.curves import a_db, c_db
from edge.sound.design import SHIPPED_RATES, highest_hz, response_db
from edge.sound.settings import (
    FileSource,
    NoiseSettings,
    PortAudioSource,
    SceneSource,
    SoundEventSettings,
    StdinSource,
)
from edge.sound.weighting import sections

DOCS = (Path(__file__).resolve().parents[3] / "docs" / "sound.md").read_text(encoding="utf-8")


@pytest.mark.parametrize(
    "struct", [NoiseSettings, FileSource, SceneSource, PortAudioSource, StdinSource, SoundEventSettings]
)
def test_every_setting_is_documented(struct):
    missing = [
        field.name for field in msgspec.structs.fields(struct) if not re.search(rf"\b{field.name}\b", DOCS)
    ]
    assert missing == []


@pytest.mark.parametrize("command", COMMANDS, ids=lambda command: command.name)
def test_every_command_and_its_own_options_are_documented(command: click.Command):
    assert f"quietwater edge {command.name}" in DOCS
    options = {
        name
        for one in command.params
        if isinstance(one, click.Option)
        for name in one.opts
        if name.startswith("--")
    }
    if command.name in ("measure", "calibrate"):
        general = {"--json", "--config", "--output", "--device"}
        assert [name for name in sorted(options - general) if name not in DOCS] == []


def test_every_flag_of_the_meter_is_documented():
    elsewhere = {"wind", "rain", "manual", "late"}  # set by the server or by hand
    own = {flag.name.lower() for flag in NoiseFlag if flag.name} - elsewhere
    assert [name for name in sorted(own) if f"`{name}`" not in DOCS] == []


@pytest.mark.parametrize(
    "kind", ["sound_event", "overload", "gap", "source_lost", "source_back", "clock_step", "calibration"]
)
def test_every_event_is_documented_and_part_of_the_contract(kind):
    from contract.events import EVENT_KINDS

    assert f"`{kind}`" in DOCS and kind in EVENT_KINDS


def test_the_table_of_errors_is_what_the_coefficients_give():
    rows = re.findall(r"^\| (\d+) \| (\d+) \| ([\d.]+) \| ([\d.]+) \|$", DOCS, re.MULTILINE)
    assert [int(row[0]) for row in rows] == list(SHIPPED_RATES)
    for rate, top, *errors in rows:
        f = np.geomspace(10, highest_hz(int(rate)), 4000)
        assert int(top) == round(highest_hz(int(rate)))
        for letter, curve, told in zip("AC", (a_db, c_db), errors, strict=True):
            worst = np.abs(response_db(sections(letter, int(rate)), f, int(rate)) - curve(f)).max()  # type: ignore[arg-type]
            assert worst == pytest.approx(float(told), rel=0.1, abs=2e-6)
