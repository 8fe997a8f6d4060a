"""Which limit a site has at a moment, and since when."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime
from typing import Literal

from analysis.standards import LimitRow, Verified, standards
from contract.sitetime import SiteClock
from store.registry.models import Site

LimitPeriod = Literal["day", "night"]


@dataclass(frozen=True, slots=True)
class Limit:
    """A site's limit on LAeq at a moment, dB, from ``since`` to ``until`` (UTC).

    ``standard``, ``edition``, ``clause`` and ``verified`` say where it comes from (see ``analysis.standards``).
    """

    value_db: float
    period: LimitPeriod
    since: datetime
    until: datetime
    standard: str
    edition: str
    clause: str
    verified: Verified
    row: LimitRow


def site_clock(site: Site) -> SiteClock:
    """Return the site's own time."""
    return SiteClock(site.timezone, site.day_starts_h, site.night_starts_h)


def present_limit(site: Site, t: datetime) -> Limit:
    """Return the limit of the site's GB 3096 zone for the day or night that ``t`` lies in."""
    clock = site_clock(site)
    period = clock.period(t)
    day = clock.period_date(t)
    since, until = clock.day_bounds(day) if period == "day" else clock.night_bounds(day)
    row = period_limit(site, period, day)
    return Limit(row.value, period, since, until, row.standard, row.edition, row.clause, row.verified, row)


def period_limit(site: Site, period: LimitPeriod, day: date) -> LimitRow:  # noqa: ARG001 - by date from GB 3096's next edition on
    """Return the row that a whole day (Ld) or night (Ln) of a date is judged by."""
    return standards().limit(f"gb3096.class{site.zone_class}.{period}")
