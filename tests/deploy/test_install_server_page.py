"""docs/install-server.md, command by command, on a whole Debian system with the real Mosquitto, InfluxDB and Caddy.

What cannot be here is played: ``systemctl`` is ``unit_starter.py``, which runs the units' own commands as their users,
because no systemd runs in the layer; the server's name is ``quietwater.localhost``, for which Caddy signs its
certificate itself. All of it runs in a network of its own, where the page's ports are free. Then a device enrols there,
and its levels are asked for.
"""

from __future__ import annotations

import json
import re
import shlex
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.app.commands import wait_for
from tests.deploy.console import commands
from tests.deploy.machine import SOURCES, Machine

PAGE = SOURCES / "docs" / "install-server.md"
NAME = "quietwater.localhost"
pytestmark = [pytest.mark.xdist_group("pi"), pytest.mark.slow, pytest.mark.system]
SUDO = '#!/bin/sh\nexec "$@"\n'


@pytest.fixture
def network() -> Iterator[int]:
    """The pid of a process that holds a network with nothing but its loopback."""
    ready = "ip link set lo up && echo 0 > /proc/sys/net/ipv4/ip_unprivileged_port_start && echo ready"
    holder = subprocess.Popen(
        ["unshare", "--net", "bash", "-c", f"{ready} && exec sleep infinity"],
        stdout=subprocess.PIPE,
        text=True,
    )
    assert holder.stdout is not None
    try:
        assert holder.stdout.readline().strip() == "ready"
        yield holder.pid
    finally:
        holder.kill()
        holder.wait()


class Administrator:
    """Types the page's commands on the machine, within its network but for what is fetched from outside."""

    def __init__(self, machine: Machine, network: int) -> None:
        self._machine = machine
        self._network = network
        self.lines = [line.replace("quietwater.example", NAME) for line in commands(PAGE)]

    def typed(self, start: str, *, outside: bool = False) -> str:
        line = self.lines.pop(0)
        assert line.startswith(start), line
        return self.run(line, outside=outside)

    def run(self, line: str, *, outside: bool = False, ok: bool = True) -> str:
        where = "" if outside else f"nsenter --net=/proc/{self._network}/ns/net "
        return self._machine.run(f"cd /root && {where}bash -c {shlex.quote(line)}", ok=ok)

    def answers(self, line: str) -> str:
        """Return what a command prints, or nothing while it fails."""
        done = self.run(f"{line} || echo FAILED")
        return "" if done.rstrip().endswith("FAILED") else done


@pytest.fixture
def administrator(machine: Machine, network: int, program: Callable[[str], str]) -> Iterator[Administrator]:
    for one in ("mosquitto", "influxd", "caddy"):
        program(one)
    machine.run(
        "rm -rf /root/quietwater /srv/* /etc/quietwater /var/lib/quietwater* /opt/quietwater/current "
        "/etc/systemd/system/quietwater-* /run/units"
    )
    starter = (Path(__file__).parent / "unit_starter.py").read_text()
    for path, text in {"/usr/local/bin/sudo": SUDO, "/usr/local/bin/systemctl": starter}.items():
        machine.run(f"cat > {path} <<'END' && chmod +x {path}\n{text}END")
    machine.run("cp /usr/local/bin/systemctl /bin/systemctl.new && mv /bin/systemctl.new /bin/systemctl")
    machine.run(f"echo 127.0.0.1 {NAME} >> /etc/hosts")
    parts = "contract edge store ingest analysis api app deploy requirements docs pyproject.toml README.md LICENSE"
    machine.run(
        f"mkdir -p /srv/sources && cd /mnt && tar -c --exclude=__pycache__ {parts} | tar -x -C /srv/sources "
        "--no-same-owner && cd /srv/sources && git init -q && git add -A -f && "
        "git -c user.name=q -c user.email=q@localhost commit -q -m S && git clone -q --bare . /srv/quietwater.git"
    )
    made = Administrator(machine, network)
    try:
        yield made
    finally:
        machine.run(
            "for pid in $(cat /run/units/* 2>/dev/null); do kill -- -$pid 2>/dev/null; done; "
            "for pid in $(cat /run/units/* 2>/dev/null); do timeout 60 tail --pid=$pid -f /dev/null; "
            "kill -9 -- -$pid 2>/dev/null; done; true"
        )
        machine.run(
            "rm -rf /opt/quietwater/current /opt/quietwater/releases/server-* /etc/quietwater /run/units "
            "/etc/systemd/system/quietwater-* /usr/local/bin/systemctl"
        )


def test_the_page_word_for_word(administrator: Administrator) -> None:
    at, typed = administrator, administrator.typed
    typed("sudo apt-get install -y git")
    at.lines[0] = at.lines[0].replace("https://your.git.server/quietwater.git", "/srv/quietwater.git")
    typed("git clone /srv/")
    told = typed("sudo quietwater/deploy/server/install.sh", outside=True)
    password = re.search(r"user admin, password (\S+)", told)
    assert password and "is installed" in told
    typed("sudo sed -i")
    assert f"https://{NAME}" in at.run("cat /etc/quietwater/server.env")

    typed("sudo systemctl start influxdb")
    at.run("until curl -s localhost:8086/ping; do sleep 0.1; done")
    assert "quietwater-seconds" in typed("quietwater admin init-store")
    typed("sudo quietwater admin --data /var/lib/quietwater certificate server")
    typed("sudo systemctl start quietwater-mosquitto")
    at.run("until [ -e /etc/mosquitto/quietwater/server.acl ]; do sleep 0.1; done")
    typed("sudo cp quietwater/deploy/mosquitto")
    typed("sudo systemctl restart mosquitto")
    typed("sudo systemctl start quietwater-mosquitto-reload.path")
    typed("sudo systemctl start quietwater-ingest quietwater-analysis quietwater-serve")
    typed("sudo cp quietwater/deploy/caddy")
    typed("sudo sed -i")
    typed("sudo systemctl restart caddy")
    for _ in range(3):
        typed("sudo systemctl enable")
    _wait(at, lambda: '"ready":true' in at.answers(f"curl -skf https://{NAME}/readyz"), "the page")
    assert at.run(f"curl -sk -o /dev/null -w '%{{http_code}}' https://{NAME}/metrics") == "404"
    typed("sudo quietwater doctor")

    _a_device_enrols_and_is_heard(at, password[1])

    typed("git -C quietwater pull")
    assert "is installed" in typed("sudo quietwater/deploy/server/install.sh", outside=True)
    typed("sudo systemctl start quietwater-backup")
    assert "manifest.json" in at.run("ls /var/backups/quietwater/*")
    assert not at.lines, "commands that were not run"


def _a_device_enrols_and_is_heard(at: Administrator, password: str) -> None:
    admin = "sudo quietwater admin --data /var/lib/quietwater"
    at.run(f"{admin} site add lake-side --zh 湖畔 --en Lakeside --zone 1")
    at.run(f"{admin} device add lake-side gate --kind noise --zh 门 --en Gate")
    line = at.run(f"{admin} device enrol lake-side gate --server https://{NAME} 2>/dev/null").strip()
    ca = "/var/lib/caddy/.local/share/caddy/pki/authorities/local/root.crt"
    at.run(f"mkdir -p /root/gate && {line} --ca {ca} --config /root/gate/edge.toml")
    config = at.run("cat /root/gate/edge.toml")
    assert f'url = "mqtts://{NAME}:8883"' in config and 'ca_file = "broker-ca.pem"' in config
    sound = 'type = "file"\\npath = "/mnt/tests/data/noise/dog-bark-3.ogg"\\npace = "fast"'
    at.run(f"sed -i 's|^type = .*|{sound}|; s|^data = .*|data = \"/root/gate\"|' /root/gate/edge.toml")
    at.run(
        "setsid quietwater edge run --config /root/gate/edge.toml >/var/log/units/gate 2>&1 </dev/null & "
        "echo $! > /run/units/gate"
    )
    credentials = json.dumps({"name": "admin", "password": password})
    page = f"curl -skf -b /root/jar -c /root/jar https://{NAME}/api/v1"
    at.run(f"{page}/login -H 'Content-Type: application/json' -d {shlex.quote(credentials)}")
    span = "start=$(date -u -d '-1 hour' +%FT%TZ)&end=$(date -u -d '+1 hour' +%FT%TZ)"
    ask = f'{page}/noise/seconds"?site=lake-side&device=gate&{span}"'
    _wait(
        at,
        lambda: len(json.loads(at.answers(ask) or '{"laeq_db": []}')["laeq_db"]) >= 3,
        "the device's levels",
    )


def _wait(at: Administrator, condition: Callable[[], object], what: str) -> None:
    try:
        wait_for(condition, what, 60)
    except AssertionError as error:
        logs = at.run("tail -n 12 /var/log/units/* /var/log/mosquitto/* 2>&1; true")
        raise AssertionError(f"{error}\n{logs}") from None
