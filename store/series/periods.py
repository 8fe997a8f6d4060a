"""Levels over periods from hour rows, for a store whose server cannot join them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from datetime import datetime
from typing import Protocol

from store.series.interface import NoiseHour, PeriodTable


class ReadHours(Protocol):
    """How a store gives the hour rows of a range."""

    def __call__(self, start: datetime, end: datetime, *, site: str | None = None) -> list[NoiseHour]:
        """Return the newest revision of each row."""
        ...


def period_table(
    read: ReadHours, periods: Sequence[tuple[datetime, datetime]], hour_share: float, site: str | None
) -> PeriodTable:
    """Summarise each period, one after the other; an hour counts from ``hour_share`` of valid time on."""
    found: list[tuple[str, str, int, float, float, int]] = []
    for index, (start, end) in enumerate(periods):
        by_source: dict[tuple[str, str], list[NoiseHour]] = {}
        for row in read(start, end, site=site):
            if row.measured_s > 0:
                by_source.setdefault((row.site, row.source), []).append(row)
        found += ((*name, index, *_levels(rows, hour_share)) for name, rows in by_source.items())
    found.sort(key=lambda one: one[:3])
    columns = list(zip(*found, strict=True)) or [()] * 6
    return PeriodTable(*columns)


def _levels(rows: Sequence[NoiseHour], hour_share: float) -> tuple[float, float, int]:
    counted = [row for row in rows if row.laeq_db is not None and row.valid_share >= hour_share]
    energy = math.fsum(10 ** ((row.laeq_db or 0.0) / 10) * row.valid_s for row in counted)
    valid_s = math.fsum(row.valid_s for row in counted)
    top = max((row.lafmax_db for row in rows if row.lafmax_db is not None), default=math.nan)
    return 10 * math.log10(energy / valid_s) if valid_s else math.nan, top, len(counted)
