"""From a datastream to its readings: seconds and readings as stored, hours as ``/noise/hours`` tells them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from typing import Any, Final

from sqlalchemy.orm import Session

from analysis.exclusions import cut_hours, spans_of
from analysis.validity import Validity
from api.hours import noise_hours, water_hours
from api.sensorthings.entities import Stream
from api.sensorthings.readings import (
    Hours,
    MeterReadings,
    Readings,
    Seconds,
    noise_hour_point,
    water_hour_point,
)
from store.registry.models import Site
from store.series.interface import NoiseHour, SeriesStore, WaterHour

MANY: Final = 744
"""Hours that are read at once where no few will do: those of a month."""
_KEPT: Final = 4
"""Stretches of hours that are kept for the next stream of the same source: a device's hours tell eight quantities."""


class Readers:
    """Makes readers for one request. ``site_of`` gives the registry's row of a quarter."""

    def __init__(
        self, series: SeriesStore, session: Session, now: datetime, site_of: Callable[[str], Site | None]
    ) -> None:
        self._series = series
        self._session = session
        self._site_of = site_of
        self._known: dict[tuple[str, datetime, datetime], Sequence[Any]] = {}
        self._newest: datetime | None = None
        self._now = now

    def of(self, stream: Stream, wanted: int) -> Readings:
        """Return the readings of a stream of which about ``wanted`` are needed."""
        if stream.step == "1s":
            return Seconds(self._series, stream)
        if stream.step == "reading":
            return MeterReadings(self._series, stream)
        usual = timedelta(hours=min(max(wanted, 2), MANY))
        if stream.source.what == "meter":
            return Hours(lambda start, end: self._water(stream, start, end), water_hour_point, usual)
        site = self._site_of(stream.source.quarter.name)
        assert site is not None  # the stream came by the same way
        key, least_share = stream.quantity.key, Validity.of(site).hour_share
        return Hours(
            lambda start, end: self._noise(stream, start, end),
            lambda row: noise_hour_point(row, key, least_share),
            usual,
        )

    def horizon(self) -> datetime:
        """Return a time after every reading."""
        if self._newest is None:
            self._newest = max(self._now, self._series.newest() or self._now) + timedelta(seconds=1)
        return self._newest

    def _noise(self, stream: Stream, start: datetime, end: datetime) -> Sequence[NoiseHour]:
        return self._once(stream, start, end, self._read_noise)

    def _water(self, stream: Stream, start: datetime, end: datetime) -> Sequence[WaterHour]:
        return self._once(stream, start, end, self._read_water)

    def _once(
        self, stream: Stream, start: datetime, end: datetime,
        read: Callable[[str, str, datetime, datetime], Sequence[Any]],
    ) -> Sequence[Any]:  # fmt: skip
        key = (stream.source.id, start, end)
        if key not in self._known:
            while len(self._known) >= _KEPT:
                del self._known[next(iter(self._known))]
            self._known[key] = read(stream.source.quarter.name, stream.source.name, start, end)
        return self._known[key]

    def _read_noise(self, site: str, source: str, start: datetime, end: datetime) -> list[NoiseHour]:
        rows = noise_hours(self._series, site, source, start, end, self._now)
        if not rows:
            return []
        return cut_hours(self._series, rows, spans_of(self._session, self._series, site, start, end))

    def _read_water(self, site: str, meter: str, start: datetime, end: datetime) -> list[WaterHour]:
        return water_hours(self._series, site, meter, start, end, self._now)
