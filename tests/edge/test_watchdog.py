"""What systemd is told, over a real socket of its kind; and the agent's own command under it."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from edge.watchdog import Watchdog


@pytest.fixture
def listener(tmp_path: Path) -> Iterator[socket.socket]:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as told:
        told.bind(str(tmp_path / "notify"))
        told.settimeout(60)
        yield told


def environment(listener: socket.socket, **more: str) -> dict[str, str]:
    return {"NOTIFY_SOCKET": listener.getsockname(), **more}


def test_it_says_ready_and_feeds_the_watchdog_in_half_its_time(listener: socket.socket) -> None:
    watchdog = Watchdog(environment(listener, WATCHDOG_USEC="60000000"))
    watchdog.ready("lake/gate")
    assert listener.recv(4096) == b"READY=1\nSTATUS=lake/gate"
    for now_s in (100.0, 101.0, 129.9, 130.0, 131.0):
        watchdog.alive(now_s, lambda: True)
    watchdog.stopping()
    assert [listener.recv(4096) for _ in range(3)] == [b"WATCHDOG=1", b"WATCHDOG=1", b"STOPPING=1"]


def test_what_is_not_healthy_is_not_fed(listener: socket.socket) -> None:
    watchdog = Watchdog(environment(listener, WATCHDOG_USEC="60000000"))
    watchdog.alive(100.0, lambda: False)
    watchdog.alive(100.1, lambda: True)
    watchdog.stopping()
    assert [listener.recv(4096) for _ in range(2)] == [b"WATCHDOG=1", b"STOPPING=1"]


def test_without_systemd_nothing_happens(listener: socket.socket) -> None:
    for given in ({}, {"WATCHDOG_USEC": "60000000"}, {"WATCHDOG_USEC": "x", "NOTIFY_SOCKET": ""}):
        watchdog = Watchdog(given)
        watchdog.ready("lake/gate")
        watchdog.alive(1.0, lambda: True)
    asked = []
    Watchdog(environment(listener)).alive(1.0, lambda: bool(asked.append(1)))
    assert not asked, "nobody asked for a watchdog"


@pytest.mark.system
def test_the_agent_tells_systemd_of_itself(
    listener: socket.socket, tmp_path: Path, recordings_folder: Path
) -> None:
    config = tmp_path / "edge.toml"
    sound = next(iter(sorted(recordings_folder.glob("*.ogg"))))
    config.write_text(
        f'site = "lake"\ndevice = "gate"\ndata = "{tmp_path}/data"\n[mqtt]\nurl = "mqtt://127.0.0.1:1"\n'
        f'[noise]\nsource = {{ type = "file", path = "{sound}", loop = true }}\n'
    )
    process = subprocess.Popen(
        [sys.executable, "-m", "app", "edge", "run", "--config", str(config)],
        env={**os.environ, **environment(listener, WATCHDOG_USEC="500000")}, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    try:
        assert listener.recv(4096) == b"READY=1\nSTATUS=lake/gate"
        assert [listener.recv(4096) for _ in range(3)] == [b"WATCHDOG=1"] * 3
    finally:
        process.send_signal(signal.SIGTERM)
        assert process.wait(60) == 0
    said = b""
    while said != b"STOPPING=1":
        said = listener.recv(4096)


@pytest.fixture
def recordings_folder() -> Path:
    return Path(__file__).parents[2] / "app" / "demo" / "noise"
