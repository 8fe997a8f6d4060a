"""Real servers for the tests: started on free ports, in a folder of their own, ended by their process id."""

from __future__ import annotations

import contextlib
import os
import socket
import subprocess
import threading
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path


@dataclass(slots=True)
class Server:
    """A running server; :meth:`stop` and :meth:`start` interrupt it without losing its data."""

    command: Sequence[str]
    environment: Mapping[str, str]
    url: str
    log: Path
    process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                self.command, env={**os.environ, **self.environment}, stdout=log, stderr=log
            )
        waiting = threading.Event()
        for _ in range(600):
            if self.process.poll() is not None:
                raise RuntimeError(f"{self.command[0]} ended: {self.log.read_text(errors='replace')[-2000:]}")
            with (
                contextlib.suppress(OSError, urllib.error.URLError),
                urllib.request.urlopen(f"{self.url}/ping", timeout=2),
            ):
                return
            waiting.wait(0.05)
        raise RuntimeError(
            f"{self.command[0]} does not answer: {self.log.read_text(errors='replace')[-2000:]}"
        )

    def stop(self) -> None:
        if self.process is not None:
            self.process.kill()
            self.process.wait()
            self.process = None


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@contextmanager
def influxdb(program: str, folder: Path, **settings: str) -> Iterator[Server]:
    """Run InfluxDB 1.x with its data below ``folder``; ``settings`` are its variables without ``INFLUXDB_``."""
    port = _free_port()
    environment = {
        "META_DIR": str(folder / "meta"), "DATA_DIR": str(folder / "data"), "DATA_WAL_DIR": str(folder / "wal"),
        "HTTP_BIND_ADDRESS": f"127.0.0.1:{port}", "BIND_ADDRESS": f"127.0.0.1:{_free_port()}",
        "REPORTING_DISABLED": "true", "HTTP_LOG_ENABLED": "false", "DATA_QUERY_LOG_ENABLED": "false",
        "MONITOR_STORE_ENABLED": "false", **settings,
    }  # fmt: skip
    config = folder / "influxdb.conf"
    config.write_text("")  # not the machine's own configuration
    server = Server(
        [program, "-config", str(config)], {f"INFLUXDB_{key}": value for key, value in environment.items()},
        f"http://127.0.0.1:{port}", folder / "influxd.log",
    )  # fmt: skip
    try:
        server.start()
        yield server
    finally:
        server.stop()


@contextmanager
def victoria_metrics(program: str, folder: Path) -> Iterator[Server]:
    """Run VictoriaMetrics with its data below ``folder``."""
    port = _free_port()
    server = Server(
        [program, f"-storageDataPath={folder / 'vm'}", f"-httpListenAddr=127.0.0.1:{port}", "-retentionPeriod=100y"],
        {}, f"http://127.0.0.1:{port}", folder / "victoria.log",
    )  # fmt: skip
    try:
        server.start()
        yield server
    finally:
        server.stop()
