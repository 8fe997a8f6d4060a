"""What ingest knows of the registry, read again every few seconds."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Final

from sqlalchemy import select

from ingest.validate import Known
from store.registry.database import Registry
from store.registry.models import Device, Meter

_MAX_AGE_S: Final = 2.0


class KnownDevices:
    """A copy of the registry's devices and meters, at most two seconds old."""

    def __init__(self, registry: Registry, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._registry = registry
        self._monotonic = monotonic
        self._read_at: float | None = None
        self._known = Known(frozenset())

    def current(self) -> Known:
        """Return what is known, reading the registry when the copy is old."""
        now_s = self._monotonic()
        if self._read_at is None or now_s - self._read_at > _MAX_AGE_S:
            self._known = self._read()
            self._read_at = now_s
        return self._known

    def _read(self) -> Known:
        with self._registry.reader() as session:
            devices = session.execute(select(Device.site, Device.name).where(Device.enabled))
            meters = session.execute(select(Meter.site, Meter.name, Meter.device))
            return Known(
                frozenset((site, name) for site, name in devices),
                {(site, name): device for site, name, device in meters},
            )
