"""Figures of many points: hit rates by class, a city's mean level and grade (HJ 640-2012). Pure.

Grades are of a whole city; they are never the pass or fail of one quarter.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

from analysis.standard_rows import GradeRow, round_to
from analysis.standards import standards


@dataclass(frozen=True, slots=True)
class PointTime:
    """One point judged once, by day or by night; what was incomplete is not given."""

    zone_class: str
    period: Literal["day", "night"]
    passed: bool


@dataclass(frozen=True, slots=True)
class HitRate:
    """Passing point-times of measured ones; ``percent`` has one decimal (``None`` for nothing measured)."""

    passed: int
    measured: int

    @property
    def percent(self) -> float | None:
        """Passed / measured × 100 %."""
        return round_to(100.0 * self.passed / self.measured, 0.1) if self.measured else None


def hit_rates(points: Iterable[PointTime]) -> dict[tuple[str, str], HitRate]:
    """Return the hit rates (达标率) by (class, period), and by ("all", period)."""
    passed: dict[tuple[str, str], int] = defaultdict(int)
    measured: dict[tuple[str, str], int] = defaultdict(int)
    for one in points:
        for zone in (one.zone_class, "all"):
            measured[zone, one.period] += 1
            passed[zone, one.period] += one.passed
    return {key: HitRate(passed[key], count) for key, count in measured.items()}


def area_mean_db(levels_db: Sequence[float]) -> float:
    """Return the city's mean over grid points: arithmetic, as HJ 640 asks. Raises ``ValueError`` for no point."""
    if not levels_db:
        raise ValueError("a mean needs at least one point")
    return math.fsum(levels_db) / len(levels_db)


def road_mean_db(sections: Sequence[tuple[float, float]]) -> float:
    """Return the mean over road sections (level dB, length), weighted with their lengths (HJ 640)."""
    total = math.fsum(length for _, length in sections)
    if total <= 0.0:
        raise ValueError("a mean over roads needs sections with a length")
    return math.fsum(level * length for level, length in sections) / total


def grade(
    mean_db: float, what: Literal["area", "road"], period: Literal["day", "night"]
) -> tuple[int, str, str]:
    """Return the grade of a city's mean (1 is best) and its name in Chinese and English."""
    row = standards().get(f"hj640.{what}.{period}", GradeRow)
    number = row.grade(mean_db)
    return number, row.grades_zh[number - 1], row.grades_en[number - 1]
