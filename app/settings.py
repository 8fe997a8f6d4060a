"""What a server process is told when it starts: one typed object, made on the command line."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from api.map_tiles import TileLayer
from contract.tls import TlsFiles
from store.registry.address import RegistryAddress, in_folder
from store.series.address import DuckDbAddress, StoreAddress
from store.series.retention import Retention

DEFAULT_DATA: Final = Path("data")
DEFAULT_PORT: Final = 8080
DEFAULT_MQTT_PORT: Final = 1883
BROKER_PASSWORD_VARIABLE: Final = "QUIETWATER_BROKER_PASSWORD"  # noqa: S105  the name of a variable
BROKER_TLS_VARIABLES: Final = ("QUIETWATER_BROKER_CA", "QUIETWATER_BROKER_CERT", "QUIETWATER_BROKER_KEY")
"""Files for a broker that is reached over TLS: whom we trust, and what we show of ourselves where it asks."""


@dataclass(frozen=True, slots=True)
class ServerSettings:
    """Where the server keeps its data and where it listens; everything stays on ``host`` (loopback by default)."""

    data: Path = DEFAULT_DATA
    host: str = "127.0.0.1"
    port: int = DEFAULT_PORT
    mqtt_port: int = DEFAULT_MQTT_PORT
    broker_url: str | None = None
    """A broker that runs elsewhere; ``None`` for the embedded one."""
    base_url: str | None = None
    """The address under which people reach the page, for links in messages."""
    store: StoreAddress | None = None
    """Where the series are; ``None`` for the embedded store in the data folder."""
    tiles: tuple[TileLayer, ...] = ()
    """Layers of the map, from below; without one it is drawn on ``ground``."""
    ground: Mapping[str, Any] | None = None
    """A plan as GeoJSON that the map is drawn on; ``None`` for a plain one of the districts."""
    ingest_name: str = "ingest"
    """Session of this ingest process at the broker; of several, each has its own."""
    ingest_group: str | None = None
    """Processes of one group share the load, on a broker that speaks MQTT 5."""
    shard: str | None = None
    """Name of this analysis process among those that share the sites; ``None`` for the machine's name."""
    serve_name: str | None = None
    """Name of this process among those that serve the page; ``None`` for the machine's name."""
    officials_need_factor: bool = False
    """Whether administrators and the bureau need one-time passwords."""
    retention: Retention = field(default_factory=Retention)
    """How long readings are kept."""
    device_broker_url: str | None = None
    """The broker as devices reach it, which they are told when they enrol; ``None`` for the same as ours."""

    proxy: str = "127.0.0.1"
    """Address or network of the proxy before the page, whose ``X-Forwarded-*`` headers count."""
    metrics_port: int | None = None
    """Port of a process without API for metrics and health; ``None`` for none, 0 for any."""
    metrics_host: str = "127.0.0.1"
    registry_address: RegistryAddress | None = None
    """Where the registry is; ``None`` for the file in the data folder."""

    @property
    def broker_folder(self) -> Path:
        """Folder of the embedded broker."""
        return self.data / "broker"

    @property
    def registry(self) -> RegistryAddress:
        """Where the registry is."""
        return self.registry_address or in_folder(self.data)

    @property
    def series(self) -> StoreAddress:
        """Where the series are."""
        return self.store or DuckDbAddress(self.data / "series.duckdb")


def broker_password(settings: ServerSettings) -> str:
    """Return the server's own password at the broker: the one it was given, else that of the embedded broker.

    Raises ``OSError`` for a file that the environment names and that cannot be read.
    """
    from app.broker import server_password

    return given_broker_password() or server_password(settings.broker_folder)


def given_broker_password() -> str | None:
    """Return the password that the environment holds, or the file that it names. Raises ``OSError``."""
    if name := os.environ.get(f"{BROKER_PASSWORD_VARIABLE}_FILE"):
        return Path(name).read_text().strip()
    return os.environ.get(BROKER_PASSWORD_VARIABLE) or None


def broker_tls() -> TlsFiles:
    """Return the files that the environment names for a broker over TLS."""
    return TlsFiles(*(os.environ.get(name) or None for name in BROKER_TLS_VARIABLES))


def own_authority(settings: ServerSettings, device_broker_url: str) -> str | None:
    """Return the certificate of the server's own authority as PEM, where there is one and devices come by TLS."""
    path = settings.data / "ca" / "ca.pem"
    return path.read_text() if device_broker_url.startswith("mqtts:") and path.exists() else None
