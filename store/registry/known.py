"""The devices and meters that the registry knows, as a copy for those who ask at every message."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Final

import structlog
from sqlalchemy import select

from store.registry.database import Registry, RegistryUnavailable
from store.registry.models import Device, Meter

log = structlog.get_logger(__name__)

_UNKNOWN_AGE_S: Final = 1.0


@dataclass(frozen=True, slots=True)
class Known:
    """What the registry knows: devices, and each site's meters with the device that reads them."""

    devices: frozenset[tuple[str, str]]
    meters: Mapping[tuple[str, str], str] = field(default_factory=dict)


class KnownDevices:
    """A copy of what the registry knows, at most ``max_age_s`` seconds old while the registry answers."""

    def __init__(
        self, registry: Registry, *, max_age_s: float = 10.0, monotonic: Callable[[], float] = time.monotonic
    ) -> None:
        self._registry = registry
        self._max_age_s = max_age_s
        self._monotonic = monotonic
        self._tried_at = float("-inf")
        self._known: Known | None = None
        self._troubled = False

    def current(self) -> Known:
        """Return what is known. Raises ``RegistryUnavailable`` only if the registry never answered yet."""
        return self._at_most(self._max_age_s)

    def after_unknown(self) -> Known:
        """Return what is known now that a device or meter was not: the registry is asked once a second at most."""
        return self._at_most(_UNKNOWN_AGE_S)

    def _at_most(self, age_s: float) -> Known:
        now_s = self._monotonic()
        if self._known is not None and now_s - self._tried_at <= age_s:
            return self._known
        self._tried_at = now_s
        try:
            self._known = self._read()
            self._troubled = False
        except RegistryUnavailable as error:
            if self._known is None:
                raise
            if not self._troubled:
                log.warning(
                    "the registry does not answer; going on with the devices known before", cause=str(error)
                )
            self._troubled = True
        return self._known

    def _read(self) -> Known:
        with self._registry.reader() as session:
            devices = session.execute(select(Device.site, Device.name).where(Device.enabled)).all()
            meters = session.execute(select(Meter.site, Meter.name, Meter.device)).all()
        return Known(
            frozenset((site, name) for site, name in devices),
            {(site, name): device for site, name, device in meters},
        )
