"""Editions of HJ 212 as data: one TOML file each, so that the next edition is a file and not a change of code."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping, Sequence
from datetime import date
from importlib.resources import files
from typing import Literal
from zoneinfo import ZoneInfo

import msgspec

from api.uplinks.hj212.message import Group
from contract.quantities import QUANTITIES

Kind = Literal["live", "minute", "hour", "day"]


class Factor(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One key of a packet, such as ``Leq-Data``, and the quantity of ours that it carries."""

    factor: str
    suffix: str
    quantity: str


class Profile(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One edition: its numbers, commands and factors. Intervals are lowest and highest."""

    id: str
    title: str
    valid_from: date
    verified: Literal["V", "C", "K"]
    st: str
    flag: int
    time_zone: str
    decimals: int
    live_interval_s: tuple[int, int]
    minute_interval_min: tuple[int, int]
    commands: dict[Kind, str]
    factors: dict[Kind, tuple[Factor, ...]]
    valid_to: date | None = None

    @property
    def zone(self) -> ZoneInfo:
        """The zone of every time in a packet."""
        return ZoneInfo(self.time_zone)

    def groups(self, kind: Kind, values: Mapping[str, float | None], flag: str = "N") -> Sequence[Group]:
        """Render values by quantity; what is not known is left out. ``flag`` is the data's (N normal, B missing …)."""
        made: list[Group] = []
        for one in self.factors[kind]:
            value = values.get(one.quantity)
            if value is not None:
                text = f"{value:.{self.decimals}f}"
                made.append({f"{one.factor}-{one.suffix}": text, f"{one.factor}-Flag": flag})
        return made


class NoSuchProfile(ValueError):
    """There is no edition of that name; the message names those there are."""


def profile_of(name: str) -> Profile:
    """Return an edition by its id. Raises :class:`NoSuchProfile`."""
    folder = files("api.uplinks.hj212")
    known = sorted(one.name.removesuffix(".toml") for one in folder.iterdir() if one.name.endswith(".toml"))
    if name not in known:
        raise NoSuchProfile(f"there is no profile {name!r}; there are: {', '.join(known)}")
    raw = tomllib.loads((folder / f"{name}.toml").read_text(encoding="utf-8"))
    profile = msgspec.convert(raw, Profile)
    unknown = {f.quantity for group in profile.factors.values() for f in group} - QUANTITIES.keys()
    if unknown:
        raise ValueError(
            f"profile {name!r} names quantities that are not known: {', '.join(sorted(unknown))}"
        )
    return profile
