"""When a person wants to be told: quiet hours, digests, and from which severity on. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, time, timedelta
from typing import Annotated, Any, Final, Literal
from zoneinfo import ZoneInfo

import msgspec
from msgspec import Meta

Severity = Literal["info", "warning", "critical"]
SEVERITIES: Final[tuple[Severity, ...]] = ("info", "warning", "critical")
ClockTime = Annotated[str, Meta(pattern=r"^([01]\d|2[0-3]):[0-5]\d$", description="HH:MM, local time.")]


class BadPrefs(ValueError):
    """Preferences that cannot be stored; the message names the field and the cure."""


class NotifyPrefs(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One person's wishes. ``critical`` alerts are told at once, whatever these say.

    Between ``quiet_from`` and ``quiet_to`` nothing else is told (across midnight where ``quiet_to`` is earlier). With
    ``digest_at`` everything else waits for the next of these times. Below ``least`` nothing is told at all.
    """

    quiet_from: ClockTime | None = None
    quiet_to: ClockTime | None = None
    digest_at: Annotated[tuple[ClockTime, ...], Meta(max_length=12)] = ()
    least: Severity = "info"

    def __post_init__(self) -> None:
        if (self.quiet_from is None) != (self.quiet_to is None):
            raise ValueError("quiet_from and quiet_to belong together")
        if self.quiet_from is not None and self.quiet_from == self.quiet_to:
            raise ValueError("quiet_from and quiet_to are the same: the whole day would be quiet")


@dataclass(frozen=True, slots=True)
class Moment:
    """When a message goes out, and why not at once (``quiet_hours``, ``digest``, ``silence``; empty: at once)."""

    at: datetime
    held_by: Literal["", "quiet_hours", "digest", "silence"] = ""


def parse_prefs(raw: Mapping[str, Any]) -> NotifyPrefs:
    """Validate preferences. Raises :class:`BadPrefs`."""
    try:
        return msgspec.convert(dict(raw), NotifyPrefs)
    except msgspec.ValidationError as error:
        raise BadPrefs(f"notification preferences: {error}") from None


def wanted(prefs: NotifyPrefs, severity: str) -> bool:
    """Whether a person wants to hear of a severity at all."""
    return _rank(severity) >= _rank(prefs.least)


def when(prefs: NotifyPrefs, severity: str, now: datetime, zone: str) -> Moment:
    """Return when a person is told what happens at ``now``; ``zone`` is that of the site."""
    if severity == "critical":
        return Moment(now)
    local = now.astimezone(ZoneInfo(zone))
    if prefs.digest_at:
        at = min(_next(local, clock) for clock in prefs.digest_at)
        return Moment(at.astimezone(now.tzinfo), "digest")
    if prefs.quiet_from is not None and prefs.quiet_to is not None:
        end = _next(local, prefs.quiet_to)
        if _within(local, prefs.quiet_from, prefs.quiet_to):
            return Moment(end.astimezone(now.tzinfo), "quiet_hours")
    return Moment(now)


def _rank(severity: str) -> int:
    return SEVERITIES.index(severity) if severity in SEVERITIES else SEVERITIES.index("warning")


def _within(local: datetime, quiet_from: str, quiet_to: str) -> bool:
    clock = f"{local:%H:%M}"
    if quiet_from < quiet_to:
        return quiet_from <= clock < quiet_to
    return clock >= quiet_from or clock < quiet_to


def _next(local: datetime, clock: str) -> datetime:
    """Return the next time at which clocks show ``clock``."""
    at = time(int(clock[:2]), int(clock[3:]))
    today = datetime.combine(local.date(), at, local.tzinfo)
    return today if today > local else datetime.combine(local.date() + timedelta(days=1), at, local.tzinfo)
