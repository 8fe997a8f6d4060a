"""The processes of the town: each may be killed, frozen and started again."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import urllib.error
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, Protocol

from app.broker import EmbeddedBroker
from tests.postgres import PostgresServer

PROJECT = Path(__file__).parents[2]


class Part(Protocol):
    """A process that can be killed and frozen."""

    @property
    def pid(self) -> int | None:
        """Process id while it runs."""
        ...

    def kill(self) -> bool:
        """End it with SIGKILL; it is started again. Return whether it ran."""
        ...


@dataclass
class Child:
    """A process of ours that is started again when it was killed."""

    command: list[str]
    log: Path
    env: dict[str, str] = field(default_factory=dict)
    process: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int | None:
        return self.process.pid if self.process is not None and self.process.poll() is None else None

    def start(self) -> None:
        with self.log.open("ab") as output:
            self.process = subprocess.Popen(
                self.command, stdout=output, stderr=output, cwd=PROJECT, env={**os.environ, **self.env}
            )

    def stop_at_once(self) -> None:
        if self.process is not None:
            self.process.kill()
            self.process.wait()

    def kill(self) -> bool:
        ran = self.pid is not None
        self.stop_at_once()
        self.start()
        return ran

    def end(self) -> None:
        """End it in peace, however it is."""
        if self.process is None or self.process.poll() is not None:
            return
        with contextlib.suppress(ProcessLookupError):
            self.process.send_signal(signal.SIGCONT)
        self.process.terminate()
        try:
            self.process.wait(60)
        except subprocess.TimeoutExpired:
            self.stop_at_once()


@dataclass
class KeptBroker:
    """The embedded broker, which starts itself again."""

    broker: EmbeddedBroker

    @property
    def pid(self) -> int | None:
        return self.broker.pid

    def kill(self) -> bool:
        pid = self.broker.pid
        if pid is not None:
            os.kill(pid, signal.SIGKILL)
        return pid is not None


@dataclass
class KeptRegistry:
    """PostgreSQL, which is started again when it was killed; a fault is one of all its processes."""

    server: PostgresServer

    def kill(self) -> None:
        """End every process of it with SIGKILL, and start it again on what is on its disk."""
        self.server.kill()
        self.server.start()

    def restart(self) -> None:
        """End it in an orderly way, with its clients thrown out, and start it again."""
        self.server.stop()
        self.server.start()

    def freeze(self) -> Callable[[], None]:
        """Stop every process of it; return what lets it go on."""
        self.server.freeze()
        return self.server.thaw


def mosquitto(program: str, folder: Path, port: int) -> Child:
    """Mosquitto as Debian ships it: what it has not saved is gone when it is killed, its sessions too."""
    folder.mkdir()
    config = folder / "mosquitto.conf"
    lines = [f"listener {port} 127.0.0.1", "allow_anonymous true", "persistence true",
             f"persistence_location {folder}/", "user root", ""]  # fmt: skip
    config.write_text("\n".join(lines))
    return Child([program, "-c", str(config)], folder / "mosquitto.log")


def answers(url: str) -> bool:
    """Whether InfluxDB answers."""
    try:
        with urllib.request.urlopen(f"{url}/ping", timeout=2):
            return True
    except (OSError, urllib.error.URLError):
        return False


Registry = Literal["sqlite", "postgresql"]
Store = Literal["influxdb", "duckdb"]
Broker = Literal["embedded", "mosquitto"]
