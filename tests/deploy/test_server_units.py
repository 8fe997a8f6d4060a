"""The server's systemd units: valid, hardened, and with command lines that the program takes."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import click
import pytest

from app.cli import main

FOLDER = Path(__file__).parents[2] / "deploy" / "systemd"
UNITS = sorted(FOLDER.glob("*.service"))
INSTALLED = "/opt/quietwater/current/bin/quietwater"


def analyze(*arguments: str) -> subprocess.CompletedProcess[str]:
    program = shutil.which("systemd-analyze")
    if program is None:
        if os.environ.get("QUIETWATER_NOTHING_MISSING"):
            pytest.fail("systemd-analyze is missing")
        pytest.skip("needs systemd-analyze (apt-get install systemd)")
    return subprocess.run([program, *arguments], capture_output=True, text=True, timeout=120, check=False)


def test_each_part_has_its_unit() -> None:
    names = ("analysis", "backup", "ingest", "mosquitto-reload", "mosquitto", "serve")
    assert [unit.stem for unit in UNITS] == [f"quietwater-{name}" for name in names]


@pytest.mark.system
@pytest.mark.parametrize("unit", UNITS, ids=lambda unit: unit.stem)
def test_a_unit_is_valid_and_hardened(unit: Path, tmp_path: Path) -> None:
    here = tmp_path / unit.name
    here.write_text(unit.read_text().replace(INSTALLED, sys.executable))
    starters = [one for one in FOLDER.glob(f"{unit.stem}.*") if one.suffix in (".timer", ".path")]
    for one in starters:
        shutil.copy(one, tmp_path)
    for one in (unit, *starters):
        verified = analyze("verify", str(tmp_path / one.name))
        assert unit.stem not in verified.stdout + verified.stderr, verified.stderr
    rated = analyze("security", "--offline=true", str(here))
    found = re.search(r"Overall exposure level for \S+: ([\d.]+)", rated.stdout)
    assert found, rated.stderr
    assert float(found[1]) <= 3.0


@pytest.mark.parametrize(
    "unit", [one for one in UNITS if INSTALLED in one.read_text()], ids=lambda unit: unit.stem
)
def test_the_program_takes_a_units_command_line(unit: Path, tmp_path: Path) -> None:
    values = dict(re.findall(r"^(\w+)=(.*)$", (FOLDER / "server.env").read_text(), re.MULTILINE))
    line = re.search(r"^ExecStart=(.*)$", unit.read_text(), re.MULTILINE)
    assert line
    typed = line[1][line[1].index(INSTALLED) :].rstrip("'")  # the shell's quotes are around it
    words = shlex.split(re.sub(r"\$\{?(\w+)\}?", lambda name: values[name[1]], typed.replace("$(", "(")))
    words = [str(tmp_path) if word == "/var/lib/quietwater" else word for word in words[1:]]
    main.make_context("quietwater", words, resilient_parsing=False).close()
    command: click.Command | None = main
    context = click.Context(main)
    while isinstance(command, click.Group):
        _, rest, _ = command.make_parser(context).parse_args(list(words))
        command, words = command.get_command(context, rest[0]), rest[1:]
    assert command is not None
    command.make_context(typed, words).close()
