"""From the store to rows for the platform: hours, days, minutes and live levels of one station."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

import numpy as np

from analysis.days import noise_days
from analysis.exclusions import Span, cut_hours
from analysis.limits import site_clock
from api.uplinks.hj212.message import Group, content
from api.uplinks.hj212.profile import Kind, Profile
from api.uplinks.hj212.queue import Row
from contract.flags import NOISE_EXCLUDED
from store.registry.models import Site
from store.series.interface import NoiseHour, SeriesStore

VALID_SHARE: Final = 0.75
"""Below this share of valid time data go out with the flag ``D`` (fault) instead of ``N`` (normal): project default."""
_HOUR_KEYS: Final = ("laeq_db", "l5_db", "l10_db", "l50_db", "l90_db", "l95_db", "lafmax_db", "lafmin_db")
_LEVELS: Final = {"l5_db": 95, "l10_db": 90, "l50_db": 50, "l90_db": 10, "l95_db": 5}
_PRIORITY: Final[Mapping[Kind, int]] = {"hour": 0, "day": 0, "minute": 1, "live": 1}


@dataclass(frozen=True, slots=True)
class Station:
    """A device as the platform knows it: by its ``mn``."""

    site: str
    device: str
    mn: str


def hour_rows(
    profile: Profile, series: SeriesStore, station: Station, start: datetime, end: datetime, left_out: Sequence[Span]
) -> Iterator[Row]:  # fmt: skip
    """Yield the hours that are over, have been computed and hold data.

    They go out as measured; an hour of which too much is ``left_out`` (weather, by hand) carries the flag ``D``.
    """
    hours = series.noise_rollups(start, end, site=station.site, source=station.device)
    for one, rest in zip(hours, cut_hours(series, hours, left_out), strict=True):
        if one.laeq_db is not None:
            yield _row(profile, station, "hour", one.t, _hour_values(one), _flag(rest.valid_share))


def day_rows(
    profile: Profile, series: SeriesStore, station: Station, site: Site, now: datetime, days: int,
    left_out: Sequence[Span],
) -> Iterator[Row]:  # fmt: skip
    """Yield the dates whose night is over, of the last ``days``: Ld and Ln as on the page, without ``left_out``."""
    clock = site_clock(site)
    last = clock.period_date(now) - timedelta(days=1)
    while clock.night_bounds(last)[1] > now:
        last -= timedelta(days=1)
    first = last - timedelta(days=days - 1)
    for one in noise_days(series, clock, site, station.device, first, last, now=now, exclusions=left_out):
        if one.day.laeq_db is None and one.night.laeq_db is None:
            continue
        values = {"ld_db": one.day.laeq_db, "ln_db": one.night.laeq_db}
        t = datetime(one.date.year, one.date.month, one.date.day, tzinfo=profile.zone)
        share = min(one.day.valid_share, one.night.valid_share)
        yield _row(profile, station, "day", t, values, _flag(share))


def minute_row(
    profile: Profile, series: SeriesStore, station: Station, start: datetime, minutes: int
) -> Row | None:
    """Return the data of ``minutes`` from ``start`` on, or ``None`` where nothing valid was measured.

    LN is taken from the LAF samples of the valid seconds.
    """
    end = start + timedelta(minutes=minutes)
    table = series.noise_seconds(station.site, station.device, start, end, limit=minutes * 60)
    valid = ~(np.array(table.flags, dtype=np.int64) & int(NOISE_EXCLUDED)).astype(bool)
    if not valid.any():
        return None
    weights = np.array(table.measured_ms, dtype=float)[valid]
    energy = np.average(10.0 ** (np.array(table.laeq_db)[valid] / 10.0), weights=weights)
    laf = np.array(table.laf_db)[valid]
    values = {
        "laeq_db": float(10.0 * np.log10(energy)),
        "lafmax_db": float(np.array(table.lafmax_db)[valid].max()),
        "lafmin_db": float(np.array(table.lafmin_db)[valid].min()),
        **{key: float(np.percentile(laf, q)) for key, q in _LEVELS.items()},
    }
    share = float(weights.sum()) / (minutes * 60_000.0)
    return _row(profile, station, "minute", start, values, _flag(share))


def live_groups(
    profile: Profile, series: SeriesStore, station: Station, now: datetime, window: timedelta
) -> Sequence[Group] | None:
    """Return CP of the newest second within ``window``, or ``None`` where there is none."""
    table = series.noise_seconds(station.site, station.device, now - window, now, limit=10_000)
    if not table.t:
        return None
    flag = "D" if table.flags[-1] & int(NOISE_EXCLUDED) else "N"
    levels = profile.groups("live", {"laf_db": table.laf_db[-1], "laeq_db": table.laeq_db[-1]}, flag)
    return [{"DataTime": time_text(profile, table.t[-1])}, *levels]


def time_text(profile: Profile, t: datetime) -> str:
    """Return a time as packets write it."""
    return f"{t.astimezone(profile.zone):%Y%m%d%H%M%S}"


def _row(
    profile: Profile, station: Station, kind: Kind, t: datetime, values: Mapping[str, float | None], flag: str
) -> Row:
    at = time_text(profile, t)
    groups = [{"DataTime": at}, *profile.groups(kind, values, flag)]
    return Row(station.mn, profile.commands[kind], at, content(groups), _PRIORITY[kind])


def _hour_values(one: NoiseHour) -> dict[str, float | None]:
    return {key: getattr(one, key) for key in _HOUR_KEYS}


def _flag(valid_share: float) -> str:
    return "N" if valid_share >= VALID_SHARE else "D"
