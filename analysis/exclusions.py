"""Times that are left out of noise averages after the fact: bad weather, or by hand with a reason.

What a device flags by itself (its own rain or wind sensor) is left out by the store already. Here come the site's
weather station, which reports by ``weather`` events over MQTT, and the exclusions that a person makes.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Final

from sqlalchemy import select
from sqlalchemy.orm import Session

from analysis.energy import energy_mean
from analysis.standards import standards
from store.registry.models import Device, Exclusion
from store.series.interface import EventRow, NoiseHour, NoiseWindow, SeriesStore

REASONS: Final = ("rain", "snow", "lightning", "wind", "other")
_HOUR: Final = timedelta(hours=1)
_MINUTE: Final = timedelta(minutes=1)
_LONGEST: Final = timedelta(days=31)


class BadExclusion(ValueError):
    """An exclusion that cannot be made; the message says why."""


@dataclass(frozen=True, slots=True)
class Span:
    """From ``start`` to ``end`` (UTC) what ``source`` measured (``None``: every device of the site) is left out."""

    start: datetime
    end: datetime
    reason: str
    source: str | None = None


def spans_of(session: Session, series: SeriesStore, site: str, start: datetime, end: datetime) -> list[Span]:
    """Return everything that is left out of a site's range: by hand and by its weather station."""
    hand_made = [span for _, span in by_hand(session, start, end, site=site)]
    holds = timedelta(seconds=standards().number("validity.weather_holds"))
    events = series.events(start - holds, end, site=site, kind="weather", limit=100_000)
    return hand_made + weather_spans(events, end)


def by_hand(
    session: Session, start: datetime, end: datetime, *, site: str | None = None
) -> list[tuple[str, Span]]:
    """Return what people left out of a range, with its site; of every site without ``site``."""
    query = select(Exclusion).where(
        Exclusion.starts_at < end, Exclusion.ends_at > start, Exclusion.revoked_at.is_(None)
    )
    if site is not None:
        query = query.where(Exclusion.site == site)
    return [
        (row.site, Span(row.starts_at, row.ends_at, row.reason, row.source))
        for row in session.scalars(query.order_by(Exclusion.id))
    ]


def exclude(
    session: Session, *, site: str, starts_at: datetime, ends_at: datetime, reason: str, who: str, now: datetime,
    source: str | None = None, note: str = "",
) -> Exclusion:  # fmt: skip
    """Leave a time out of a site's averages by hand. The readings stay. Raises :class:`BadExclusion`."""
    length = ends_at - starts_at
    if reason not in REASONS:
        raise BadExclusion(f"the reason must be one of {', '.join(REASONS)}, not {reason!r}")
    if reason == "other" and not note.strip():
        raise BadExclusion("say why in the note where the reason is 'other'")
    if not timedelta(0) < length <= _LONGEST:
        raise BadExclusion(f"an exclusion ends after it starts and lasts {_LONGEST.days} days at most")
    if source is not None and session.get(Device, (site, source)) is None:
        raise BadExclusion(f"there is no device {source!r} at {site!r}")
    row = Exclusion(
        site=site, source=source, starts_at=starts_at, ends_at=ends_at, reason=reason, note=note.strip()[:200],
        created_by=who, created_at=now,
    )  # fmt: skip
    session.add(row)
    session.flush()
    return row


def revoke(session: Session, exclusion_id: int, now: datetime) -> Exclusion:
    """Let a time count again; the row stays with when that was. Raises ``LookupError`` for an unknown one."""
    row = session.get(Exclusion, exclusion_id)
    if row is None:
        raise LookupError(f"there is no exclusion {exclusion_id}")
    row.revoked_at = row.revoked_at or now
    session.flush()
    return row


def weather_spans(events: Iterable[EventRow], end: datetime) -> list[Span]:
    """Turn a weather station's events into spans. Pure.

    ``detail`` has ``wind_ms``, either ``rain`` (true or false) or ``rain_mm_h``, and ``snow`` and ``lightning`` where
    the station knows them. An observation holds until the
    next one, at most for the preset ``validity.weather_holds``; wind counts from ``validity.wind_ms`` on.
    """
    holds = timedelta(seconds=standards().number("validity.weather_holds"))
    limit_ms = standards().number("validity.wind_ms")
    ordered = sorted(events, key=lambda one: one.t)
    spans: list[Span] = []
    for one, following in zip(ordered, [*ordered[1:], None], strict=False):
        until = min(one.t + holds, following.t if following else end)
        reason = _bad_weather(one, limit_ms)
        if reason and until > one.t:
            if spans and spans[-1].end == one.t and spans[-1].reason == reason:
                spans[-1] = replace(spans[-1], end=until)
            else:
                spans.append(Span(one.t, until, reason))
    return spans


def cut_hours(series: SeriesStore, rows: Sequence[NoiseHour], spans: Sequence[Span]) -> list[NoiseHour]:
    """Return hour rows without ``spans``: level, maximum and valid time of a row that one touches are of the rest.

    What is left is read from the seconds again; once retention has deleted those, from the whole minutes. Percentiles
    of such an hour are left out rather than guessed: its histogram cannot be cut.
    """
    if not spans:
        return list(rows)
    return [_cut(series, row, touching) if (touching := _touching(row, spans)) else row for row in rows]


def _touching(row: NoiseHour, spans: Sequence[Span]) -> list[Span]:
    end = row.t + _HOUR
    return [s for s in spans if s.start < end and s.end > row.t and s.source in (None, row.source)]


def _cut(series: SeriesStore, row: NoiseHour, spans: Sequence[Span]) -> NoiseHour:
    remaining = _remaining(row.t, row.t + _HOUR, spans)
    left = [
        window
        for start, end in remaining
        for window in series.noise_windows(start, end, site=row.site)
        if window.source == row.source
    ]
    if all(window.last_t is None for window in left):
        left = [window for start, end in remaining for window in _minutes(series, row, start, end)]
    valid = [window for window in left if window.laeq_db is not None]
    excluded = dict(row.excluded_s)
    for span in spans:
        seconds = (min(span.end, row.t + _HOUR) - max(span.start, row.t)).total_seconds()
        excluded[span.reason] = excluded.get(span.reason, 0.0) + seconds
    valid_s = sum(window.valid_s for window in valid)
    return replace(
        row, laeq_db=energy_mean(_levels(valid), [window.valid_s for window in valid]),
        lafmax_db=max((window.lafmax_db for window in valid if window.lafmax_db is not None), default=None),
        l5_db=None, l10_db=None, l50_db=None, l90_db=None, l95_db=None, lafmin_db=None, sd_db=None,
        ln_from="none", laf_bins=(), laf_counts=(), valid_s=valid_s, valid_share=valid_s / 3600.0,
        excluded_s=excluded,
    )  # fmt: skip


def _minutes(series: SeriesStore, row: NoiseHour, start: datetime, end: datetime) -> list[NoiseWindow]:
    """Return the minutes of a row that lie within a stretch as a whole."""
    first = row.t + -((row.t - start) // _MINUTE) * _MINUTE
    last = row.t + (end - row.t) // _MINUTE * _MINUTE
    if first >= last:
        return []
    points = series.noise_series(row.site, row.source, first, last, step_s=60)
    return [
        NoiseWindow(
            row.site, row.source, one.laeq_db, one.lafmax_db, 60.0 * one.valid_share, one.valid_share, one.t
        )
        for one in points
    ]


def _remaining(start: datetime, end: datetime, spans: Iterable[Span]) -> list[tuple[datetime, datetime]]:
    """Return what is left of a stretch, cut to whole seconds: a second that is touched goes."""
    left: list[tuple[datetime, datetime]] = []
    at = start
    for span in sorted(spans, key=lambda one: one.start):
        cut_at = span.start.replace(microsecond=0)
        if cut_at > at:
            left.append((at, cut_at))
        whole = span.end.replace(microsecond=0)
        at = max(at, whole if whole == span.end else whole + timedelta(seconds=1))
    if at < end:
        left.append((at, end))
    return left


def _levels(windows: Iterable[NoiseWindow]) -> list[float]:
    return [window.laeq_db for window in windows if window.laeq_db is not None]


def _bad_weather(event: EventRow, limit_ms: float) -> str:
    rain_mm_h, wind_ms = event.detail.get("rain_mm_h"), event.detail.get("wind_ms")
    if event.detail.get("rain") is True or (isinstance(rain_mm_h, int | float) and rain_mm_h > 0.0):
        return "rain"
    if isinstance(wind_ms, int | float) and wind_ms >= limit_ms:
        return "wind"
    return next((other for other in ("snow", "lightning") if event.detail.get(other) is True), "")
