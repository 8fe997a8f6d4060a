"""A site's own time: day and night, and the date that a night belongs to.

Day is 06:00–22:00 and night 22:00–06:00 unless the site says otherwise (GB 3096-2008, 3.4). A night belongs to
the date on which it begins (a project rule: the standards seen do not say).
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from typing import Literal
from zoneinfo import ZoneInfo

Period = Literal["day", "night"]


@dataclass(frozen=True, slots=True)
class SiteClock:
    """Zone and day/night borders of a site; borders are whole hours, day first then night.

    Raises ``ValueError`` for borders that do not make a day and a night. Of a border that the change to daylight
    saving leaves out, the first instant after the gap counts; of one that happens twice, the first.
    """

    zone: str = "Asia/Shanghai"
    day_starts_h: int = 6
    night_starts_h: int = 22

    def __post_init__(self) -> None:
        if not 0 <= self.day_starts_h < self.night_starts_h <= 23:
            raise ValueError(
                "day must start before night, both at whole hours from 0 to 23, "
                f"not {self.day_starts_h} and {self.night_starts_h}"
            )

    def local(self, t: datetime) -> datetime:
        """Return ``t`` in the site's zone."""
        return t.astimezone(ZoneInfo(self.zone))

    def period(self, t: datetime) -> Period:
        """Say whether ``t`` lies in the site's day or night."""
        return "day" if self.day_starts_h <= self.local(t).hour < self.night_starts_h else "night"

    def period_date(self, t: datetime) -> date:
        """Return the date of the day or night that ``t`` lies in; a night has the date on which it begins."""
        local = self.local(t)
        if local.hour < self.day_starts_h:
            return local.date() - timedelta(days=1)
        return local.date()

    def day_bounds(self, day: date) -> tuple[datetime, datetime]:
        """Return the start and the end of a date's day period, UTC."""
        return self._at(day, self.day_starts_h), self._at(day, self.night_starts_h)

    def night_bounds(self, day: date) -> tuple[datetime, datetime]:
        """Return the start and the end of the night that begins on a date, UTC."""
        return self._at(day, self.night_starts_h), self._at(day + timedelta(days=1), self.day_starts_h)

    def midnight(self, day: date) -> datetime:
        """Return the calendar day's start, UTC."""
        return self._at(day, 0)

    def _at(self, day: date, hour: int) -> datetime:
        return datetime.combine(day, time(hour), ZoneInfo(self.zone)).astimezone(UTC)


def floor_hour(t: datetime) -> datetime:
    """Return the start of the UTC hour of ``t``."""
    return t.replace(minute=0, second=0, microsecond=0)
