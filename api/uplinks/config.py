"""``uplinks.toml`` in the data folder: to whom data go, and under which names."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Annotated, Final, Literal

import msgspec
from msgspec import Meta

from api.uplinks.hj212.rows import Station

FILE_NAME: Final = "uplinks.toml"


class BadUplinks(ValueError):
    """The file of uplinks cannot be understood; the message says where and what to do."""


class Hj212Config(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One platform. ``password`` is its PW; ``stations`` give ``site/device`` the platform's MN."""

    host: Annotated[str, Meta(min_length=1)]
    port: Annotated[int, Meta(ge=1, le=65535)]
    password: Annotated[str, Meta(min_length=1, max_length=32, pattern="^[^;=&]+$")]
    stations: dict[str, Annotated[str, Meta(min_length=1, max_length=24, pattern="^[A-Za-z0-9]+$")]]
    profile: str = "hj212-2017"
    live: bool = True
    live_interval_s: Annotated[int, Meta(ge=30, le=3600)] = 60
    minute_interval_min: Annotated[int, Meta(ge=1, le=60)] = 10

    def __post_init__(self) -> None:
        if 60 % self.minute_interval_min:
            raise ValueError("minute_interval_min must divide an hour")
        if any(name.count("/") != 1 for name in self.stations):
            raise ValueError("stations are named site/device")
        if len(set(self.stations.values())) != len(self.stations):
            raise ValueError("two stations have the same MN")

    def station_list(self) -> tuple[Station, ...]:
        """Return the stations."""
        split = [(*name.partition("/")[::2], mn) for name, mn in self.stations.items()]
        return tuple(Station(site, device, mn) for site, device, mn in split)


_Levels = Annotated[str, Meta(pattern="^[A-Za-z0-9_-]+(/[A-Za-z0-9_-]+)*$", max_length=100)]
"""A topic of Home Assistant's broker: levels of letters, digits, ``-`` and ``_``, as node ids are made of them."""


class HomeAssistantConfig(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A broker that Home Assistant listens to. Empty ``sites`` are all; ``retain`` is of states."""

    host: Annotated[str, Meta(min_length=1)]
    port: Annotated[int, Meta(ge=1, le=65535)] | None = None
    username: str | None = None
    password: str | None = None
    tls: bool = False
    ca_file: str | None = None
    discovery_prefix: _Levels = "homeassistant"
    base_topic: _Levels = "quietwater"
    sites: tuple[str, ...] = ()
    language: Literal["zh", "en"] = "zh"
    interval_s: Annotated[float, Meta(ge=1, le=3600)] = 10.0
    retain: bool = False

    def __post_init__(self) -> None:
        if self.password is not None and self.username is None:
            raise ValueError("a password needs a username")
        if self.ca_file is not None and not self.tls:
            raise ValueError("ca_file is of use with tls = true only")

    @property
    def broker_port(self) -> int:
        """The port: 8883 with TLS and 1883 without, unless one is given."""
        return self.port or (8883 if self.tls else 1883)


class Uplinks(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """All of them. ``hj212`` is by a name of one's own: the city's platform, and the province's."""

    hj212: dict[Annotated[str, Meta(pattern="^[a-z0-9-]{1,32}$")], Hj212Config] = {}
    home_assistant: dict[Annotated[str, Meta(pattern="^[a-z0-9-]{1,32}$")], HomeAssistantConfig] = {}


def read_uplinks(folder: Path) -> Uplinks:
    """Return what the data folder's file says; nothing where there is none. Raises :class:`BadUplinks`."""
    path = folder / FILE_NAME
    if not path.exists():
        return Uplinks()
    try:
        return msgspec.convert(tomllib.loads(path.read_text(encoding="utf-8")), Uplinks)
    except (tomllib.TOMLDecodeError, msgspec.ValidationError, UnicodeDecodeError) as error:
        raise BadUplinks(f"{path}: {error}") from None
