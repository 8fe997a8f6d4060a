"""Links into the API that return what a figure was made from. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime
from urllib.parse import urlencode

from analysis.report.words import utc


@dataclass(frozen=True, slots=True)
class Links:
    """Addresses of the API of one server. ``base_url`` is empty where it is not known: links are then paths."""

    base_url: str = ""

    def noise_seconds(self, site: str, device: str, start: datetime, end: datetime) -> str:
        """The seconds of a range, in pages."""
        return self._link("noise/seconds", site=site, device=device, start=utc(start), end=utc(end))

    def noise_days(self, site: str, device: str, first: date, last: date) -> str:
        """Ld and Ln of dates with their verdicts."""
        return self._link(
            "noise/days", site=site, device=device, first=first.isoformat(), last=last.isoformat()
        )

    def noise_hours(self, site: str, device: str, start: datetime, end: datetime) -> str:
        """The hours of a range."""
        return self._link("noise/hours", site=site, device=device, start=utc(start), end=utc(end))

    def water_hours(self, site: str, meter: str, start: datetime, end: datetime) -> str:
        """The hours of one meter."""
        return self._link("water/hours", site=site, meter=meter, start=utc(start), end=utc(end))

    def water_days(self, site: str, meter: str, first: date, last: date) -> str:
        """The days of one meter."""
        return self._link(
            "water/days", site=site, meter=meter, first=first.isoformat(), last=last.isoformat()
        )

    def alert(self, number: int) -> str:
        """One alert with its history."""
        return f"{self.base_url}/api/v1/alerts/{number}"

    def _link(self, path: str, **query: str | None) -> str:
        return f"{self.base_url}/api/v1/{path}?{urlencode({key: value for key, value in query.items() if value})}"
