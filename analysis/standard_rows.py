"""The kinds of rows that presets are made of, each with its origin, and how a value is rounded and compared."""

from __future__ import annotations

from datetime import date
from decimal import ROUND_HALF_EVEN, Decimal
from typing import Annotated, ClassVar, Final, Literal

import msgspec
from msgspec import Meta

Verified = Literal["V", "C", "K"]
Comparator = Literal["<=", "<", ">=", ">"]
Period = Literal["day", "night", "any"]
Verdict = Literal["pass", "fail"]

PROJECT_DEFAULT: Final = "project default"
"""``standard`` of a row that this project chose because no standard's number was to be had."""


class Row(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What every row of a preset carries. ``valid_to`` is the last day on which it held; ``None`` for still.

    ``verified`` speaks of the value: ``V`` checked against ``source``, ``C`` computed, ``K`` from knowledge. What is
    compared with the row's number meets it by ``comparator`` after being rounded to ``rounding`` (half to even,
    GB/T 8170; 0 for not at all).
    """

    id: str
    standard: str
    edition: str
    title_zh: str
    title_en: str
    clause: str
    valid_from: date
    source: str
    verified: Verified
    label_zh: str
    label_en: str
    valid_to: date | None = None
    comparator: Comparator = "<="
    rounding: float = 0.0
    note_zh: str = ""
    note_en: str = ""
    must_say: ClassVar[tuple[str, ...]] = ()
    """Fields whose default a row of a file may not rely on."""

    @property
    def project_default(self) -> bool:
        """Whether the number is this project's own and no standard's."""
        return self.standard == PROJECT_DEFAULT

    def holds_on(self, day: date) -> bool:
        """Whether the row was in force on ``day``."""
        return self.valid_from <= day and (self.valid_to is None or day <= self.valid_to)


class LimitRow(Row, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A limit on one quantity.

    ``applies_to`` is what the standard tells apart: a zone class, a kind of room. How to compare and to round must be
    said of each.
    """

    applies_to: str
    period: Period
    quantity: str
    value: float
    unit: str
    must_say: ClassVar[tuple[str, ...]] = ("comparator", "rounding")

    def rounded(self, measured: float) -> float:
        """Return ``measured`` as it is compared and shown."""
        return round_to(measured, self.rounding)

    def judge(self, measured: float) -> Verdict:
        """Say whether a measured value meets the limit."""
        return "pass" if meets(self.rounded(measured), self.comparator, self.value) else "fail"


class BandLimitRow(Row, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Limits on octave-band levels, dB: ``values[i]`` belongs to ``centres_hz[i]``."""

    applies_to: str
    period: Period
    centres_hz: tuple[float, ...]
    values: tuple[float, ...]
    must_say: ClassVar[tuple[str, ...]] = ("comparator", "rounding")


class CorrectionStep(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """From ``at_least`` to ``at_most`` (none: without end) the correction is ``value``, dB."""

    at_least: float
    value: float
    at_most: float | None = None


class CorrectionRow(Row, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A table of corrections by a difference that is first rounded; below ``least_difference`` there is none."""

    least_difference: float
    steps: tuple[CorrectionStep, ...]
    must_say: ClassVar[tuple[str, ...]] = ("rounding",)

    def correction(self, difference: float) -> float | None:
        """Return the correction for a difference, dB, or ``None`` where the measurement is not usable."""
        rounded = round_to(difference, self.rounding)
        if rounded < self.least_difference:
            return None
        return next(
            s.value
            for s in self.steps
            if s.at_least <= rounded and (s.at_most is None or rounded <= s.at_most)
        )


class GradeRow(Row, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Grades by upper bounds (inclusive); the last grade has none."""

    applies_to: str
    period: Period
    up_to: tuple[float, ...]
    grades_zh: tuple[str, ...]
    grades_en: tuple[str, ...]
    must_say: ClassVar[tuple[str, ...]] = ("rounding",)

    def grade(self, measured: float) -> int:
        """Return the grade of a value, 1 for the best."""
        rounded = round_to(measured, self.rounding)
        return 1 + sum(1 for bound in self.up_to if rounded > bound)


class QuotaRow(Row, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Domestic water per person, litres a day: the interval from which a city picks its value, or a bound alone."""

    highest_lpd: float
    lowest_lpd: float | None = None
    provinces_zh: tuple[str, ...] = ()
    provinces_en: tuple[str, ...] = ()


Price = Annotated[float, Meta(ge=0.0)]


class Tier(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One tier of a tariff: ``parts`` are the price parts, currency per m³. The last tier has no ``up_to_m3``."""

    parts: dict[str, Price]
    up_to_m3: float | None = None

    @property
    def price(self) -> float:
        """All parts together, per m³."""
        return float(sum((Decimal(str(part)) for part in self.parts.values()), Decimal(0)))


class TariffRow(Row, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A tariff for households: tiers by volume per household and ``period``.

    A household of more than ``persons_included`` gets ``extra_m3_per_person`` for each further person in every bounded
    tier.
    """

    period: Literal["month", "two_months", "year"]
    currency: str
    tiers: tuple[Tier, ...]
    persons_included: int | None = None
    extra_m3_per_person: float = 0.0

    def __post_init__(self) -> None:
        bounds = [tier.up_to_m3 for tier in self.tiers]
        if not bounds or bounds[-1] is not None or None in bounds[:-1]:
            raise ValueError("every tier but the last needs up_to_m3, and the last has none")
        known = [bound for bound in bounds if bound is not None]
        if known != sorted(set(known)):
            raise ValueError("up_to_m3 must rise from tier to tier")


class SurchargeStep(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """On the volume above the plan up to ``up_to_share`` of the plan, ``rate`` times the price is added."""

    rate: float
    up_to_share: float | None = None


class SurchargeRow(Row, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A progressive surcharge above a plan, on one part of the price."""

    on_part: str
    steps: tuple[SurchargeStep, ...]


class NumberRow(Row, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One number."""

    value: float
    unit: str


def meets(measured: float, comparator: Comparator, value: float) -> bool:
    """Compare as the preset says: ``<=`` passes at the limit, ``<`` does not."""
    match comparator:
        case "<=":
            return measured <= value
        case "<":
            return measured < value
        case ">=":
            return measured >= value
        case ">":
            return measured > value


def round_to(measured: float, step: float) -> float:
    """Round to a multiple of ``step``, half to even as GB/T 8170 wants; ``step`` 0 leaves it as it is."""
    if step == 0.0:
        return measured
    unit = Decimal(str(step))
    return float((Decimal(str(measured)) / unit).quantize(Decimal(1), ROUND_HALF_EVEN) * unit)
