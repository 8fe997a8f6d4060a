"""A whole Debian system for a test: this one, with what is written caught in a layer that is thrown away."""

from __future__ import annotations

import os
import shlex
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

SOURCES = Path(__file__).parents[2]
"""What the system has as ``/mnt``."""
WRITTEN = (
    "opt/quietwater/current", "opt/quietwater/releases", "etc/quietwater", "etc/systemd", "etc/udev", "usr/local/bin",
    "etc/passwd", "etc/group", "var/lib/quietwater-edge",
)  # fmt: skip


@dataclass(frozen=True)
class Machine:
    """A system of its own: ``run`` runs a command line there as root, ``written`` is what was written so far."""

    holder: int
    root: Path
    layer: Path

    def run(self, line: str, *, ok: bool = True) -> str:
        entered = [
            "nsenter",
            f"--target={self.holder}",
            "--mount",
            "chroot",
            str(self.root),
            "bash",
            "-c",
            line,
        ]
        done = subprocess.run(entered, capture_output=True, text=True, timeout=900, check=False)
        assert (done.returncode == 0) == ok, done.stdout + done.stderr
        return done.stdout + done.stderr

    def put(self, path: Path, target: str) -> None:
        """Copy a file of the test into the system."""
        entered = ["nsenter", f"--target={self.holder}", "--mount", "chroot", str(self.root)]
        with path.open("rb") as content:
            subprocess.run(
                [*entered, "bash", "-c", f"cat > '{target}'"], stdin=content, timeout=900, check=True
            )

    def write(self, text: str, target: str) -> None:
        """Write a file of the system."""
        self.run(f"printf %s {shlex.quote(text)} > '{target}'")

    def tree(self) -> dict[str, tuple[int, int, int]]:
        """Return what the installer is answerable for: mode, owner, and when it was written."""
        lines = self.run(f"find {' '.join('/' + one for one in WRITTEN)} -printf '%p %m %U %T@\\n'")
        found = [line.rsplit(" ", 3) for line in lines.splitlines()]
        return {
            path: (int(mode, 8), int(owner), int(float(when) * 1e6))
            for path, mode, owner, when in found
            if "__pycache__" not in path
        }


@pytest.fixture(scope="session")
def machine(tmp_path_factory: pytest.TempPathFactory, program: Callable[[str], str]) -> Iterator[Machine]:
    """A layer over this system's root, in a mount namespace that nobody else sees."""
    if os.geteuid() != 0:
        pytest.skip("needs root: mounts a layer over the system's root")
    program("systemd-analyze")
    place = tmp_path_factory.mktemp("pi")
    mounts = (
        f"mount -t tmpfs none {place} && mkdir {place}/upper {place}/work {place}/root && "
        f"mount -t overlay none -o lowerdir=/,upperdir={place}/upper,workdir={place}/work {place}/root && "
        f"mount -t proc proc {place}/root/proc && mount --bind /dev {place}/root/dev && "
        # A running systemd would be asked to start the unit: on this machine it has no say.
        f"mount -t tmpfs none {place}/root/run && mkdir -p {place}/root{place} && "
        f"mount --bind {SOURCES} {place}/root/mnt && echo ready && exec sleep infinity"
    )
    holder = subprocess.Popen(["unshare", "--mount", "bash", "-c", mounts], stdout=subprocess.PIPE, text=True)
    assert holder.stdout is not None
    try:
        if holder.stdout.readline().strip() != "ready":
            pytest.skip("this machine's kernel mounts no layers")
        made = Machine(holder.pid, place / "root", place / "upper")
        made.run("rm -rf /opt/quietwater /etc/quietwater /var/lib/quietwater-edge")
        yield made
    finally:
        holder.kill()
        holder.wait()
