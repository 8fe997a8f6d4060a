"""A day and its night against any preset: findings, each with the row that it is judged by and why. Pure.

A finding needs a complete day or night. A single maximum at night is different: one that is too high is a finding
whatever else is missing, one that is not needs a complete night.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date

from analysis.days import NoiseDay, PeriodVerdict
from analysis.energy import energy_mean
from analysis.limits import night_max_limit
from analysis.site_settings import settings_of
from analysis.standards import LimitRow, standards
from store.registry.models import Site


@dataclass(frozen=True, slots=True)
class Finding:
    """One quantity of one date against one row. ``measured_db`` has full precision; ``shown_db`` is as compared."""

    date: date
    row: LimitRow
    measured_db: float | None
    shown_db: float | None
    verdict: PeriodVerdict
    reason: str


def findings(day: NoiseDay, site: Site) -> list[Finding]:
    """Judge a date by everything that the site is judged by: its limits, the night's maximum, ``also_judged``."""
    rows = [day.day.limit, day.night.limit, night_max_limit(site)]
    rows += preset_rows(settings_of(site).noise.also_judged, day.date)
    return [judge(day, row) for row in rows]


def preset_rows(prefixes: Iterable[str], on: date) -> list[LimitRow]:
    """Return the rows of presets that a day can be judged by and that were in force on a date."""
    return [row for prefix in prefixes for row in standards().limits(prefix, on) if _is_of_a_day(row)]


def judge(day: NoiseDay, row: LimitRow) -> Finding:
    """Judge a date by one row. Raises ``ValueError`` for a quantity that a day does not have."""
    measured, reason = measured_for(day, row)
    shown = None if measured is None else row.rounded(measured)
    if measured is None:
        return Finding(day.date, row, None, None, "incomplete", reason or "no_data")
    if reason and not (row.quantity == "lafmax_db" and row.judge(measured) == "fail"):
        return Finding(day.date, row, measured, shown, "incomplete", reason)
    return Finding(day.date, row, measured, shown, row.judge(measured), "")


def measured_for(day: NoiseDay, row: LimitRow) -> tuple[float | None, str]:
    """Return a date's value for a row's quantity and period, and why it is not complete (``""`` when it is)."""
    night = row.period == "night"
    period = day.night if night else day.day
    match row.quantity:
        case "ld_db" | "ln_db" | "leq_db":
            return period.laeq_db, period.reason
        case "lafmax_db":
            return period.stats.lafmax_db, period.reason
        case "ldn_db":
            return day.ldn_db, "" if day.ldn_db is not None else "too_few_valid_hours"
        case "lden_db":
            return day.lden_db, "" if day.lden_db is not None else "too_few_valid_hours"
        case "lnight_db":
            return day.lnight_db, "" if day.lnight_db is not None else "too_few_valid_hours"
    raise ValueError(f"{row.id}: a day has no quantity {row.quantity!r}")


def area_mean(days: Iterable[NoiseDay], row: LimitRow) -> Finding:
    """Judge the energy mean over a quarter's points on one date, as the quiet-quarter texts ask for.

    Every point must be complete. Raises ``ValueError`` for no point at all.
    """
    points = list(days)
    if not points:
        raise ValueError("an area mean needs at least one point")
    measured = [measured_for(day, row) for day in points]
    levels = [value for value, _ in measured if value is not None]
    reason = next((why for _, why in measured if why), "")
    mean = energy_mean(levels)
    if mean is None or reason:
        return Finding(
            points[0].date, row, mean, mean and row.rounded(mean), "incomplete", reason or "no_data"
        )
    return Finding(points[0].date, row, mean, row.rounded(mean), row.judge(mean), "")


def _is_of_a_day(row: LimitRow) -> bool:
    return row.quantity in ("ld_db", "ln_db", "leq_db", "lafmax_db", "ldn_db", "lden_db", "lnight_db")
