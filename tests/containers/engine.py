"""A container engine of the test's own: podman in a folder, and images of Debian's packages for the public ones."""

from __future__ import annotations

import os
import shutil
import subprocess
import threading
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Final

PROJECT: Final = Path(__file__).parents[2]
BASE: Final = "docker.io/library/debian:bookworm-slim"
STAND_INS: Final = ("postgres", "influxdb", "mosquitto", "caddy")
PRODUCT: Final = "localhost/quietwater:0.1.0"
_MIRROR: Final = "http://deb.debian.org/debian"
_CONFIGURATION: Final = """\
[containers]
default_ulimits = ["nofile=4096:4096", "nproc=4096:4096"]
[engine]
runtime = "runc"
[network]
network_backend = "netavark"
network_config_dir = "{folder}/networks"
"""


class Engine:
    """Podman with its images, containers and socket below ``folder``; ends what it started."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "containers.conf").write_text(_CONFIGURATION.format(folder=folder))
        (folder / "pip.conf").write_text("[global]\ncert = /mnt/host-ca.crt\n")
        self.socket = folder / "podman.sock"
        self._podman = [
            _program("podman"), "--storage-driver", "overlay", "--root", str(folder / "storage"),
            "--runroot", str(folder / "run"),
        ]  # fmt: skip
        self.environment: Mapping[str, str] = {
            **os.environ, "CONTAINERS_CONF": str(folder / "containers.conf"),
            "DOCKER_HOST": f"unix://{self.socket}",
        }  # fmt: skip
        self._service: subprocess.Popen[bytes] | None = None
        self._stop = threading.Event()
        self._nurse = threading.Thread(target=self._look_after_health, daemon=True)

    def __enter__(self) -> Engine:
        with (self.folder / "service.log").open("ab") as log:
            self._service = subprocess.Popen(
                [*self._podman, "system", "service", "--time=0", f"unix://{self.socket}"],
                stdout=log, stderr=log, env=self.environment,
            )  # fmt: skip
        self._nurse.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._nurse.join(60)
        self.podman("rm", "--all", "--force", "--time", "5", check=False)
        self.podman("volume", "rm", "--all", "--force", check=False)
        if self._service is not None:
            self._service.terminate()
            self._service.wait(60)

    def podman(
        self, *words: str, check: bool = True, timeout_s: float = 1_800, cwd: Path | None = None
    ) -> str:
        """Run podman and return what it prints, errors among it. Raises ``RuntimeError`` with that."""
        done = subprocess.run(
            [*self._podman, *words], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
            timeout=timeout_s, check=False, env=self.environment, cwd=cwd,
        )  # fmt: skip
        if check and done.returncode != 0:
            raise RuntimeError(f"podman {' '.join(words)}:\n{done.stdout[-6_000:]}")
        return done.stdout

    def base(self) -> None:
        """Make Debian's base image with debootstrap, unless it is there."""
        if self.podman("images", "--quiet", BASE).strip():
            return
        root = self.folder / "debian"
        shutil.rmtree(root, ignore_errors=True)
        subprocess.run(
            [_program("debootstrap"), "--variant=minbase", "bookworm", str(root), _MIRROR],
            check=True, capture_output=True, timeout=1_800,
        )  # fmt: skip
        archive = self.folder / "debian.tar"
        subprocess.run(["tar", "-C", str(root), "-cf", str(archive), "."], check=True, timeout=600)
        self.podman("import", str(archive), BASE)
        shutil.rmtree(root)
        archive.unlink()

    def stand_ins(self) -> None:
        """Build what takes the place of the public images."""
        for name in STAND_INS:
            self.podman(
                "build", "--network", "host", "--target", name, "--tag", f"localhost/stand-in-{name}", ".",
                cwd=Path(__file__).parent,
            )  # fmt: skip

    def product(self) -> None:
        """Build the image of the project as its Dockerfile says. This machine's certificates are lent to pip."""
        lent = (
            "/etc/ssl/certs/ca-certificates.crt:/mnt/host-ca.crt:ro",
            f"{self.folder}/pip.conf:/etc/pip.conf:ro",
        )
        volumes = [word for one in lent for word in ("--volume", one)]
        self.podman(
            "build", "--network", "host", *volumes, "--tag", PRODUCT, "--file", "deploy/docker/Dockerfile", ".",
            cwd=PROJECT,
        )  # fmt: skip

    def _look_after_health(self) -> None:
        """Run the containers' health checks: podman leaves that to systemd, which a test machine need not have."""
        while not self._stop.wait(2.0):
            for one in self.podman("ps", "--quiet", check=False).split():
                self.podman("healthcheck", "run", one, check=False)


class Stack:
    """compose.yaml in a copy of ``deploy/``, with the stand-ins and ports of loopback."""

    def __init__(self, engine: Engine, folder: Path, ports: Mapping[str, int]) -> None:
        self._engine = engine
        shutil.rmtree(folder, ignore_errors=True)
        shutil.copytree(PROJECT / "deploy", folder, symlinks=True)
        self._folder = folder / "compose"
        for left in (".env", "secrets"):
            target = self._folder / left
            shutil.rmtree(target) if target.is_dir() else target.unlink(missing_ok=True)
        subprocess.run([str(self._folder / "prepare.sh"), "localhost"], check=True, timeout=60)
        lines = [f"{name.upper()}_IMAGE=localhost/stand-in-{name}\n" for name in STAND_INS]
        lines += [f"QUIETWATER_{name}={port}\n" for name, port in ports.items()]
        with (self._folder / ".env").open("a") as file:
            file.writelines([*lines, f"QUIETWATER_IMAGE={PRODUCT}\n", "QUIETWATER_BIND=127.0.0.1\n"])

    def __call__(self, *words: str, check: bool = True, timeout_s: float = 600) -> str:
        """Run docker-compose and return what it prints."""
        done = subprocess.run(
            [_program("docker-compose"), "--project-name", "quietwater", "--ansi", "never", *words],
            capture_output=True, text=True, timeout=timeout_s, check=False, env=self._engine.environment,
            cwd=self._folder,
        )  # fmt: skip
        if check and done.returncode != 0:
            raise RuntimeError(
                f"docker-compose {' '.join(words)}:\n{done.stdout[-2_000:]}{done.stderr[-4_000:]}"
            )
        return done.stdout

    def in_container(self, service: str, *words: str) -> str:
        """Run a command in the container of a service."""
        return self._engine.podman("exec", f"quietwater_{service}_1", *words, timeout_s=120)

    def log(self, service: str) -> str:
        """Return what a service has said."""
        return self._engine.podman("logs", f"quietwater_{service}_1")

    def states(self) -> dict[str, tuple[str, int]]:
        """Return state and exit code of each service's container."""
        told = self._engine.podman("ps", "--all", "--format", "{{.Names}}|{{.State}}|{{.ExitCode}}")
        rows = [line.split("|") for line in told.splitlines()]
        return {
            name.removeprefix("quietwater_").removesuffix("_1"): (state, int(code))
            for name, state, code in rows
        }

    def wait_ready(self, services: tuple[str, ...], timeout_s: float = 300) -> None:
        """Wait until the health checks of these services succeed."""
        deadline = time.monotonic() + timeout_s
        left = set(services)
        while left:
            for one in list(left):
                if self._health(one) == "healthy":
                    left.discard(one)
            if left and time.monotonic() > deadline:
                raise RuntimeError(f"not healthy: {left}; " + "".join(self.log(one)[-2_000:] for one in left))
            time.sleep(1)

    def _health(self, service: str) -> str:
        told = self._engine.podman(
            "inspect", "--format", "{{.State.Health.Status}}", f"quietwater_{service}_1", check=False
        )
        return told.strip()


def _program(name: str) -> str:
    path = shutil.which(name, path=f"{os.environ.get('PATH', '')}:/usr/sbin:/usr/local/sbin")
    if path is None:
        raise SystemExit(
            f"{name} is not installed: apt-get install --no-install-recommends podman buildah runc netavark "
            "aardvark-dns iptables debootstrap docker-compose"
        )
    return path
