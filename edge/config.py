"""The agent's configuration: one TOML file a device, one typed object in the process."""

from __future__ import annotations

import os
import tomllib
from pathlib import Path
from typing import Annotated, Any
from urllib.parse import urlsplit

import msgspec
from msgspec import Meta

from contract.messages import Slug
from edge.link import Broker, Protocol
from edge.sound.settings import NoiseSettings
from edge.water.settings import WaterSettings


class ConfigError(ValueError):
    """The configuration cannot be used; the text names the file, the key and the cure."""


class MqttSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Where the broker is. The password comes from ``password_file`` or the environment's
    ``QUIETWATER_MQTT_PASSWORD``, never from the configuration itself."""

    url: str = "mqtt://127.0.0.1:1883"
    """One address, or the nodes of a cluster with commas between them."""
    username: str | None = None
    """``{site}.{device}`` unless given."""
    password_file: str | None = None
    protocol: Protocol = "auto"
    ca_file: str | None = None
    cert_file: str | None = None
    key_file: str | None = None


class OutboxSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The outbox: ``commit_interval_s`` is what a power cut can take of readings the server does not have."""

    commit_interval_s: Annotated[float, Meta(ge=0.1, le=60)] = 5.0
    send_interval_s: Annotated[float, Meta(ge=0, le=30)] = 0.0
    """For so long new readings wait for one another: fewer messages, which spares the server, and a later live view."""
    max_mb: Annotated[int, Meta(ge=1)] = 512
    """Bound of the file's content, MiB; the default holds two weeks of seconds."""


class UpstreamSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The server's page, where the device renews its certificate."""

    url: Annotated[str, Meta(pattern=r"^https?://[^/?#\s]+(/[^?#\s]*)?$")]
    """With a path, where the page lies below one."""
    ca_file: str | None = None
    """Certificate of the authority that signed the server's, where the system does not know it."""

    def __post_init__(self) -> None:
        host = urlsplit(self.url).hostname
        if self.url.startswith("http:") and host not in ("127.0.0.1", "localhost", "::1"):
            raise ValueError(f"url: {self.url} is without TLS: anybody on the way could read the password")


class AgentConfig(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One device: who it is, what it measures, where it sends."""

    site: Slug
    device: Slug
    data: str = "/var/lib/quietwater-edge"
    """Folder of the outbox and the pulse counters."""
    mqtt: MqttSettings = MqttSettings()
    outbox: OutboxSettings = OutboxSettings()
    server: UpstreamSettings | None = None
    status_interval_s: Annotated[float, Meta(ge=5, le=3600)] = 30.0
    """How often the device tells how it is."""
    noise: NoiseSettings | None = None
    water: WaterSettings | None = None

    @property
    def renewed_file(self) -> str:
        """Where certificates lie that came after the configured one, each with its key."""
        return str(Path(self.data) / f"{self.site}.{self.device}.certificate.pem")

    def broker(self) -> Broker:
        """Return the broker with the password read. Raises :class:`ConfigError` if it cannot be read."""
        return Broker(
            url=self.mqtt.url,
            username=self.mqtt.username or f"{self.site}.{self.device}",
            password=self._password(),
            protocol=self.mqtt.protocol,
            ca_file=self.mqtt.ca_file,
            cert_file=self.mqtt.cert_file,
            key_file=self.mqtt.key_file,
            renewed_file=self.renewed_file,
        )

    def _password(self) -> str | None:
        if self.mqtt.password_file is None:
            return os.environ.get("QUIETWATER_MQTT_PASSWORD")
        try:
            return Path(self.mqtt.password_file).read_text().strip()
        except OSError as error:
            raise ConfigError(f"mqtt.password_file cannot be read: {error}") from error


def load(path: Path) -> AgentConfig:
    """Read a configuration file; relative paths inside it are taken from its folder.

    Raises :class:`ConfigError` that names the file and the key.
    """
    try:
        raw = tomllib.loads(path.read_text())
    except OSError as error:
        raise ConfigError(f"{path} cannot be read: {error}") from error
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"{path} is not valid TOML: {error}") from error
    return from_table(raw, str(path), base=path.parent)


def from_table(raw: dict[str, Any], name: str = "configuration", *, base: Path = Path()) -> AgentConfig:
    """Make a configuration from a table; ``name`` stands in errors, relative paths are taken from ``base``."""
    try:
        config = msgspec.convert(raw, AgentConfig)
    except msgspec.ValidationError as error:
        raise ConfigError(f"{name}: {error}") from error
    if config.noise is None and config.water is None:
        raise ConfigError(f"{name}: nothing to measure; add a [noise] or a [water] table")
    return _resolved(config, base)


def _resolved(config: AgentConfig, base: Path) -> AgentConfig:
    mqtt = config.mqtt
    files = {
        key: str(base / value)
        for key in ("password_file", "ca_file", "cert_file", "key_file")
        if (value := getattr(mqtt, key)) is not None
    }
    server = config.server
    if server is not None and server.ca_file is not None:
        server = msgspec.structs.replace(server, ca_file=str(base / server.ca_file))
    return msgspec.structs.replace(
        config,
        server=server,
        data=str(base / config.data),
        mqtt=msgspec.structs.replace(mqtt, **files),
        noise=None if config.noise is None else config.noise.resolved(base),
        water=None if config.water is None else config.water.resolved(base),
    )
