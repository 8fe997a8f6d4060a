"""The scene file: which recordings are heard when, and how loud, as TOML.

::

    zone = "Asia/Shanghai"
    seed = 1

    [[layers]]                 # a recording in a loop without a seam
    clip = "sea-waves-1.ogg"   # relative to the scene file
    laeq_db = 41.0             # its level at the microphone
    wander_db = 1.5            # slow change of that level, standard deviation
    from = "06:00"             # local time of day; without from and to all day long
    to = "22:00"
    fade_min = 30

    [[events]]                 # a recording that is heard now and then
    clip = "dog-bark-1.ogg"
    lafmax_db = 62.0           # or laeq_db
    spread_db = 4.0            # each time louder or softer by up to this much
    from = "06:30"
    to = "21:30"
    every_min = [20, 70]       # or at = ["07:30", "19:05:20"]
    repeat = [1, 4]
    pause_s = 1.5
"""

from __future__ import annotations

import re
import tomllib
from datetime import date
from pathlib import Path
from typing import Annotated, Literal
from zoneinfo import ZoneInfo

import msgspec
from msgspec import Meta

from edge.sound.settings import Level
from edge.sound.sources.base import SourceError

TimeOfDay = Annotated[str, Meta(pattern=r"^([01]\d|2[0-3]):[0-5]\d(:[0-5]\d)?$|^24:00$")]
Weekday = Literal["mon", "tue", "wed", "thu", "fri", "sat", "sun"]
WEEKDAYS: tuple[Weekday, ...] = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
DAY_S = 86_400


def seconds_of_day(text: str) -> int:
    """Return seconds since midnight of ``HH:MM`` or ``HH:MM:SS``."""
    parts = [int(part) for part in text.split(":")]
    return parts[0] * 3600 + parts[1] * 60 + (parts[2] if len(parts) > 2 else 0)


class Window(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A span of local time of day; over midnight where it ends before it begins."""

    from_: TimeOfDay = msgspec.field(default="00:00", name="from")
    to: TimeOfDay = "24:00"
    days: tuple[Weekday, ...] = WEEKDAYS
    """Days on which it begins."""

    @property
    def starts_s(self) -> int:
        """Start, seconds since midnight."""
        return seconds_of_day(self.from_)

    @property
    def ends_s(self) -> int:
        """End, seconds since the midnight before the start: above a day's seconds where it spans midnight."""
        end = seconds_of_day(self.to)
        return end if end > self.starts_s else end + DAY_S

    @property
    def all_day(self) -> bool:
        """Whether it has neither start nor end."""
        return self.starts_s == 0 and self.ends_s == DAY_S and len(set(self.days)) == len(WEEKDAYS)

    def begins_on(self, day: date) -> bool:
        """Whether it begins on a local date."""
        return WEEKDAYS[day.weekday()] in self.days


class Layer(Window, frozen=True, kw_only=True):
    """A recording that is played in a loop, at a level."""

    clip: str
    laeq_db: Level
    wander_db: Annotated[float, Meta(ge=0, le=20)] = 0.0
    """Standard deviation of the level's slow change, dB."""
    wander_s: Annotated[float, Meta(ge=5, le=86_400)] = 120.0
    """Time over which the level changes."""
    fade_min: Annotated[float, Meta(ge=0, le=720)] = 10.0
    """How long it takes to come and to go, minutes."""
    crossfade_s: Annotated[float, Meta(ge=0.001, le=30)] = 0.5


class Event(Window, frozen=True, kw_only=True):
    """A recording that is heard now and then."""

    clip: str
    laeq_db: Level | None = None
    lafmax_db: Level | None = None
    spread_db: Annotated[float, Meta(ge=0, le=30)] = 0.0
    at: tuple[TimeOfDay, ...] = ()
    every_min: tuple[float, float] | None = None
    """Shortest and longest time from one start to the next, minutes."""
    repeat: int | tuple[int, int] = 1
    pause_s: Annotated[float, Meta(ge=0, le=3600)] = 1.0
    fade_s: Annotated[float, Meta(ge=0, le=60)] = 0.02

    def __post_init__(self) -> None:
        if (self.laeq_db is None) == (self.lafmax_db is None):
            raise ValueError("an event has either laeq_db or lafmax_db")
        if bool(self.at) == (self.every_min is not None):
            raise ValueError("an event has either at or every_min")
        if self.every_min is not None and not 0 < self.every_min[0] <= self.every_min[1]:
            raise ValueError("every_min is [shortest, longest], above 0")
        least, most = self.repeats
        if not 1 <= least <= most <= 1000:
            raise ValueError("repeat is from 1 to 1000")

    @property
    def repeats(self) -> tuple[int, int]:
        """Fewest and most times in a row."""
        return (self.repeat, self.repeat) if isinstance(self.repeat, int) else self.repeat


class Scene(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A whole scene."""

    zone: str = "Asia/Shanghai"
    seed: Annotated[int, Meta(ge=0)] = 0
    rate_hz: Annotated[int, Meta(ge=8000, le=96_000)] = 44_100
    layers: tuple[Layer, ...] = ()
    events: tuple[Event, ...] = ()

    def __post_init__(self) -> None:
        if not self.layers and not self.events:
            raise ValueError("a scene needs [[layers]] or [[events]]")
        try:
            ZoneInfo(self.zone)
        except (KeyError, ValueError, OSError) as error:
            raise ValueError(f"zone {self.zone!r} is not known") from error


def check_scene(path: Path) -> None:
    """Raise :class:`SourceError` if a scene file or one of its recordings cannot be read."""
    scene = load_scene(path)
    for clip in sorted({one.clip for one in (*scene.layers, *scene.events)}):
        if not (path.parent / clip).is_file():
            raise SourceError(f"{path}: the clip {clip} does not exist beside it")


def load_scene(path: Path) -> Scene:
    """Read a scene file. Raises :class:`SourceError` that names the file and the key."""
    try:
        return msgspec.convert(tomllib.loads(path.read_text(encoding="utf-8")), Scene)
    except OSError as error:
        raise SourceError(f"{path} cannot be read: {error}") from error
    except tomllib.TOMLDecodeError as error:
        raise SourceError(f"{path} is not valid TOML: {error}") from error
    except msgspec.ValidationError as error:
        raise SourceError(f"{path}: {re.sub(r'`', '', str(error))}") from error
