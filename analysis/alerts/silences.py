"""Silences and maintenance windows: times in which matching alerts are not told, or do not begin.

``silence``: the alert lives as ever, messages wait for the end; one that begins and ends within it is never told.
``maintenance``: no alert begins. A window may repeat daily or weekly at the same time of the site's day.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final, Literal
from zoneinfo import ZoneInfo

from sqlalchemy import or_, select, update
from sqlalchemy.orm import Session

from store.registry.models import Delivery, Silence, Site

Kind = Literal["silence", "maintenance"]
Repeat = Literal["once", "daily", "weekly"]
_EVERY: Final = {"daily": timedelta(days=1), "weekly": timedelta(days=7)}
_LONGEST: Final = timedelta(days=90)
HELD: Final = "silence"
"""``held_by`` of a message that waits for the end of a silence."""


class BadSilence(ValueError):
    """A silence that cannot be made; the message says why."""


@dataclass(frozen=True, slots=True)
class Window:
    """A silence as it is matched: what it covers, and its times."""

    id: int
    kind: str
    site: str | None
    rule_kind: str | None
    source: str | None
    starts_at: datetime
    ends_at: datetime
    repeat: str = "once"
    repeat_until: datetime | None = None
    zone: str = "Asia/Shanghai"

    def covers(self, site: str, rule_kind: str, source: str) -> bool:
        """Whether an alert of these falls under it."""
        return (
            self.site in (None, site)
            and self.rule_kind in (None, rule_kind)
            and self.source in (None, source)
        )

    def end_at(self, t: datetime) -> datetime | None:
        """Return when the occurrence that ``t`` lies in ends, or ``None`` outside of one."""
        if t < self.starts_at or (self.repeat_until is not None and t >= self.repeat_until):
            return None
        every = _EVERY.get(self.repeat)
        if every is None:
            return self.ends_at if t < self.ends_at else None
        # The same time of the site's day, also across a change of clocks.
        zone = ZoneInfo(self.zone)
        first = self.starts_at.astimezone(zone).replace(tzinfo=None)
        since = (t.astimezone(zone).replace(tzinfo=None) - first) // every
        started = (first + since * every).replace(tzinfo=zone)
        end = started + (self.ends_at - self.starts_at)
        return end.astimezone(t.tzinfo) if started <= t < end else None


def match(
    windows: Iterable[Window], kind: Kind, site: str, rule_kind: str, source: str, t: datetime
) -> datetime | None:
    """Return until when an alert is covered by a window of ``kind`` at ``t``, or ``None``."""
    ends = [
        end
        for one in windows
        if one.kind == kind and one.covers(site, rule_kind, source) and (end := one.end_at(t)) is not None
    ]
    return max(ends, default=None)


def current(session: Session, now: datetime) -> list[Window]:
    """Return the windows that are not over, with the zone of their site."""
    rows = session.execute(
        select(Silence, Site.timezone)
        .outerjoin(Site, Site.name == Silence.site)
        .where(Silence.lifted_at.is_(None), or_(Silence.ends_at > now, Silence.repeat != "once"))
    )
    return [_window(row, zone or "Asia/Shanghai") for row, zone in rows]


def make(
    session: Session, *, kind: Kind, starts_at: datetime, ends_at: datetime, reason: str, who: str, now: datetime,
    site: str | None = None, rule_kind: str | None = None, source: str | None = None, repeat: Repeat = "once",
    repeat_until: datetime | None = None,
) -> Silence:  # fmt: skip
    """Make a silence or maintenance window. Raises :class:`BadSilence`."""
    length = ends_at - starts_at
    if not reason.strip():
        raise BadSilence("say why: a silence needs a reason")
    if length <= timedelta(0):
        raise BadSilence("ends_at must be later than starts_at")
    if length > _EVERY.get(repeat, _LONGEST):
        raise BadSilence(f"a {repeat} window lasts at most {_EVERY.get(repeat, _LONGEST)}")
    if source is not None and site is None:
        raise BadSilence("a source needs its site")
    if site is not None and session.get(Site, site) is None:
        raise BadSilence(f"there is no site {site!r}")
    row = Silence(
        kind=kind, site=site, rule_kind=rule_kind, source=source, starts_at=starts_at, ends_at=ends_at, repeat=repeat,
        repeat_until=repeat_until, reason=reason.strip()[:200], created_by=who, created_at=now,
    )  # fmt: skip
    session.add(row)
    session.flush()
    return row


def lift(session: Session, silence_id: int, now: datetime) -> None:
    """End a silence before its time, and let the messages that wait for a silence go. Lifting twice changes nothing.

    Raises ``LookupError`` where there is none of that number.
    """
    row = session.get(Silence, silence_id)
    if row is None:
        raise LookupError(f"there is no silence {silence_id}")
    if row.lifted_at is None:
        row.lifted_at = now
        release(session, now)


def release(session: Session, now: datetime) -> None:
    """Let every message that waits for a silence be looked at again."""
    waiting = update(Delivery).where(Delivery.state == "queued", Delivery.held_by == HELD)
    session.execute(waiting.values(next_try_at=now))


def _window(row: Silence, zone: str) -> Window:
    return Window(
        row.id, row.kind, row.site, row.rule_kind, row.source, row.starts_at, row.ends_at, row.repeat,
        row.repeat_until, zone,
    )  # fmt: skip


NO_WINDOWS: Sequence[Window] = ()
