"""A device, or the server, at a broker."""

from __future__ import annotations

import ssl
import threading
from dataclasses import dataclass, field
from pathlib import Path

import paho.mqtt.client as mqtt
from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion

from tests.broker import wait_for


@dataclass
class Client:
    """paho, as a device or as the server; keeps what it hears. A handshake that fails is a refusal."""

    port: int
    username: str | None = None
    password: str | None = None
    ca_file: Path | None = None
    pair: tuple[Path, Path] | None = None
    """Files of a certificate to show and of its key."""
    client_id: str = ""
    version: MQTTProtocolVersion = MQTTProtocolVersion.MQTTv5
    will: str | None = None
    heard: list[str] = field(default_factory=list)
    refused: str = ""

    def __post_init__(self) -> None:
        self.gone = threading.Event()
        self._granted: dict[int, list[bool]] = {}
        self._mqtt = mqtt.Client(CallbackAPIVersion.VERSION2, self.client_id, protocol=self.version)
        if self.username is not None:
            self._mqtt.username_pw_set(self.username, self.password)
        if self.ca_file is not None:
            self._mqtt.tls_set(
                str(self.ca_file), *map(str, self.pair or ()), tls_version=ssl.PROTOCOL_TLS_CLIENT
            )
        if self.will is not None:
            self._mqtt.will_set(self.will, b"will", qos=1)
        self._mqtt.on_connect = lambda _c, _u, _f, reason, _p: setattr(
            self, "refused", str(reason) if reason.is_failure else ""
        )
        self._mqtt.on_message = lambda _c, _u, message: self.heard.append(message.topic)
        self._mqtt.on_subscribe = lambda _c, _u, mid, codes, _p: self._granted.update(
            {mid: [not one.is_failure for one in codes]}
        )
        self._mqtt.on_disconnect = lambda *_: self.gone.set()
        try:
            self._mqtt.connect("localhost" if self.ca_file else "127.0.0.1", self.port, keepalive=30)
        except ssl.SSLCertVerificationError:
            raise
        except (ssl.SSLError, ConnectionResetError, BrokenPipeError) as error:
            self.refused = f"{type(error).__name__}: {error}"
            return
        self._mqtt.loop_start()
        wait_for(
            lambda: self._mqtt.is_connected() or self.refused or self.gone.is_set(),
            90,
            "an answer to the login",
        )

    @property
    def inside(self) -> bool:
        return self._mqtt.is_connected() and not self.refused

    def publish(self, topic: str, payload: bytes = b"x", *, retain: bool = False) -> None:
        """Publish, and wait for the broker's answer or for it to hang up, which is a refusal as well."""
        told = self._mqtt.publish(topic, payload, qos=1, retain=retain)
        wait_for(lambda: told.is_published() or self.gone.is_set(), 90, f"an answer to {topic}")

    def push(self, topic: str) -> None:
        """Publish at both qualities, and wait until the broker has dealt with it in whichever way, or hung up."""
        for qos in (0, 1):
            self._mqtt.publish(topic, b"x", qos=qos)
        if not self.gone.is_set():
            self.subscribe("qw/v1/none/none/none")  # answered in its turn, be it with a refusal

    def subscribe(self, topic: str) -> bool:
        mid = self._mqtt.subscribe(topic, qos=1)[1]
        if mid is None:
            return False
        wait_for(
            lambda: mid in self._granted or self.gone.is_set(), 90, f"an answer to subscribing to {topic}"
        )
        return all(self._granted.get(mid, [False]))

    def vanish(self) -> None:
        """Cut the line without saying goodbye, so that the will is told."""
        sock = self._mqtt.socket()
        assert sock is not None
        self._mqtt.loop_stop()
        sock.close()

    def close(self) -> None:
        self._mqtt.disconnect()  # paho's thread ends by itself then; waiting for it takes a second
