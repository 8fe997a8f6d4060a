"""What of the registry a user may see, as entities: the one way from an id to a quarter, device or meter."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, Final

from sqlalchemy import select
from sqlalchemy.orm import Session

from analysis.indicative import approved_sources
from api.access import Identity
from api.registry_reads import NOISE_KINDS, sites_for
from api.sensorthings.entities import Quarter, Source, Stream, source_names, stream_names, streams_of
from store.registry.models import Device, Meter, Site

_MOST_NAMED: Final = 500
"""Quarters that a query names; where there are more, all are read, and those that are not wanted left out."""


class Inventory:
    """The quarters that ``who`` may see, their devices and meters; lives as long as ``session``."""

    def __init__(self, session: Session, who: Identity) -> None:
        self._session = session
        self._who = who
        self._quarters: dict[str, Quarter | None] = {}
        self._all: list[Quarter] | None = None
        self._sources: dict[str, list[Source]] = {}

    def quarters(self) -> list[Quarter]:
        """Return every quarter."""
        if self._all is None:
            self._all = [_quarter(row) for row in sites_for(self._session, self._who.sites)]
            self._quarters.update({one.name: one for one in self._all})
        return self._all

    def quarter(self, name: str) -> Quarter | None:
        """Return a quarter, ``None`` where there is none or the user may not see it."""
        if not self._who.may_see(name):
            return None
        if name not in self._quarters:
            row = self._session.get(Site, name)
            self._quarters[name] = None if row is None else _quarter(row)
        return self._quarters[name]

    def site(self, name: str) -> Site | None:
        """Return the registry's row of a quarter."""
        return self._session.get(Site, name) if self._who.may_see(name) else None

    def sources(self) -> Iterator[Source]:
        """Return every device and meter."""
        missing = [one for one in self.quarters() if one.name not in self._sources]
        if missing:
            self._sources.update(self._read(missing))
        for quarter in self.quarters():
            yield from self._sources[quarter.name]

    def sources_of(self, quarter: Quarter) -> list[Source]:
        """Return the devices and meters of a quarter."""
        if quarter.name not in self._sources:
            self._sources.update(self._read([quarter]))
        return self._sources[quarter.name]

    def source(self, key: str) -> Source | None:
        """Return a device or meter by the id of its thing."""
        names = source_names(key)
        quarter = self.quarter(names[1]) if names else None
        if quarter is None:
            return None
        return next((one for one in self.sources_of(quarter) if one.id == key), None)

    def stream(self, key: str) -> Stream | None:
        """Return a stream by the id of its datastream."""
        names = stream_names(key)
        source = self.source(names[0]) if names else None
        if source is None:
            return None
        return next((one for one in streams_of(source) if one.id == key), None)

    def _read(self, quarters: Sequence[Quarter]) -> dict[str, list[Source]]:
        """Read the sources of quarters, in two queries however many these are."""
        of = {one.name: one for one in quarters}
        only = [] if len(of) > _MOST_NAMED else [Device.site.in_(of)]
        devices = self._session.scalars(select(Device).where(*only)).all()
        only = [] if len(of) > _MOST_NAMED else [Meter.site.in_(of)]
        meters = self._session.scalars(select(Meter).where(*only)).all()
        approved = approved_sources(devices, meters)
        found: dict[str, list[Source]] = {name: [] for name in of}
        for device in devices:
            if device.site in of:
                found[device.site].append(_device(of[device.site], device))
        for meter in meters:
            if meter.site in of:
                indicative = (meter.site, meter.name) not in approved
                found[meter.site].append(_meter(of[meter.site], meter, indicative))
        return found


def _quarter(row: Site) -> Quarter:
    return Quarter(row.name, row.label_zh, row.label_en, row.district, row.latitude, row.longitude)


def _device(quarter: Quarter, row: Device) -> Source:
    more: dict[str, Any] = {"kind": row.kind, "enabled": row.enabled}
    return Source(
        "device", quarter, row.name, row.label_zh, row.label_en, not row.type_approved,
        row.kind in NOISE_KINDS, more,
    )  # fmt: skip


def _meter(quarter: Quarter, row: Meter, indicative: bool) -> Source:
    more: dict[str, Any] = {"role": row.role, "gateway": row.device}
    return Source("meter", quarter, row.name, row.label_zh, row.label_en, indicative, True, more)
