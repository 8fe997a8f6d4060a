"""Use per person against the quota: GB/T 50331's interval for the province, or the city's own value. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from typing import Literal

import msgspec

from analysis.site_settings import WaterSettings
from analysis.standard_rows import QuotaRow
from analysis.standards import standards

QuotaVerdict = Literal["below", "within", "above", "unknown"]


@dataclass(frozen=True, slots=True)
class PerHead:
    """Litres a person and day over a span, and what the quota says of it.

    ``below`` the interval is not praise: it may be empty flats. ``unknown`` without people or a quota.
    """

    litres_per_person_day: float | None
    quota: QuotaRow | None
    verdict: QuotaVerdict


def quota_for(settings: WaterSettings, on: date) -> QuotaRow | None:
    """Return the quota of a site: the city's own where it has one, else its province's interval in force on a date."""
    rows = standards().rows(QuotaRow, on=on)
    if settings.quota_lpd is not None:
        base = next(row for row in rows if row.id.startswith("gbt50331."))
        return msgspec.structs.replace(
            base, id="own.quota", standard=settings.quota_standard, edition="-", clause="-", source="site settings",
            verified="K", label_zh="本市定额", label_en="The city's own quota", lowest_lpd=None,
            highest_lpd=settings.quota_lpd, provinces_zh=(), provinces_en=(), note_zh="", note_en="",
        )  # fmt: skip
    province = settings.province.strip()
    return next((row for row in rows if province and _has_province(row, province)), None)


def per_head(volume_l: float, days: float, persons: int | None, quota: QuotaRow | None) -> PerHead:
    """Judge a volume over ``days``. The interval's ends belong to it (``<=``)."""
    if not persons or days <= 0.0:
        return PerHead(None, quota, "unknown")
    use = volume_l / days / persons
    if quota is None:
        return PerHead(use, None, "unknown")
    if use > quota.highest_lpd:
        return PerHead(use, quota, "above")
    return PerHead(
        use, quota, "below" if quota.lowest_lpd is not None and use < quota.lowest_lpd else "within"
    )


def _has_province(row: QuotaRow, name: str) -> bool:
    return name in row.provinces_zh or name.casefold() in (one.casefold() for one in row.provinces_en)
