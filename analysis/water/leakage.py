"""Water that is lost: CJJ 92's rates for a supplier, the plain balance for a quarter. Pure.

R_BL is defined for a whole supplier and year. A quarter's balance is called a loss share and never R_BL.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from analysis.standards import standards

LossGrade = Literal["ok", "info", "warn", "alarm"]


@dataclass(frozen=True, slots=True)
class SupplierYear:
    """What CJJ 92-2016 needs of a supplier's year.

    ``household_share`` is the share (0 to 1) of the water that is read at households; ``frost_depth_m`` the greatest
    depth to which the ground freezes.
    """

    supplied_m3: float
    registered_m3: float
    household_share: float
    pipe_km: float
    outlet_pressure_mpa: float
    frost_depth_m: float


@dataclass(frozen=True, slots=True)
class LeakageRate:
    """Rates as shares (0.12 is 12 %): gross R_WL, the four corrections, and R_BL = R_WL − R_n."""

    gross: float
    r1_households: float
    r2_pipes: float
    r3_pressure: float
    r4_frost: float
    evaluated: float
    grade: Literal["first", "second", "none"]

    @property
    def correction(self) -> float:
        """R_n, the sum of the four."""
        return self.r1_households + self.r2_pipes + self.r3_pressure + self.r4_frost


def leakage_rate(year: SupplierYear) -> LeakageRate:
    """Return a supplier's rate by CJJ 92-2016. Raises ``ValueError`` where nothing was supplied."""
    if year.supplied_m3 <= 0.0:
        raise ValueError("a leakage rate needs water that was supplied")
    number = standards().number
    gross = (year.supplied_m3 - year.registered_m3) / year.supplied_m3
    r1 = number("cjj92.r1_factor") * year.household_share
    most = number("cjj92.r2_most")
    length = year.pipe_km / (year.supplied_m3 / 10_000.0)
    r2 = min(most, max(-most, number("cjj92.r2_factor") * (length - number("cjj92.r2_zero"))))
    r3 = _pressure_correction(year.outlet_pressure_mpa)
    r4 = number("cjj92.r4") if year.frost_depth_m > number("cjj92.r4_depth_m") else 0.0
    evaluated = gross - r1 - r2 - r3 - r4
    first, second = number("cjj92.grade1"), number("cjj92.grade2")
    grade = "first" if evaluated <= first else "second" if evaluated <= second else "none"
    return LeakageRate(gross, r1, r2, r3, r4, evaluated, grade)


def _pressure_correction(mpa: float) -> float:
    for bound in ("0_75", "0_55", "0_35"):
        if mpa > float(bound.replace("_", ".")):
            return standards().number(f"cjj92.r3_above_{bound}")
    return 0.0


@dataclass(frozen=True, slots=True)
class Balance:
    """A quarter's water: what the master meter let in, what the sub-meters know of, and the share between.

    ``known_share`` is the share of sub-meters with a known volume; below 1 the loss is an upper bound, since the
    unknown ones' use counts as lost. ``grade`` is ``None`` unless all are known.
    """

    master_l: float
    sub_l: float
    lost_l: float
    lost_share: float
    known_share: float
    grade: LossGrade | None


def balance(master_l: float, subs_l: Sequence[float | None]) -> Balance:
    """Balance a quarter over one time span. Raises ``ValueError`` where the master meter let nothing in."""
    if master_l <= 0.0:
        raise ValueError("a balance needs water through the master meter")
    known = [volume for volume in subs_l if volume is not None]
    lost = master_l - sum(known)
    share = lost / master_l
    known_share = len(known) / len(subs_l) if subs_l else 0.0
    return Balance(
        master_l, sum(known), lost, share, known_share, grade(share) if known_share == 1.0 else None
    )


def grade(lost_share: float) -> LossGrade:
    """Return how serious a quarter's loss is, by the presets ``quarter.loss.*`` (project defaults)."""
    for name in ("alarm", "warn", "info"):
        if lost_share >= standards().number(f"quarter.loss.{name}"):
            return name
    return "ok"
