"""A simulated device: who it is, what it owes, and whether its network is there."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from datetime import datetime
from functools import cache

from app.simulate.connection import Connection
from app.simulate.outstanding import Outstanding
from contract.codec import encode
from contract.messages import DeviceStatus
from contract.topics import ReadingKind, Topic
from edge.health import package_version


@dataclass(slots=True, eq=False)
class SimulatedDevice:
    """A noise device, or the gateway of a site; ``number`` is the device's or the site's."""

    number: int
    site: str
    name: str
    kind: ReadingKind
    outstanding: Outstanding = field(default_factory=Outstanding)
    connection: Connection | None = None
    offline: bool = False
    """Whether the scenario has taken its network away."""
    clock_offset_s: int = 0
    clock_synced: bool = True

    @property
    def reachable(self) -> bool:
        """Whether a message has a chance."""
        return not self.offline and self.connection is not None and self.connection.up

    def send(self, readings: list[bytes]) -> bool:
        """Publish readings as one message; ``False`` where the link does not take it now."""
        connection = self.connection
        if self.offline or connection is None:
            return False
        return connection.publish(_topic(self.site, self.name, self.kind), b"[%b]" % b",".join(readings))

    def tell(self, state: str, now: datetime) -> bool:
        """Publish the status, retained."""
        if self.connection is None:
            return False
        if state == "offline":
            status = DeviceStatus(state="offline", t=now, version=package_version())
        else:
            status = DeviceStatus(
                state="online", t=now, version=package_version(), boot_id="simulated",
                clock_offset_ms=self.clock_offset_s * 1000.0, clock_synced=self.clock_synced,
                outbox_depth=self.outstanding.depth, dropped=0, refused=0, temperature_c=45.0,
                disk_free_mb=8_000, uptime_s=int(time.monotonic()),
            )  # fmt: skip
        return self.connection.publish(_topic(self.site, self.name, "status"), encode(status), retain=True)


@cache
def _topic(site: str, device: str, kind: str) -> bytes:
    return str(Topic(site, device, kind)).encode()  # type: ignore[arg-type]
