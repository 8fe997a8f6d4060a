"""What a report is built from: measured days, hours, alerts, water, rules and presets of one quarter. Plain data."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date, datetime
from typing import Any

from analysis.calibrations import Calibration
from analysis.compliance import Finding
from analysis.days import NoiseDay, WaterDay
from analysis.exclusions import Span
from analysis.patterns import ProfileHour
from analysis.report.period import Period
from analysis.site_settings import SiteSettings
from analysis.standard_rows import Row, TariffRow
from analysis.validity import Validity
from analysis.water.account import QuarterAccount
from analysis.water.known import Loss
from analysis.water.quota import PerHead
from contract.sitetime import SiteClock
from store.registry.models import Site
from store.series.interface import NoiseHour


@dataclass(frozen=True, slots=True)
class InstrumentFacts:
    """One device: what it is, how it was calibrated, what happened to it in the period, by kind of event."""

    name: str
    label_zh: str
    label_en: str
    kind: str
    type_approved: bool
    version: str
    state: str
    calibration: Calibration | None
    events: Mapping[str, int]


@dataclass(frozen=True, slots=True)
class SourceFacts:
    """What one noise device measured.

    ``hours`` are the stored rows of the period and of its last night (without histograms), times left out cut away;
    ``findings`` are of everything that the site is judged by beside Ld and Ln.
    """

    device: InstrumentFacts
    days: tuple[NoiseDay, ...]
    hours: tuple[NoiseHour, ...]
    findings: tuple[Finding, ...]
    workdays: tuple[ProfileHour, ...]
    restdays: tuple[ProfileHour, ...]
    seconds: int
    """Seconds that are stored, from the first day's start to the last night's end."""
    revision: int
    """The highest revision of any of their hours."""


@dataclass(frozen=True, slots=True)
class AlertFacts:
    """One alert that was open in the period."""

    id: int
    kind: str
    source_zh: str
    source_en: str
    severity: str
    state: str
    since: datetime
    until: datetime | None
    peak: float | None
    limit: float | None
    acknowledged_at: datetime | None
    acknowledged_by: str | None


@dataclass(frozen=True, slots=True)
class QuarterWaterDay:
    """The quarter's water on one date: through the master meters, and through all others. Litres, ``None`` unknown."""

    date: date
    master_l: float | None
    master_share: float
    subs_l: float | None
    subs_share: float


@dataclass(frozen=True, slots=True)
class WaterOrigin:
    """What a day of a meter rests on: readings within it, and the highest revision of its hour rows."""

    readings: int = 0
    revision: int = 0


@dataclass(frozen=True, slots=True)
class MeterFacts:
    """One meter over the period: litres over the days that are known well enough, and how many these are."""

    name: str
    label_zh: str
    label_en: str
    role: str
    persons: int | None
    volume_l: float | None
    known_days: int
    days: tuple[WaterDay, ...]
    origins: tuple[WaterOrigin, ...]
    """One for each of ``days``."""


@dataclass(frozen=True, slots=True)
class TierFacts:
    """Households whose use of the tariff period stands in one tier, their volume and what it costs."""

    tier: int
    households: int
    volume_m3: float
    amount: float


@dataclass(frozen=True, slots=True)
class WaterFacts:
    """The quarter's water; ``known_days`` are the dates that count in the use per person."""

    measured_by: str
    meters: tuple[MeterFacts, ...]
    days: tuple[QuarterWaterDay, ...]
    known_days: int
    per_head: PerHead
    persons: int | None
    households: int
    litres_per_household_day: float | None
    loss: Loss
    year: QuarterAccount
    year_until: date
    tariff: TariffRow
    tariff_first: date
    tiers: tuple[TierFacts, ...]


@dataclass(frozen=True, slots=True)
class RuleFacts:
    """A rule as it was at the period's end, with all its parameters, and how often it changed within the period."""

    id: int
    kind: str
    enabled: bool
    version: int
    params: Mapping[str, Any]
    changes: int


@dataclass(frozen=True, slots=True)
class QuarterFacts:
    """Everything about one quarter in one period. ``data_until`` is the clock of the data when it was gathered."""

    site: Site
    clock: SiteClock
    settings: SiteSettings
    validity: Validity
    period: Period
    data_until: datetime
    sources: tuple[SourceFacts, ...]
    others: tuple[InstrumentFacts, ...]
    alerts: tuple[AlertFacts, ...]
    alerts_left_out: int
    water: WaterFacts | None
    rules: tuple[RuleFacts, ...]
    presets: tuple[Row, ...]
    left_out: tuple[Span, ...] = field(default=())

    @property
    def indicative(self) -> bool:
        """Whether any level is of an instrument that is not type approved."""
        return any(not one.device.type_approved for one in self.sources)
