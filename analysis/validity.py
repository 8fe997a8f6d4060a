"""Which hours of noise count, and why one does not (HJ 640, HJ 906: rain, wind, too little data). Pure.

The minimum shares of HJ 906-2017 could not be obtained; the numbers are the presets ``validity.*``, project defaults
that a site may change.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from analysis.site_settings import settings_of
from analysis.standards import standards
from store.registry.models import Site
from store.series.interface import NoiseHour

OK: Final = ""
_CAUSES: Final = (
    "rain", "wind", "snow", "lightning", "manual", "calibrating", "overload", "stuck", "settling", "clock_unsynced",
    "other",
)  # fmt: skip
"""Reasons for leaving time out, as flags of the seconds or as reasons of an exclusion."""


@dataclass(frozen=True, slots=True)
class Validity:
    """From which shares on an hour counts, and a day and a night are complete."""

    hour_share: float = 0.75
    day_share: float = 0.75
    night_share: float = 0.75

    @classmethod
    def of(cls, site: Site) -> Validity:
        """Return what holds at a site: its settings, else the presets."""
        own = settings_of(site).noise
        shipped = standards().number

        def pick(chosen: float | None, name: str) -> float:
            return shipped(f"validity.{name}") if chosen is None else chosen

        return cls(
            pick(own.hour_share, "hour_share"),
            pick(own.day_share, "day_share"),
            pick(own.night_share, "night_share"),
        )


def why_not(hour: NoiseHour | None, least_share: float) -> str:
    """Return why an hour does not count: ``""`` when it does, else a reason.

    ``no_data`` where nothing was measured; the name of what took most of the lost time (``rain``, ``wind``,
    ``overload`` and so on); ``gap`` where most of it was not measured at all.
    """
    if hour is None or hour.measured_s <= 0.0:
        return "no_data"
    if hour.laeq_db is not None and hour.valid_share >= least_share:
        return OK
    lost = {cause: hour.excluded_s.get(cause, 0.0) for cause in _CAUSES}
    lost["gap"] = max(0.0, 3600.0 - hour.measured_s)
    return max(lost, key=lambda cause: lost[cause])
