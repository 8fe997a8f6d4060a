"""What every source of messages hands to ingest, whichever broker it reads from."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final, Protocol
from urllib.parse import urlsplit

from contract.messages import Stored
from contract.tls import TlsFiles

KEPT_OF_OVERSIZE_BYTES: Final = 64 << 10
_PORTS: Final = {"mqtt": 1883, "mqtts": 8883, "nats": 4222, "tls": 4222}
_ENCRYPTED: Final = ("mqtts", "tls")


@dataclass(frozen=True, slots=True)
class Arrival:
    """A message as it arrived; of an oversize payload the beginning.

    ``mid`` is 0 for a message that needs no acknowledgement; ``connection`` is where an acknowledgement belongs to.
    """

    topic: str
    payload: bytes
    size_bytes: int
    mid: int
    connection: int
    retained: bool = False


@dataclass(frozen=True, slots=True)
class BrokerAddress:
    """Where ingest finds the broker and who it is there. ``group`` shares the load with processes of the same group.

    ``url`` is one address, or several nodes of one cluster with commas between them, which are tried in turn. Raises
    ``ValueError`` for what is neither.
    """

    url: str
    username: str | None = None
    password: str | None = None
    name: str = "ingest"
    """Names the session at the broker: each ingest process has its own, and keeps it."""
    group: str | None = None
    tls_files: TlsFiles = field(default_factory=TlsFiles)

    def __post_init__(self) -> None:
        schemes = {urlsplit(node).scheme for node in self.nodes}
        if len(schemes) != 1 or not schemes <= _PORTS.keys():
            raise ValueError(
                "broker address must be mqtt://host:port or mqtts://host:port, or nats://host:port or "
                f"tls://host:port for JetStream, all nodes alike: not {self.url!r}"
            )

    @property
    def nodes(self) -> list[str]:
        """Each node's address."""
        return [node.strip() for node in self.url.split(",")]

    @property
    def is_nats(self) -> bool:
        """Whether the nodes speak NATS with us (``nats://``, ``tls://``) and not MQTT."""
        return urlsplit(self.nodes[0]).scheme in ("nats", "tls")

    @property
    def tls(self) -> bool:
        """Whether the connection is encrypted (``mqtts://``, ``tls://``)."""
        return urlsplit(self.nodes[0]).scheme in _ENCRYPTED

    def node(self, turn: int) -> tuple[str, int]:
        """Return host and port of the node whose turn it is; the port is the usual one where none is given."""
        parts = urlsplit(self.nodes[turn % len(self.nodes)])
        return parts.hostname or "127.0.0.1", parts.port or _PORTS[parts.scheme]


@dataclass(slots=True)
class SourceStats:
    """What happened at the source since the start."""

    received: int = 0
    connects: int = 0
    sessions_lost: int = 0
    repeated: int = 0
    """Messages that the broker sent again while they were still in our hands."""
    paused: int = 0
    """How often the queue was full and reading stopped."""
    answers_lost: int = 0
    """Answers that could not be sent; the device sends its readings again."""


class MessageSource(Protocol):
    """A bounded queue that a broker fills, and the way back. Nothing is acknowledged but by :meth:`acknowledge`."""

    stats: SourceStats

    def start(self) -> None:
        """Begin to connect, in a thread of its own."""
        ...

    def stop(self) -> None:
        """End the session; what is not acknowledged stays with the broker."""
        ...

    @property
    def connected(self) -> bool:
        """Whether messages come in."""
        ...

    @property
    def waiting(self) -> int:
        """Messages in the queue."""
        ...

    @property
    def queue_bound(self) -> int:
        """Messages that the queue holds at most."""
        ...

    def take(self, timeout_s: float) -> Arrival | None:
        """Return the next message, waiting at most ``timeout_s``."""
        ...

    def acknowledge(self, arrival: Arrival) -> None:
        """Tell the broker that a message is dealt with."""
        ...

    def answer(self, site: str, device: str, stored: Stored) -> None:
        """Tell a device what is stored; if this is lost the device sends again."""
        ...
