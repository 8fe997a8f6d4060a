"""``python -m tests.containers``: the images are built, compose.yaml is run for real, and a device reports to it."""

from __future__ import annotations

import argparse
import os
import ssl
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx

from app.broker import free_port
from tests.app.recordings import write_recording
from tests.containers.engine import Engine, Stack

SECONDS = 30
PARTS = ("ingest", "analysis", "serve", "mosquitto")


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="python -m tests.containers", description="Build the images, run compose.yaml, and use it."
    )
    parser.add_argument("--folder", type=Path, help="Keep the images here for the next run (4 GB).")
    options = parser.parse_args()
    if os.geteuid() != 0:
        parser.error("needs root: containers with networks of their own")
    with tempfile.TemporaryDirectory(prefix="qw-containers-") as scratch:
        folder = options.folder or Path(scratch)
        with Engine(folder.absolute()) as engine:
            _say("Debian's base image", engine.base)
            _say("images of Debian's postgresql, influxdb, mosquitto and caddy", engine.stand_ins)
            _say("the product's image", engine.product)
            _trial(engine, Path(scratch))
    print(
        "a fresh stack came up, a device was enrolled and heard, a restart lost nothing, every part ended in peace"
    )


def _trial(engine: Engine, scratch: Path) -> None:
    ports = {"HTTP_PORT": free_port(), "HTTPS_PORT": free_port(), "MQTTS_PORT": free_port()}
    stack = Stack(engine, scratch / "deploy", ports)
    address = f"https://localhost:{ports['HTTPS_PORT']}"
    try:
        _say("docker-compose up", lambda: stack("up", "--detach"))
        _say("every part is ready", lambda: stack.wait_ready(PARTS))
        password = stack.log("setup").split("password ")[1].split()[0]
        authority = scratch / "caddy.pem"
        authority.write_text(stack.in_container("caddy", "cat", "/data/caddy/pki/authorities/local/root.crt"))
        with _logged_in(address, authority, password) as client:
            _say(
                "a device is enrolled over HTTPS and reports over TLS",
                lambda: _device(stack, client, address, authority, scratch),
            )
            before = _levels(client)
        assert len(before) == SECONDS, f"{len(before)} of {SECONDS} seconds are there"
        _say("docker-compose stop", lambda: stack("stop"))
        states = stack.states()
        unclean = {
            name: state for name, state in states.items() if state[1] not in (0, 143) and name != "backup"
        }
        assert not unclean, f"ended with an error: {unclean}"
        _say("docker-compose down and up", lambda: (stack("down"), stack("up", "--detach")))
        _say("every part is ready again", lambda: stack.wait_ready(PARTS))
        with _logged_in(address, authority, password) as client:
            assert _levels(client) == before, "readings differ after the restart"
        told = stack.in_container(
            "backup", "sh", "/etc/quietwater/backup.sh", "/var/backups/quietwater", "14"
        )
        print(told.strip())
    except BaseException:
        for service in ("setup", *PARTS, "caddy", "broker-files"):
            print(
                f"--- {service}\n{stack.log(service)[-3_000:]}"
                if service in stack.states()
                else f"--- no {service}"
            )
        raise
    finally:
        stack("down", "--volumes", check=False)


@contextmanager
def _logged_in(address: str, authority: Path, password: str) -> Iterator[httpx.Client]:
    trusted = ssl.create_default_context(cafile=str(authority))
    with httpx.Client(base_url=address, verify=trusted, timeout=60) as client:
        login = client.post("/api/v1/login", json={"name": "admin", "password": password})
        assert login.status_code == 200, login.text
        yield client


def _device(stack: Stack, client: httpx.Client, address: str, authority: Path, scratch: Path) -> None:
    stack.in_container(
        "serve",
        "quietwater",
        "admin",
        "site",
        "add",
        "lake",
        "--zh",
        "湖畔",
        "--en",
        "Lakeside",
        "--zone",
        "1",
    )
    stack.in_container(
        "serve",
        "quietwater",
        "admin",
        "device",
        "add",
        "lake",
        "gate",
        "--kind",
        "noise",
        "--zh",
        "门",
        "--en",
        "Gate",
    )
    code = stack.in_container("serve", "quietwater", "admin", "device", "enrol", "lake", "gate")
    config = scratch / "pi" / "edge.toml"
    config.parent.mkdir()
    words = [
        "edge",
        "enrol",
        _code(code),
        "--server",
        address,
        "--config",
        str(config),
        "--ca",
        str(authority),
    ]
    print(_quietwater(*words).strip().splitlines()[0])
    write_recording(scratch / "yard.flac", SECONDS)
    text = config.read_text().replace('type = "portaudio"', f'type = "file"\npath = "{scratch}/yard.flac"')
    config.write_text(text.replace("/var/lib/quietwater-edge", str(scratch / "pi" / "data")))
    _quietwater("edge", "run", "--config", str(config), "--once")
    deadline = time.monotonic() + 60
    while len(_levels(client)) < SECONDS and time.monotonic() < deadline:
        time.sleep(0.5)


def _code(told: str) -> str:
    """Return the code in what ``admin device enrol`` prints: the word after ``enrol``."""
    words = told.split()
    return words[words.index("enrol") + 1]


def _levels(client: httpx.Client) -> list[Any]:
    now = time.time()
    window = {
        name: time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(now + offset_s))
        for name, offset_s in (("start", -3_000), ("end", 600))
    }
    answer = client.get("/api/v1/noise/seconds", params={"site": "lake", "device": "gate", **window})
    assert answer.status_code == 200, answer.text
    told = answer.json()
    return list(zip(told["t"], told["laeq_db"], strict=True))


def _quietwater(*words: str) -> str:
    done = subprocess.run(
        [sys.executable, "-m", "app", *words], capture_output=True, text=True, timeout=300, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def _say(what: str, work: Any) -> None:
    began = time.monotonic()
    print(f"{what} ...", flush=True)
    work()
    print(f"{what}: done in {time.monotonic() - began:.0f} s", flush=True)


if __name__ == "__main__":
    main()
