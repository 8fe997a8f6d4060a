"""Receives uplinks from a LoRaWAN network's MQTT broker. The one place of the meters that knows paho."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

import paho.mqtt.client as mqtt
import structlog
from paho.mqtt.enums import CallbackAPIVersion

from edge.water.heard import Message
from edge.water.settings import WaterConfigError
from edge.water.settings_meters import NetworkSettings

log = structlog.get_logger(__name__)

_KEEPALIVE_S: Final = 30
_RECONNECT_MOST_S: Final = 60


@dataclass(frozen=True, slots=True)
class UplinkMessage:
    """One MQTT message; ``done`` acknowledges it to the broker."""

    payload: bytes
    acknowledge: Callable[[], object] = field(default=lambda: None)

    def done(self) -> None:
        """Acknowledge: its readings are in the outbox."""
        self.acknowledge()


class Network:
    """A session at the broker that outlives this process, so that uplinks wait for it."""

    def __init__(self, settings: NetworkSettings) -> None:
        """Read the password. Raises ``WaterConfigError``."""
        self._settings = settings
        self._password = _password(settings)
        if settings.ca_file is not None and not Path(settings.ca_file).is_file():
            raise WaterConfigError(f"networks: {settings.name!r}: ca_file {settings.ca_file} is not there")
        self._refusal: str | None = None
        self._session = 0

    def receive(self, stop: threading.Event, put: Callable[[Message], bool]) -> None:
        """Put messages until ``stop`` is set."""
        client = self._client(put)
        url = urlsplit(self._settings.url)
        client.connect_async(
            url.hostname or "127.0.0.1", url.port or (8883 if url.scheme == "mqtts" else 1883), _KEEPALIVE_S
        )
        client.loop_start()
        try:
            stop.wait()
        finally:
            client.disconnect()
            client.loop_stop()

    def _client(self, put: Callable[[Message], bool]) -> mqtt.Client:
        settings = self._settings
        client_id = settings.client_id or f"quietwater-{socket.gethostname()}-{settings.name}"
        client = mqtt.Client(
            CallbackAPIVersion.VERSION2,
            client_id,
            clean_session=False,
            protocol=mqtt.MQTTv311,
            manual_ack=True,
        )
        if settings.username is not None:
            client.username_pw_set(settings.username, self._password)
        if settings.url.startswith("mqtts:"):
            client.tls_set(ca_certs=settings.ca_file)
        client.reconnect_delay_set(1, _RECONNECT_MOST_S)
        client.on_connect = self._on_connect
        client.on_connect_fail = self._on_connect_fail
        client.on_disconnect = self._on_disconnect
        client.on_message = lambda client, _userdata, message: self._hand_over(client, message, put)
        return client

    def _on_connect(
        self, client: mqtt.Client, _userdata: Any, _flags: Any, reason: Any, _properties: Any
    ) -> None:
        if reason.is_failure:
            if self._refusal != str(reason):
                log.warning(
                    "broker of the network refuses us", network=self._settings.name, cause=str(reason)
                )
            self._refusal = str(reason)
            return
        self._refusal = None
        self._session += 1
        client.subscribe(self._settings.topic, qos=1)
        log.info("listening to the network", network=self._settings.name, topic=self._settings.topic)

    def _on_connect_fail(self, _client: Any, _userdata: Any) -> None:
        if self._refusal is None:
            self._refusal = "no connection"
            log.warning("broker of the network cannot be reached", network=self._settings.name)

    def _on_disconnect(
        self, _client: Any, _userdata: Any, _flags: Any, reason: Any, _properties: Any
    ) -> None:
        if reason.is_failure and self._refusal is None:
            log.warning("connection to the network is lost", network=self._settings.name, cause=str(reason))

    def _hand_over(
        self, client: mqtt.Client, message: mqtt.MQTTMessage, put: Callable[[Message], bool]
    ) -> None:
        """Hand a message over; one that finds no place stays unacknowledged and comes again after a reconnect."""
        mid, qos, session = message.mid, message.qos, self._session

        def acknowledge() -> None:
            # A message's number means another message in the next session.
            if session == self._session:
                client.ack(mid, qos)

        put(UplinkMessage(bytes(message.payload), acknowledge))


def _password(settings: NetworkSettings) -> str | None:
    if settings.password_file is None:
        return None
    try:
        return Path(settings.password_file).read_text().strip()
    except OSError as error:
        raise WaterConfigError(
            f"networks: {settings.name!r}: password_file cannot be read: {error}"
        ) from error
