"""docs/install-pi.md, command by command, on a whole Debian system, with a real server and a microphone of ALSA's.

What cannot be here is played: the card and its reboot are left out; ``sudo`` runs what it is given; ``systemctl
start`` starts the unit's own command as the unit's user, because no systemd runs in the layer; the microphone's sound
comes from a pipe. The clone's address is that of a repository of the sources under test.
"""

from __future__ import annotations

import contextlib
import itertools
import os
import re
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import numpy as np
import pytest

from tests.app.commands import Command, run, running, wait_for
from tests.deploy.console import commands
from tests.deploy.machine import SOURCES, Machine

PAGE = SOURCES / "docs" / "install-pi.md"
RATE = 48_000
LEVEL_DB = 94.2
FULL_SCALE_DB = 120.0
pytestmark = [pytest.mark.xdist_group("pi"), pytest.mark.slow, pytest.mark.system]

SUDO = '#!/bin/sh\nexec "$@"\n'
SYSTEMCTL = """#!/bin/bash
# Starts the command of a unit as its user, as `systemctl start UNIT` does.
set -e
[ "$1" = start ] && [ $# = 2 ]
unit=/etc/systemd/system/$2.service
command=$(sed -n 's/^ExecStart=//p' "$unit")
user=$(sed -n 's/^User=//p' "$unit")
cd /
setsid setpriv --reuid="$user" --regid="$user" --init-groups env HOME=/var/lib/quietwater-edge $command \
  </dev/null >/var/log/quietwater-edge.log 2>&1 &
echo $! >/root/agent.pid
"""


def test_the_page_word_for_word(machine: Machine, tmp_path: Path, free_port: Callable[[], int]) -> None:
    if not Path("/usr/share/alsa/alsa.conf").exists():
        pytest.skip("ALSA is not installed")
    lines = commands(PAGE)
    _prepare(machine)
    with _server(tmp_path / "data", free_port()) as server, _microphone(machine):
        try:
            _follow(lines, machine, server, tmp_path / "data")
        finally:
            machine.run('kill "$(cat /root/agent.pid)" || true')
    assert not lines, "commands that were not run"


def _follow(lines: list[str], machine: Machine, server: Server, data: Path) -> None:
    """Run the page's commands in their order, each taken off the list."""

    def typed(start: str, **more: bool) -> str:
        line = lines.pop(0)
        assert line.startswith(start), line
        return machine.run(f"cd /root && {line}", **more)

    typed("sudo apt-get install -y git")
    lines[0] = lines[0].replace("https://your.git.server/quietwater.git", "/srv/quietwater.git")
    typed("git clone /srv/")
    assert "is installed" in typed("sudo quietwater/deploy/pi/install.sh")

    on_the_server = lines.pop(0).replace("https://quietwater.example", server.address).split()
    assert on_the_server[0] == "quietwater"
    told = run(*on_the_server[1:], data=data)
    code = re.search(r"edge enrol (\S+) --server", told)
    assert code
    lines[0] = (
        lines[0].replace("7K3M-9QXW-0TBD", code[1]).replace("https://quietwater.example", server.address)
    )
    typed("sudo quietwater edge enrol")

    assert "qwmic" in typed("quietwater edge devices")
    named = 'type = "portaudio"\\ndevice = "qwmic"\\nformat = "s16"'  # "write it into edge.toml if there are several"
    machine.run(f"sed -i 's/^type = \"portaudio\"$/{named}/' /etc/quietwater/edge.toml")
    assert "qwmic" in machine.run("cat /etc/quietwater/edge.toml")
    assert "94" in typed("sudo quietwater edge calibrate")
    typed("sudo systemctl start quietwater-edge")

    def measured() -> bool:
        levels = server.levels()
        return bool(levels) and abs(levels[-1] - 94.0) < 0.2

    wait_for(
        measured, f"levels of the new device; its log: {machine.run('cat /var/log/quietwater-edge.log')}"
    )

    typed("git -C quietwater pull")
    assert "is installed" in typed("sudo quietwater/deploy/pi/install.sh")


def _prepare(machine: Machine) -> None:
    """Make the system as a fresh one is, and the repository that it clones."""
    for path, text in {"/usr/local/bin/sudo": SUDO, "/usr/local/bin/systemctl": SYSTEMCTL}.items():
        machine.run(f"cat > {path} <<'END' && chmod +x {path}\n{text}END")
    parts = "contract edge store ingest analysis api app deploy requirements docs pyproject.toml README.md LICENSE"
    machine.run(
        "rm -rf /root/quietwater /srv/quietwater.git /etc/quietwater /var/lib/quietwater-edge && "
        "mkdir -p /srv/sources && cd /mnt && "
        f"tar -c --exclude=__pycache__ {parts} | tar -x -C /srv/sources --no-same-owner && cd /srv/sources && "
        "git init -q && git add -A -f && "
        "git -c user.name=q -c user.email=q@localhost commit -q -m Sources && "
        "git clone -q --bare /srv/sources /srv/quietwater.git"
    )


class Server:
    """A server that runs, and what its API says of the device."""

    def __init__(self, command: Command, data: Path) -> None:
        self.address = command.until(r"(http://127\.0\.0\.1:\d+)")[1]
        told = run("admin", "user", "add", "tester", "--role", "admin", data=data)
        self._client = httpx.Client(base_url=f"{self.address}/api/v1", timeout=60)
        login = self._client.post(
            "/login", json={"name": "tester", "password": told.split("password ")[1].split()[0]}
        )
        assert login.status_code == 200, login.text

    def levels(self) -> list[float]:
        """Return the stored levels that count, of the last ten minutes."""
        now = time.time()
        span = {key: time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(at)) for key, at in
                (("start", now - 600), ("end", now + 60))}  # fmt: skip
        answer = self._client.get("/noise/seconds", params={"site": "lake-side", "device": "gate", **span})
        assert answer.status_code == 200, answer.text
        return answer.json()["laeq_db"]


@contextmanager
def _server(data: Path, mqtt_port: int) -> Iterator[Server]:
    with running("up", "--data", str(data), "--port", "0", "--mqtt-port", str(mqtt_port)) as command:
        command.until(r"(http://127\.0\.0\.1:\d+)")
        run("admin", "site", "add", "lake-side", "--zh", "湖畔", "--en", "Lakeside", "--zone", "1", data=data)
        run(
            "admin",
            "device",
            "add",
            "lake-side",
            "gate",
            "--kind",
            "noise",
            "--zh",
            "门",
            "--en",
            "Gate",
            data=data,
        )
        yield Server(command, data)


@contextmanager
def _microphone(machine: Machine) -> Iterator[None]:
    """Give the system a microphone ``qwmic`` in the calibrator: a pipe with a tone of 1 kHz, in real time."""
    pipe = "/srv/microphone"
    machine.run(
        f"rm -f {pipe}; mkfifo -m 666 {pipe}; cat > /etc/asound.conf <<'END'\n"
        f'pcm.qwmic {{ type file slave.pcm "null" file "/dev/null" infile "{pipe}" format "raw" }}\nEND'
    )
    stop = threading.Event()
    descriptor = os.open(f"/proc/{machine.holder}/root{machine.root}{pipe}", os.O_RDWR | os.O_NONBLOCK)
    amplitude = 32768 * np.sqrt(2) * 10 ** ((LEVEL_DB - FULL_SCALE_DB) / 20)

    def feed() -> None:
        began = time.monotonic()
        for block in itertools.count(1):
            n = np.arange((block - 1) * 4800, block * 4800)
            with contextlib.suppress(BlockingIOError):  # nobody listens: what a microphone says then is lost
                os.write(
                    descriptor, (amplitude * np.sin(2 * np.pi * 1000 * n / RATE)).astype("<i2").tobytes()
                )
            if stop.wait(max(0.0, began + block * 0.1 - time.monotonic())):
                return

    feeder = threading.Thread(target=feed, daemon=True)
    feeder.start()
    try:
        yield
    finally:
        stop.set()
        feeder.join(60)
        os.close(descriptor)
