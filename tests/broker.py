"""Brokers for tests: the embedded one with devices, and Debian's Mosquitto; and a bare MQTT client."""

from __future__ import annotations

import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from app.broker import EmbeddedBroker
from store.registry.database import Registry
from store.registry.provisioning import add_device, add_meter, add_site, broker_username

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)


@dataclass
class Quarter:
    """A registry with sites and devices, and their passwords."""

    registry: Registry
    passwords: dict[tuple[str, str], str] = field(default_factory=dict)

    def login(self, site: str, device: str) -> tuple[str, str]:
        return broker_username(site, device), self.passwords[site, device]


def quarter(
    folder: Path, *, sites: int = 1, devices: int = 2, meters: int = 2, registry: Registry | None = None
) -> Quarter:  # fmt: skip
    """Make ``s1``, ``s2``, … with devices ``d1``, … each of which reads meters ``d1-m1``, …"""
    made = Quarter(registry or Registry.in_folder(folder))
    with made.registry.session() as session:
        for s in range(1, sites + 1):
            add_site(session, f"s{s}", label_zh=f"小区{s}", label_en=f"Quarter {s}", now=NOW)
            for d in range(1, devices + 1):
                made.passwords[f"s{s}", f"d{d}"] = add_device(
                    session, f"s{s}", f"d{d}", kind="both", label_zh="设备", label_en="Device", now=NOW
                )
                for m in range(1, meters + 1):
                    add_meter(
                        session,
                        f"s{s}",
                        f"d{d}-m{m}",
                        device=f"d{d}",
                        label_zh="水表",
                        label_en="Meter",
                        now=NOW,
                    )
    return made


@contextmanager
def embedded(folder: Path, registry: Registry, port: int) -> Iterator[EmbeddedBroker]:
    broker = EmbeddedBroker(folder, registry, port=port)
    broker.start()
    try:
        yield broker
    finally:
        broker.stop()


@contextmanager
def mosquitto(program: str, folder: Path, port: int, *lines: str) -> Iterator[str]:
    """Run Mosquitto with persistence; anybody may do anything. Yields its address."""
    folder.mkdir(parents=True, exist_ok=True)
    config = folder / "mosquitto.conf"
    config.write_text(
        "\n".join(
            [
                f"listener {port} 127.0.0.1", "allow_anonymous true", "persistence true",
                f"persistence_location {folder}/", "user root", "max_queued_messages 0", *lines, "",
            ]
        )
    )  # fmt: skip
    with (folder / "mosquitto.log").open("ab") as output:
        process = subprocess.Popen([program, "-c", str(config)], stdout=output, stderr=output)
    try:
        wait_for(lambda: _listens(port), 90)
        yield f"mqtt://127.0.0.1:{port}"
    finally:
        process.terminate()
        process.wait(60)


def wait_for(condition, timeout_s: float = 90.0, what: str = ""):
    """Wait until ``condition()`` is true and return what it gave; fail after ``timeout_s``."""
    deadline = time.monotonic() + timeout_s
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > deadline:
            raise AssertionError(f"not within {timeout_s} s: {what or condition}")
        time.sleep(0.01)


def _listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def _text(text: str) -> bytes:
    raw = text.encode()
    return len(raw).to_bytes(2, "big") + raw


def _packet(head: int, body: bytes) -> bytes:
    length, size = bytearray(), len(body)
    while True:
        size, low = divmod(size, 128)
        length.append(low | (128 if size else 0))
        if not size:
            return bytes([head]) + bytes(length) + body


class BareClient:
    """MQTT 3.1.1 over a plain socket: sends whole packets as fast as they are made, and counts the PUBACKs."""

    def __init__(
        self, port: int, login: tuple[str, str] | None = None, *, name: str = "bare", clean: bool = True
    ):
        self._socket = socket.create_connection(("127.0.0.1", port), timeout=30)
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        flags = (2 if clean else 0) | (0xC0 if login else 0)
        body = _text("MQTT") + b"\x04" + bytes([flags]) + b"\x00\x3c" + _text(name)
        body += b"".join(_text(part) for part in login or ())
        self._socket.sendall(_packet(0x10, body))
        answer = self._read(4)
        if answer[3] != 0:
            raise PermissionError(f"refused with code {answer[3]}")
        self._sent = 0
        self._acked = 0
        self._rest = b""

    def subscribe(self, *filters: str, qos: int = 1) -> bytes:
        """Subscribe and return the codes that the broker granted. It never acknowledges what it gets at QoS 1."""
        self._socket.sendall(
            _packet(0x82, b"\x00\x01" + b"".join(_text(one) + bytes([qos]) for one in filters))
        )
        head = self._read(2)
        assert head[0] == 0x90, head
        return self._read(head[1])[2:]

    def gets_at_once(self, topic: str, within_s: float = 1.0) -> bool:
        """Subscribe and return whether a retained message comes."""
        self.subscribe(topic, qos=0)
        self._socket.settimeout(within_s)
        with suppress(TimeoutError):
            return self._read(1)[0] & 0x31 == 0x31
        return False

    def publish(self, topic: str, payload: bytes, *, qos: int = 1, retain: bool = False) -> None:
        """Send one message, waiting while 500 are without their PUBACK."""
        self._sent += qos
        number = (self._sent % 65_535 + 1).to_bytes(2, "big") if qos else b""
        self._socket.sendall(_packet(0x30 | qos << 1 | retain, _text(topic) + number + payload))
        if self._sent - self._acked > 500:
            self.settle(self._sent - 250)

    def settle(self, count: int | None = None) -> None:
        """Wait until the broker has acknowledged ``count`` messages (all that were sent)."""
        while self._acked < (self._sent if count is None else count):
            data = self._socket.recv(65_536)
            if not data:
                raise ConnectionError("the broker hung up")
            self._rest += data
            whole = len(self._rest) // 4
            self._acked += whole
            self._rest = self._rest[whole * 4 :]

    def close(self) -> None:
        with suppress(OSError):
            self._socket.sendall(b"\xe0\x00")
        self._socket.close()

    def _read(self, count: int) -> bytes:
        data = b""
        while len(data) < count:
            part = self._socket.recv(count - len(data))
            if not part:
                raise ConnectionError("the broker hung up")
            data += part
        return data
