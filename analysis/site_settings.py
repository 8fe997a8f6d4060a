"""How a site is judged beyond its zone: the bureau's own limits, quiet periods, validity, water. One JSON a site.

``sites.settings`` holds what differs from the defaults here; :func:`settings_of` reads it and :func:`parse_settings`
validates what a person wants to store.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from functools import lru_cache
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta

from analysis.standard_rows import PROJECT_DEFAULT, Comparator, SurchargeRow, TariffRow
from store.registry.models import Site

Share = Annotated[float, Meta(ge=0.0, le=1.0)]
LimitDb = Annotated[float, Meta(ge=0.0, le=140.0)]
ClockTime = Annotated[
    str, Meta(pattern=r"^(([01]\d|2[0-3]):[0-5]\d|24:00)$", description="HH:MM, the site's local time.")
]
Days = Literal["all", "workdays", "restdays", "holidays"]
"""``restdays`` are all days without work, weekends included; ``holidays`` the public holidays alone."""


class BadSettings(ValueError):
    """Settings of a site that cannot be stored; the message names the field and the cure."""


class OwnLimits(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Limits that the bureau set for this site instead of its zone's. ``standard`` names the decision."""

    day_db: LimitDb
    night_db: LimitDb
    standard: Annotated[str, Meta(min_length=1, max_length=120)]
    clause: str = "-"
    comparator: Comparator = "<="
    rounding: Annotated[float, Meta(ge=0.0, le=1.0)] = 0.1


class QuietPeriod(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A time of the day in which less is allowed: midday rest, examination days.

    It lowers the limit of *alerts* to ``limit_db`` (where that is lower) from ``starts`` to ``ends``, site time, on
    ``days`` from ``first_date`` to ``last_date``. ``ends`` may be 24:00. Days and nights are judged as ever.
    """

    name_zh: Annotated[str, Meta(min_length=1, max_length=40)]
    name_en: Annotated[str, Meta(min_length=1, max_length=40)]
    starts: ClockTime
    ends: ClockTime
    limit_db: LimitDb
    days: Days = "all"
    first_date: date | None = None
    last_date: date | None = None
    standard: str = PROJECT_DEFAULT

    def __post_init__(self) -> None:
        if self.ends <= self.starts:
            raise ValueError("ends must be later than starts; split a period that crosses midnight")
        if self.first_date and self.last_date and self.last_date < self.first_date:
            raise ValueError("last_date must not be before first_date")


class NoiseSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How noise is judged. The shares default to the presets ``validity.*``; ``also_judged`` names further presets."""

    own_limits: OwnLimits | None = None
    quiet_periods: Annotated[tuple[QuietPeriod, ...], Meta(max_length=20)] = ()
    hour_share: Share | None = None
    day_share: Share | None = None
    night_share: Share | None = None
    also_judged: Annotated[tuple[str, ...], Meta(max_length=20)] = ()


class WaterSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How water is judged: whose quota, which tariff, which plan.

    ``quota_lpd`` (the city's own, with ``quota_standard``) takes precedence over ``province``'s interval.
    ``plan_m3`` is the quarter's plan by calendar year.
    """

    province: str = ""
    quota_lpd: Annotated[float, Meta(gt=0.0, le=2000.0)] | None = None
    quota_standard: str = PROJECT_DEFAULT
    persons: Annotated[int, Meta(ge=0)] | None = None
    households: Annotated[int, Meta(ge=0)] | None = None
    tariff_id: str = "tariff.beijing"
    own_tariff: TariffRow | None = None
    surcharge_id: str = "surcharge.example"
    own_surcharge: SurchargeRow | None = None
    plan_m3: dict[str, Annotated[float, Meta(gt=0.0)]] = {}


class EscalationSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Whom an alert goes up to that no manager answers: ``noise`` to the bureau, ``water`` to the water office."""

    after_s: Annotated[int, Meta(ge=60, le=7 * 86_400)] | None = 1800
    """Seconds; ``None`` for never."""


class SiteSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """All settings of a site."""

    noise: NoiseSettings = NoiseSettings()
    water: WaterSettings = WaterSettings()
    escalation: EscalationSettings = EscalationSettings()
    country: Annotated[str, Meta(pattern="^[A-Z]{2}$")] = "CN"
    """Whose public holidays count."""


def parse_settings(raw: Mapping[str, Any]) -> SiteSettings:
    """Validate settings that are to be stored. Raises :class:`BadSettings`."""
    try:
        return msgspec.convert(dict(raw), SiteSettings)
    except msgspec.ValidationError as error:
        raise BadSettings(f"site settings: {error}") from None


def settings_of(site: Site) -> SiteSettings:
    """Return a site's settings. Raises :class:`BadSettings` for stored ones that are not understood."""
    if not site.settings:
        return _DEFAULTS
    return _parsed(msgspec.json.encode(site.settings))


@lru_cache(maxsize=20_000)
def _parsed(raw: bytes) -> SiteSettings:
    return parse_settings(msgspec.json.decode(raw))


_DEFAULTS = SiteSettings()
