"""What works where only the agent's packages are: everything that a device's pages tell to type."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

HIDE = """
import importlib.util, sys, tomllib
from importlib.metadata import requires
from packaging.requirements import Requirement

def named(extra):
    return {
        one.name.lower().replace("-", "_")
        for one in map(Requirement, requires("quietwater") or ())
        if one.marker is not None and one.marker.evaluate({"extra": extra})
    }

hidden = named("server") - named("edge")
assert {"sqlalchemy", "alembic", "duckdb", "fastapi"} <= hidden

class Hide:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0].lower() in hidden:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)

sys.meta_path.insert(0, Hide())
from app.cli import main
main(sys.argv[1:])
"""


def _run(*words: str) -> tuple[int, str]:
    done = subprocess.run(
        [sys.executable, "-c", HIDE, *words], capture_output=True, text=True, timeout=120, check=False,
        cwd=Path(__file__).parents[2],
    )  # fmt: skip
    return done.returncode, done.stdout + done.stderr


def test_help_names_every_command() -> None:
    code, told = _run("--help")
    assert code == 0 and "edge " in told and "doctor " in told, told


def test_the_doctor_looks_at_a_device(tmp_path: Path) -> None:
    (tmp_path / "yard.wav").touch()
    (tmp_path / "edge.toml").write_text(
        f'site = "a"\ndevice = "b"\ndata = "{tmp_path}"\nmqtt.url = "mqtt://127.0.0.1:9"\n'
        f'noise.source = {{ type = "file", path = "{tmp_path}/yard.wav" }}\n'
    )
    code, told = _run("doctor", "--config", str(tmp_path / "edge.toml"))
    assert code == 2 and "broker_unreachable" in told and "sound_file" in told, told


@pytest.mark.parametrize(
    "words", [("admin", "site", "list"), ("backup", "--data", "x", "y"), ("up", "--data", "x")]
)
def test_a_command_of_the_server_says_what_is_missing(words: tuple[str, ...]) -> None:
    code, told = _run(*words)
    assert code == 1 and "pip install 'quietwater[server]'" in told and "Traceback" not in told, told
