"""Which limit a site has at a moment, and since when: its zone's, the bureau's own, or a quiet period's."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from typing import Literal
from zoneinfo import ZoneInfo

import msgspec

from analysis.site_settings import OwnLimits, QuietPeriod, settings_of
from analysis.standards import LimitRow, Verified, standards
from analysis.workdays import holiday_name, is_workday
from contract.sitetime import SiteClock
from store.registry.models import Site

LimitPeriod = Literal["day", "night"]
_DAY = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class Limit:
    """A site's limit on LAeq at a moment, dB, from ``since`` to ``until`` (UTC).

    ``standard``, ``edition``, ``clause`` and ``verified`` say where it comes from (see ``analysis.standards``).
    ``quiet_zh`` and ``quiet_en`` name the quiet period that lowers it, and are empty outside of one.
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
    quiet_zh: str = ""
    quiet_en: str = ""


def site_clock(site: Site) -> SiteClock:
    """Return the site's own time."""
    return SiteClock(site.timezone, site.day_starts_h, site.night_starts_h)


def present_limit(site: Site, t: datetime) -> Limit:
    """Return the limit that alerts at ``t`` are measured by: the day's or night's, lowered by a quiet period."""
    clock = site_clock(site)
    period = clock.period(t)
    day = clock.period_date(t)
    since, until = clock.day_bounds(day) if period == "day" else clock.night_bounds(day)
    row = period_limit(site, period, day)
    quiet: QuietPeriod | None = None
    for one, starts, ends in _quiet_times(site, since, until):
        if starts <= t < ends and one.limit_db < row.value:
            row, quiet = _quiet_row(row, one), one
        # Every border begins a new stretch, so that a window never mixes two limits.
        since = max([since, *(border for border in (starts, ends) if border <= t)])
        until = min([until, *(border for border in (starts, ends) if border > t)])
    return Limit(
        row.value, period, since, until, row.standard, row.edition, row.clause, row.verified, row,
        quiet.name_zh if quiet else "", quiet.name_en if quiet else "",
    )  # fmt: skip


def period_limit(site: Site, period: LimitPeriod, day: date) -> LimitRow:
    """Return the row that a whole day (Ld) or night (Ln) of ``day`` is judged by: the bureau's own, else the zone's."""
    zone = standards().limit(f"gb3096.class{site.zone_class}.{period}")
    own = settings_of(site).noise.own_limits if site.settings else None
    if own is None or not zone.holds_on(day):
        return zone
    return _own_row(zone, own, period)


def night_max_limit(site: Site) -> LimitRow:
    """Return the limit on the highest level at night: the night's limit + 15 dB (GB 3096-2008)."""
    row = standards().limit(f"gb3096.class{site.zone_class}.night_max")
    own = settings_of(site).noise.own_limits if site.settings else None
    if own is None:
        return row
    return msgspec.structs.replace(
        row,
        id=f"own.{site.zone_class}.night_max",
        value=own.night_db + 15.0,
        note_zh=own.standard,
        note_en=own.standard,
    )


def _own_row(zone: LimitRow, own: OwnLimits, period: LimitPeriod) -> LimitRow:
    return msgspec.structs.replace(
        zone, id=f"own.{period}", standard=own.standard, edition="-", clause=own.clause, source="set by the bureau",
        verified="K", title_zh=own.standard, title_en=own.standard, label_zh="生态环境部门自定限值",
        label_en="Limit set by the bureau", value=own.day_db if period == "day" else own.night_db,
        comparator=own.comparator, rounding=own.rounding,
    )  # fmt: skip


def _quiet_row(row: LimitRow, quiet: QuietPeriod) -> LimitRow:
    return msgspec.structs.replace(
        row, id=f"quiet.{row.period}", standard=quiet.standard, edition="-", clause="-", source="site settings",
        verified="K", label_zh=quiet.name_zh, label_en=quiet.name_en, value=quiet.limit_db,
    )  # fmt: skip


def _quiet_times(
    site: Site, since: datetime, until: datetime
) -> Iterator[tuple[QuietPeriod, datetime, datetime]]:
    """Yield each quiet period's times that overlap a stretch, the highest limit first."""
    if not site.settings:
        return
    settings = settings_of(site)
    zone = ZoneInfo(site.timezone)
    day = since.astimezone(zone).date()
    last = until.astimezone(zone).date()
    periods = sorted(settings.noise.quiet_periods, key=lambda one: -one.limit_db)
    while day <= last:
        for one in periods:
            if _applies(one, day, settings.country):
                starts, ends = (_local(day, clock, zone) for clock in (one.starts, one.ends))
                if starts < until and ends > since:
                    yield one, starts, ends
        day += _DAY


def _local(day: date, clock: str, zone: ZoneInfo) -> datetime:
    hour, minute = (int(part) for part in clock.split(":"))
    if hour == 24:
        day, hour = day + _DAY, 0
    return datetime.combine(day, time(hour, minute), zone).astimezone(UTC)


def _applies(quiet: QuietPeriod, day: date, country: str) -> bool:
    if (quiet.first_date and day < quiet.first_date) or (quiet.last_date and day > quiet.last_date):
        return False
    if quiet.days == "holidays":
        return holiday_name(day, country) is not None
    return quiet.days == "all" or is_workday(day, country) == (quiet.days == "workdays")
