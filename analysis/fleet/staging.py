"""When a rollout goes on, waits, halts or goes back. Pure: devices' states and the time in, a decision out.

A device that tells that it refused the version, or took it back, is evidence against the version: too many of them,
and the rollout goes back. One that is away says nothing about it: too many, and the rollout halts for a person.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final, Literal

from contract.flags import NoiseFlag

SILENT: Final = timedelta(minutes=2)
"""A noise device without a stored second for so long is not healthy."""
_STATUSES: Final = 3
"""Nor is any that was due to tell its status so many times, and :data:`SILENT` ago, and has not."""
_USUAL_INTERVAL_S: Final = 30.0
_LOOKS_LEAST: Final = 10
_OVERLOADED_MOST: Final = 0.5
STANDARD_WAVES: Final = ("1", "10%", "50%", "100%")

Verdict = Literal["wait", "advance", "finish", "halt", "roll_back"]


@dataclass(frozen=True, slots=True)
class Plan:
    """How far a rollout is: in ``wave`` (from 0) of ``waves``, since ``began_at``; and what it demands."""

    wave: int
    waves: int
    began_at: datetime
    healthy_for: timedelta
    patience: timedelta
    most_failed: float


@dataclass(frozen=True, slots=True)
class Told:
    """What is known of a device: its last status and when it came (``heard_at``), whether it is online, its newest
    second where it measures noise."""

    online: bool
    heard_at: datetime | None
    status: Mapping[str, Any]
    noise: bool
    newest: datetime | None = None
    flags: int = 0


@dataclass(frozen=True, slots=True)
class Member:
    """What a rollout remembers of a device from round to round."""

    healthy_since: datetime | None = None
    looks: int = 0
    overloaded: int = 0
    failure: str | None = None


@dataclass(frozen=True, slots=True)
class Decision:
    """What to do, and why in words."""

    verdict: Verdict
    reason: str


def look(member: Member, told: Told, version: int, now: datetime) -> Member:
    """Return what is known of a device after another look at it."""
    if member.failure is not None:
        return member
    error = str(told.status.get("config_error") or "")
    if error.startswith(f"version {version}:"):
        return Member(failure=error[:300])
    runs = told.status.get("config_version") == version and not told.status.get("config_on_trial")
    if not runs or not _alive(told, now):
        return Member()
    looks = member.looks + 1
    overloaded = member.overloaded + bool(told.flags & NoiseFlag.OVERLOAD)
    failure = None
    if looks >= _LOOKS_LEAST and overloaded > _OVERLOADED_MOST * looks:
        failure = f"version {version}: overloaded in {overloaded} of {looks} looks"
    return Member(member.healthy_since or now, looks, overloaded, failure)


def _alive(told: Told, now: datetime) -> bool:
    """Whether it was heard of late. "Online" alone is what was last heard, however long ago, of a server or broker
    that hears nothing itself."""
    if not told.online or told.heard_at is None:
        return False
    interval = timedelta(seconds=float(told.status.get("status_interval_s") or _USUAL_INTERVAL_S))
    if now - told.heard_at > max(_STATUSES * interval, SILENT):
        return False
    return not told.noise or (told.newest is not None and now - told.newest < SILENT)


def decide(plan: Plan, members: Sequence[Member], now: datetime) -> Decision:
    """Judge the devices that are to have the version by now."""
    count = len(members)
    failures = [one.failure for one in members if one.failure is not None]
    if len(failures) > plan.most_failed * count:
        return Decision("roll_back", f"{len(failures)} of {count} devices failed; the first: {failures[0]}")
    well = [one for one in members if one.failure is None and one.healthy_since is not None]
    missing = count - len(failures) - len(well)
    patient = now - plan.began_at < plan.patience
    if missing and (patient or len(failures) + missing > plan.most_failed * count):
        if patient:
            return Decision("wait", f"{missing} of {count} devices do not run it well yet")
        minutes = round(plan.patience / timedelta(minutes=1))
        return Decision(
            "halt", f"{missing} of {count} devices did not run it well within {minutes} min: away, or silent"
        )
    proved = [one for one in well if one.healthy_since and now - one.healthy_since >= plan.healthy_for]
    if len(proved) < len(well):
        return Decision("wait", f"{len(proved)} of {count} devices have proved it for long enough")
    if plan.wave + 1 >= plan.waves:
        return Decision("finish", f"{len(proved)} of {count} devices run it, {len(failures)} failed")
    return Decision("advance", f"{len(proved)} of {count} devices run it well")


def wave_sizes(total: int, waves: Sequence[str]) -> list[int]:
    """Return how many of ``total`` devices have the version after each wave; the last has all.

    A wave is a number of devices (``5``) or a share (``10%``), counted from the beginning. Raises ``ValueError``.
    """
    sizes: list[int] = []
    for wave in waves:
        match = re.fullmatch(r"([1-9][0-9]{0,5})(%?)", wave.strip())
        if match is None or (match[2] and int(match[1]) > 100):
            raise ValueError(f"a wave is a number of devices such as 5, or a share such as 10%, not {wave!r}")
        size = -(-total * int(match[1]) // 100) if match[2] else int(match[1])
        if min(size, total) > (sizes[-1] if sizes else 0):
            sizes.append(min(size, total))
    if not sizes or sizes[-1] < total:
        sizes.append(total)
    return sizes
