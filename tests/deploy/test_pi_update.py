"""Releases that a device fetches by itself: good ones, forged ones, and such as do not work.

The releases are real archives, signed and made by ``release.sh`` from a small product of one command: what is tried is
fetching, trust, taking and going back, not the meter. The installer is the real one.
"""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.deploy.machine import SOURCES, Machine

PI = SOURCES / "deploy" / "pi"
UPDATE = "QUIETWATER_TRIAL_S=2 /opt/quietwater/current/deploy/update.sh"
MANAGER = Path(__file__).with_name("service_manager.py")
pytestmark = [pytest.mark.xdist_group("pi"), pytest.mark.slow, pytest.mark.system]

COMMAND = '''"""A product of one command."""
import os, socket, sys, time

SELFTEST, MORTAL = {selftest!r}, {mortal!r}

def main():
    if "selftest" in sys.argv:
        sys.exit(0 if SELFTEST else 1)
    if "--check" in sys.argv:
        return
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as out:
        out.sendto(b"READY=1", "\\0" + os.environ["NOTIFY_SOCKET"][1:])
    while not (MORTAL and os.path.exists("/srv/die")):
        time.sleep(0.1)
    sys.exit(1)
'''
PROJECT = """[build-system]
requires = ["setuptools"]
build-backend = "setuptools.build_meta"
[project]
name = "quietwater"
version = "{version}"
[project.scripts]
quietwater = "app.cli:main"
[tool.setuptools]
packages = ["app"]
"""


class Shop:
    """Where releases are made and laid out, in the machine's ``/srv/shop``."""

    def __init__(self, machine: Machine, folder: Path) -> None:
        self._machine = machine
        self._folder = folder
        self.keys = {name: self._key(name) for name in ("release-key", "another-key")}

    def _key(self, name: str) -> Path:
        path = self._folder / name
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", path], check=True)
        return path

    def sources(self, version: str, *, selftest: bool = True, mortal: bool = False) -> Path:
        """Write a product's sources, with the installer and the pins of its build as they are.

        One that is ``mortal`` ends by itself once there is ``/srv/die``.
        """
        root = self._folder / f"sources-{version}"
        for name in ("contract", "edge", "store", "ingest", "analysis", "api", "app", "requirements"):
            (root / name).mkdir(parents=True)
        shutil.copytree(PI, root / "deploy" / "pi")
        (root / "app" / "cli.py").write_text(COMMAND.format(selftest=selftest, mortal=mortal))
        (root / "app" / "__init__.py").touch()
        (root / "pyproject.toml").write_text(PROJECT.format(version=version))
        pins = (SOURCES / "requirements" / "edge.txt").read_text().replace("\\\n", "")
        (pin,) = (line for line in pins.splitlines() if line.startswith("setuptools=="))
        (root / "requirements" / "edge.txt").write_text(pin + "\n")
        for name in ("README.md", "LICENSE"):
            (root / name).touch()
        return root

    def release(self, sources: Path, made: int, *, key: str = "release-key") -> Path:
        """Make a release at a time, lay it out, and return the folder in which it can be forged."""
        out = self._folder / "out"
        shutil.rmtree(out, ignore_errors=True)
        clock = self._folder / "bin"
        clock.mkdir(exist_ok=True)
        (clock / "date").write_text(f"#!/bin/sh\necho {made}\n")
        (clock / "date").chmod(0o755)
        environment = {"PATH": f"{clock}:/usr/bin:/bin"}
        command = [sources / "deploy" / "pi" / "release.sh", out, self.keys[key]]
        subprocess.run(command, check=True, capture_output=True, env=environment)
        return out

    def lay_out(self, out: Path) -> None:
        """Put the release where the machine fetches it."""
        for path in out.iterdir():
            self._machine.put(path, f"/srv/shop/{path.name}")


@pytest.fixture(scope="module")
def shop(
    machine: Machine, tmp_path_factory: pytest.TempPathFactory, program: Callable[[str], str]
) -> Iterator[Shop]:
    """A shop, and the machine with release 1 of its product, which runs."""
    program("ssh-keygen")
    made = Shop(machine, tmp_path_factory.mktemp("shop"))
    machine.run("rm -rf /opt/quietwater /etc/quietwater /etc/quietwater-update /var/lib/quietwater-update")
    machine.run("mkdir -p /run/systemd/system /srv/shop /etc/quietwater /etc/quietwater-update")
    machine.put(MANAGER, "/usr/local/bin/systemctl")
    machine.run("chmod 755 /usr/local/bin/systemctl; touch /etc/quietwater/edge.toml; mkdir -p /srv/first")
    first = made.release(made.sources("1.0"), 1_800_000_000)
    machine.put(first / "quietwater-1.0.tar.gz", "/srv/first.tar.gz")
    machine.run("tar -xf /srv/first.tar.gz -C /srv/first --no-same-owner && /srv/first/deploy/pi/install.sh")
    public = made.keys["release-key"].with_suffix(".pub").read_text()
    machine.write(f'release namespaces="quietwater-release" {public}', "/etc/quietwater-update/signers")
    machine.write("file:///srv/shop\n", "/etc/quietwater-update/from")
    try:
        yield made
    finally:
        machine.run(
            "systemctl stop quietwater-edge; rm -rf /run/systemd /usr/local/bin/systemctl /opt/quietwater "
            "/etc/quietwater /etc/quietwater-update /var/lib/quietwater-update /srv/shop /srv/die"
        )


def running(machine: Machine) -> str:
    """Return the version that the running process is of."""
    release = machine.run("readlink /opt/quietwater/current").strip()
    assert f"{release}/bin/" in machine.run("tr '\\0' ' ' </proc/$(cat /run/service-manager/main)/cmdline")
    return Path(release).name.split("-")[0]


def cut_the_power_while_it_is_watched(machine: Machine) -> None:
    """Begin an update, and end all of it at once when the new release is on trial."""
    new = "[[ $(readlink /opt/quietwater/current) = */2.2-* ]]"
    on_trial = f"[ -e /opt/quietwater/.before ] && systemctl is-active && {new}"
    machine.run(
        # What cannot be installed for want of a package is tried again, as on the next night.
        "for night in 1 2 3; do "
        "QUIETWATER_TRIAL_S=600 setsid /opt/quietwater/current/deploy/update.sh >/run/update.log 2>&1 & update=$!; "
        f"while kill -0 $update 2>/dev/null; do if {on_trial}; then "
        "kill -KILL -- -$update && systemctl stop quietwater-edge && exit 0; fi; sleep 0.1; done; "
        "cat /run/update.log; done; exit 1"
    )


def test_only_what_a_trusted_key_signed_is_taken(machine: Machine, shop: Shop) -> None:
    sources = shop.sources("1.1")
    releases = lambda: machine.run("ls /opt/quietwater/releases")  # noqa: E731
    before = releases()

    shop.lay_out(shop.release(sources, 1_800_000_100, key="another-key"))
    assert "not that of a trusted key" in machine.run(UPDATE, ok=False)

    forged = shop.release(sources, 1_800_000_100)
    text = (forged / "manifest").read_text()
    (forged / "manifest").write_text(text.replace("version = 1.1", "version = 6.6"))
    shop.lay_out(forged)
    assert "not that of a trusted key" in machine.run(UPDATE, ok=False)

    swapped = shop.release(sources, 1_800_000_100)
    with (swapped / "quietwater-1.1.tar.gz").open("ab") as archive:
        archive.write(b"more")
    shop.lay_out(swapped)
    assert "is not what the manifest says" in machine.run(UPDATE, ok=False)

    machine.run("rm /srv/shop/manifest")
    assert "cannot be fetched" in machine.run(UPDATE, ok=False)
    assert releases() == before
    assert running(machine) == "1.0"


def test_a_release_that_works_is_taken_and_one_that_does_not_is_left(machine: Machine, shop: Shop) -> None:
    good = shop.release(shop.sources("2.0"), 1_800_000_200)
    shop.lay_out(good)
    assert "2.0 runs" in machine.run(UPDATE)
    assert running(machine) == "2.0"
    assert len(machine.run("ls /opt/quietwater/releases").split()) == 2
    assert machine.run(UPDATE) == ""  # nothing new

    shop.lay_out(shop.release(shop.sources("2.1", selftest=False), 1_800_000_300))
    assert "does not pass its self-test" in machine.run(UPDATE, ok=False)
    assert machine.run(UPDATE) == ""  # it is not tried again
    assert running(machine) == "2.0"

    shop.lay_out(shop.release(shop.sources("2.2", mortal=True), 1_800_000_400))
    cut_the_power_while_it_is_watched(machine)
    machine.run("touch /srv/die")
    said = machine.run(UPDATE, ok=False)
    assert "did not come up and stay up" in said
    assert "2.0" in said
    assert running(machine) == "2.0"
    kept = {one.split("-")[0] for one in machine.run("ls /opt/quietwater/releases").split()}
    assert kept == {"1.0", "2.0"}

    shop.lay_out(shop.release(shop.sources("1.9"), 1_800_000_150))
    assert "older than the last one" in machine.run(UPDATE, ok=False)
    assert running(machine) == "2.0"


def test_the_units_are_valid(machine: Machine, shop: Shop) -> None:
    for unit in ("quietwater-update.service", "quietwater-update.timer"):
        assert "quietwater" not in machine.run(f"systemd-analyze verify /etc/systemd/system/{unit}")


def test_the_scripts_explain_themselves_and_are_clean(program: Callable[[str], str]) -> None:
    for name, words in (("update.sh", "Usage: sudo /opt"), ("release.sh", "Usage: deploy/pi/release.sh")):
        told = subprocess.run([PI / name, "--help"], capture_output=True, text=True, check=True).stdout
        assert words in told
        assert subprocess.run([PI / name, "--wrong"], capture_output=True, check=False).returncode == 2
        if shutil.which("shellcheck"):
            subprocess.run(["shellcheck", PI / name], check=True)
