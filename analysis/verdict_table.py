"""The verdicts of many sources over many dates at once, for a city's month. Pure but for one question to the store.

Says the same as :func:`analysis.days.noise_days` date by date, which also says why; this is the table that a bureau
begins with.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Final, Literal

import numpy as np

from analysis.days import PeriodVerdict, noise_days
from analysis.exclusions import Span
from analysis.limits import period_limit, site_clock
from analysis.standards import LimitRow
from analysis.validity import Validity
from contract.sitetime import SiteClock
from store.registry.models import Site
from store.series.interface import SeriesStore

_HOUR: Final = timedelta(hours=1)
_HALVES: Final[tuple[Literal["day", "night"], ...]] = ("day", "night")


@dataclass(frozen=True, slots=True)
class SourceVerdicts:
    """Verdicts of one source, one a date: of its day, and of the night that begins on it."""

    site: str
    source: str
    day: Sequence[PeriodVerdict]
    night: Sequence[PeriodVerdict]


def verdict_table(
    series: SeriesStore, sites: Sequence[Site], first_date: date, last_date: date, *, now: datetime,
    exclusions: Mapping[str, Sequence[Span]] | None = None,
) -> list[SourceVerdicts]:  # fmt: skip
    """Judge each date from ``first_date`` to ``last_date`` at every source that has hour rows, sorted by name.

    ``exclusions`` by site are times to be left out; their sites take longer, because such hours are read anew from the
    seconds.
    """
    dates = [first_date + timedelta(days=n) for n in range((last_date - first_date).days + 1)]
    groups: dict[tuple[SiteClock, Validity], dict[str, Site]] = defaultdict(dict)
    for site in sites:
        groups[site_clock(site), Validity.of(site)][site.name] = site
    found: list[SourceVerdicts] = []
    for (clock, validity), members in groups.items():
        for one in _group(series, clock, validity, members, dates, now):
            spans = (exclusions or {}).get(one.site)
            found.append(_by_days(series, clock, members[one.site], one, dates, now, spans) if spans else one)
    return sorted(found, key=lambda one: (one.site, one.source))


def _group(
    series: SeriesStore, clock: SiteClock, validity: Validity, members: Mapping[str, Site], dates: Sequence[date],
    now: datetime,
) -> list[SourceVerdicts]:  # fmt: skip
    periods = [clock.day_bounds(one) for one in dates] + [clock.night_bounds(one) for one in dates]
    only = next(iter(members)) if len(members) == 1 else None
    table = series.noise_periods(periods, hour_share=validity.hour_share, site=only)
    shares = [validity.day_share] * len(dates) + [validity.night_share] * len(dates)
    least = np.array([
        np.inf if now < end else max(share * round((end - start) / _HOUR), 1e-9)
        for (start, end), share in zip(periods, shares, strict=True)
    ])  # fmt: skip
    return [
        SourceVerdicts(site, source, verdicts[: len(dates)], verdicts[len(dates) :])
        for site, source, period, laeq_db, counted in _by_source(
            table.site, table.source, np.array(table.period, dtype=np.int64), np.array(table.laeq_db),
            np.array(table.counted),
        )
        if site in members
        for verdicts in [_judged(members[site], dates, period, laeq_db, counted >= least[period])]
    ]  # fmt: skip


def _by_source(
    site: Sequence[str], source: Sequence[str], *columns: np.ndarray
) -> list[tuple[str, str, np.ndarray, np.ndarray, np.ndarray]]:
    names = list(zip(site, source, strict=True))
    begins = [n for n, name in enumerate(names) if n == 0 or name != names[n - 1]]
    ends = [*begins[1:], len(names)]
    return [(*names[a], *(one[a:b] for one in columns)) for a, b in zip(begins, ends, strict=False)]  # type: ignore[misc]


def _judged(
    site: Site, dates: Sequence[date], period: np.ndarray, laeq_db: np.ndarray, complete: np.ndarray
) -> list[PeriodVerdict]:
    verdicts: list[PeriodVerdict] = ["incomplete"] * (2 * len(dates))
    for half, offset in zip(_HALVES, (0, len(dates)), strict=True):
        for row, since, until in _limits(site, half, dates):
            chosen = complete & (period >= offset + since) & (period < offset + until)
            for at, passed in zip(period[chosen].tolist(), _meets(row, laeq_db[chosen]), strict=True):
                verdicts[at] = "pass" if passed else "fail"
    return verdicts


def _limits(
    site: Site, half: Literal["day", "night"], dates: Sequence[date]
) -> list[tuple[LimitRow, int, int]]:
    """Return the row that holds, and of which dates, by index: one for nearly every month."""
    found: list[tuple[LimitRow, int, int]] = []
    first, last = period_limit(site, half, dates[0]), period_limit(site, half, dates[-1])
    if first == last:
        return [(first, 0, len(dates))]
    for n, one in enumerate(dates):
        row = period_limit(site, half, one)
        if found and found[-1][0] == row:
            found[-1] = (row, found[-1][1], n + 1)
        else:
            found.append((row, n, n + 1))
    return found


def _meets(row: LimitRow, levels_db: np.ndarray) -> list[bool]:
    """Judge levels; only those near the limit need the standard's exact rounding."""
    near = np.abs(levels_db - row.value) <= 2 * max(row.rounding, 0.1)
    below, above = row.judge(row.value - 10.0) == "pass", row.judge(row.value + 10.0) == "pass"
    passed = np.where(levels_db < row.value, below, above)
    passed[near] = [row.judge(one) == "pass" for one in levels_db[near].tolist()]
    return passed.tolist()


def _by_days(
    series: SeriesStore, clock: SiteClock, site: Site, one: SourceVerdicts, dates: Sequence[date], now: datetime,
    spans: Sequence[Span],
) -> SourceVerdicts:  # fmt: skip
    days = noise_days(
        series, clock, site, one.source, dates[0], dates[-1], now=now, exclusions=spans
    )  # fmt: skip
    return SourceVerdicts(
        one.site, one.source, [day.day.verdict for day in days], [day.night.verdict for day in days]
    )
