"""The installer on a whole Debian system: this one, with what is written caught in a layer that is thrown away."""

from __future__ import annotations

import re
import shlex
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.deploy.machine import Machine

ROOT = Path(__file__).parents[2]
PI = ROOT / "deploy" / "pi"
pytestmark = pytest.mark.xdist_group("pi")
"""One machine for all of them."""


@pytest.fixture
def installed(machine: Machine) -> Machine:
    """The machine with the agent on it; what another test took away is put there again."""
    # The self-test has tests of its own; here it would take longer than all the rest.
    said = machine.run("test -e /opt/quietwater/current || /mnt/deploy/pi/install.sh --skip-selftest")
    assert said == "" or "is installed" in said
    return machine


@pytest.mark.slow
@pytest.mark.system
def test_a_second_time_it_changes_nothing(installed: Machine) -> None:
    before = installed.tree()
    assert any("/bin/quietwater" in path for path in before)
    installed.run("/mnt/deploy/pi/install.sh --skip-selftest")
    assert installed.tree() == before


@pytest.mark.slow
@pytest.mark.system
def test_it_brings_the_agent_and_nothing_of_the_server(installed: Machine) -> None:
    packages = installed.run("/opt/quietwater/current/bin/pip list --format=freeze 2>/dev/null").casefold()
    assert {"quietwater", "numpy", "paho-mqtt"} <= {line.split("==")[0] for line in packages.split()}
    for one in ("duckdb", "fastapi", "sqlalchemy", "influxdb", "uvicorn", "weasyprint", "nats"):
        assert one not in packages
    assert (
        installed.run("stat -c '%U %a' /etc/quietwater /var/lib/quietwater-edge").split()
        == ["quietwater-edge", "750"] * 2
    )


@pytest.mark.slow
@pytest.mark.system
def test_the_agent_runs_as_its_own_user(installed: Machine) -> None:
    config = (
        'site = "lake"\ndevice = "gate"\n[mqtt]\nurl = "mqtt://127.0.0.1:1"\n'
        '[noise]\nsource = { type = "file", path = "/mnt/tests/data/noise/dog-bark-3.ogg", pace = "fast" }\n'
    )
    installed.run(f"printf %s {shlex.quote(config)} > /etc/quietwater/edge.toml")
    as_user = "setpriv --reuid=quietwater-edge --regid=quietwater-edge --init-groups"
    shown = installed.run(f"cd / && {as_user} quietwater edge run --config /etc/quietwater/edge.toml --check")
    assert '"device": "gate"' in shown
    # It runs on after the recording's end; the time is the longest that a busy machine may need.
    count = (
        "import sqlite3; outbox = 'file:/var/lib/quietwater-edge/lake.gate.outbox.sqlite?mode=ro'; "
        "print(sqlite3.connect(outbox, uri=True).execute('SELECT count(*) FROM entries').fetchone()[0])"
    )
    ask = f"/usr/bin/python3 -c {shlex.quote(count)}"
    installed.run(
        f"(cd / && exec {as_user} quietwater edge run --config /etc/quietwater/edge.toml) & agent=$!; "
        f'for n in $(seq 600); do [ "$({ask} 2>/dev/null || echo 0)" -ge 3 ] && break; sleep 0.2; done; '
        "kill -TERM $agent; wait $agent"
    )
    assert int(installed.run(ask).split()[-1]) >= 3


@pytest.mark.slow
@pytest.mark.system
def test_the_unit_is_valid_and_hardened(installed: Machine) -> None:
    said = installed.run("systemd-analyze verify /etc/systemd/system/quietwater-edge.service")
    assert "quietwater" not in said, said
    rated = installed.run(
        "systemd-analyze security --offline=true --threshold=30 /etc/systemd/system/quietwater-edge.service"
    )
    found = re.search(r"Overall exposure level for \S+: ([\d.]+)", rated)
    assert found and float(found[1]) <= 3.0


@pytest.mark.slow
@pytest.mark.system
def test_uninstalling_leaves_configuration_and_readings(installed: Machine) -> None:
    installed.run("touch /etc/quietwater/edge.toml && /mnt/deploy/pi/install.sh --uninstall")
    installed.run("test -e /etc/quietwater/edge.toml && test -d /var/lib/quietwater-edge")
    installed.run("test ! -e /opt/quietwater && test ! -e /usr/local/bin/quietwater")


def test_the_installer_explains_itself_and_is_clean(program: Callable[[str], str]) -> None:
    told = subprocess.run([PI / "install.sh", "--help"], capture_output=True, text=True, check=True).stdout
    assert "Usage: sudo deploy/pi/install.sh" in told
    assert subprocess.run([PI / "install.sh", "--wrong"], capture_output=True, check=False).returncode == 2
    if shutil.which("shellcheck"):
        subprocess.run(["shellcheck", PI / "install.sh"], check=True)
