"""What the committee enters by hand: complaints, noise sources, measures, rules, appliances, the quarter's profile.

Plain dataclasses: the API validates them, the registry keeps them as JSON. Free texts are the committee's own; names of
complainants do not belong into them. Pure.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from typing import Annotated, Any, Final, Literal, cast, get_args

import msgspec
from annotated_types import Ge, Le, MaxLen, MinLen

Kind = Literal["complaint", "source", "measure", "rule", "appliance"]
KINDS: Final[tuple[Kind, ...]] = get_args(Kind)
EntryTopic = Literal["noise", "water", "other"]
Name = Annotated[str, MinLen(1), MaxLen(120)]
Words = Annotated[str, MaxLen(1000)]
Count = Annotated[int, Ge(0), Le(1_000_000)]
Amount = Annotated[float, Ge(0.0), Le(1e9)]
Part = Annotated[float, Ge(0.0), Le(1.0)]
RuleKind = Literal["residents_pact", "no_horn_signs", "quiet_hours", "renovation", "water_saving", "other"]
SourceKind = Literal["traffic", "construction", "commerce", "equipment", "social", "school", "other"]
_STRICT: Final = {"extra": "forbid"}
"""A field that is not known is told and not dropped."""
ApplianceKind = Literal["tap", "shower", "toilet", "urinal", "washing_machine", "irrigation", "other"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Complaint:
    """A complaint with its handling. ``satisfied`` is ``None`` until the complainant was asked."""

    __pydantic_config__ = _STRICT

    kind: Literal["complaint"]
    topic: EntryTopic
    received_on: date
    about: Annotated[str, MinLen(1), MaxLen(500)]
    place: Annotated[str, MaxLen(120)] = ""
    handling: Words = ""
    closed_on: date | None = None
    satisfied: bool | None = None

    def __post_init__(self) -> None:
        if self.closed_on is not None and self.closed_on < self.received_on:
            raise ValueError("closed_on must not be before received_on")


@dataclass(frozen=True, slots=True, kw_only=True)
class NoiseSource:
    """A source of noise in or near the quarter: how far from the nearest dwelling, when, and which limit holds."""

    __pydantic_config__ = _STRICT

    kind: Literal["source"]
    name: Name
    source_kind: SourceKind
    distance_m: Annotated[float, Ge(0.0), Le(100_000.0)] | None = None
    hours: Annotated[str, MaxLen(120)] = ""
    limit_db: Annotated[float, Ge(0.0), Le(140.0)] | None = None
    limit_basis: Annotated[str, MaxLen(120)] = ""
    measure: Words = ""

    @property
    def complete(self) -> bool:
        """Whether distance, hours, limit and measure are all there."""
        return self.distance_m is not None and self.limit_db is not None and bool(self.hours and self.measure)


@dataclass(frozen=True, slots=True, kw_only=True)
class Measure:
    """Something that was done, or is to be, against noise or for saving water."""

    __pydantic_config__ = _STRICT

    kind: Literal["measure"]
    topic: EntryTopic
    title: Name
    state: Literal["planned", "running", "done"]
    done_on: date | None = None
    cost_yuan: Amount | None = None
    effect: Words = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class AdoptedRule:
    """A rule that the quarter gave itself, and whether it is on display."""

    __pydantic_config__ = _STRICT

    kind: Literal["rule"]
    rule_kind: RuleKind
    title: Name
    adopted_on: date | None = None
    displayed: bool = False
    content: Words = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Appliance:
    """Fittings of one kind in households or public places: how many, and how many of them save water."""

    __pydantic_config__ = _STRICT

    kind: Literal["appliance"]
    appliance: ApplianceKind
    place: Literal["household", "public"]
    total: Count
    efficient: Count
    basis: Annotated[str, MaxLen(200)] = ""

    def __post_init__(self) -> None:
        if self.efficient > self.total:
            raise ValueError("efficient must not be more than total")


EntryData = Complaint | NoiseSource | Measure | AdoptedRule | Appliance
_TYPES: Final[dict[Kind, type[EntryData]]] = {
    "complaint": Complaint, "source": NoiseSource, "measure": Measure, "rule": AdoptedRule, "appliance": Appliance,
}  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class Profile:
    """What holds for the quarter as a whole; ``None`` where nobody has entered it yet.

    ``no_complaints`` and ``no_sources`` confirm that an empty register is empty because there was nothing.
    """

    __pydantic_config__ = _STRICT

    land_m2: Amount | None = None
    floor_m2: Amount | None = None
    households: Count | None = None
    persons: Count | None = None
    green_share: Part | None = None
    closed_quarter: bool | None = None
    waste_daily: bool | None = None
    contact_office: Annotated[str, MaxLen(120)] = ""
    complaint_phone: Annotated[str, MaxLen(40)] = ""
    no_complaints: bool | None = None
    no_sources: bool | None = None
    public_uses: Count | None = None
    public_metered: Count | None = None
    green_water_m3: Amount | None = None
    green_unconventional_m3: Amount | None = None

    def __post_init__(self) -> None:
        for part, whole in (("public_metered", "public_uses"), ("green_unconventional_m3", "green_water_m3")):
            a, b = getattr(self, part), getattr(self, whole)
            if a is not None and b is not None and a > b:
                raise ValueError(f"{part} must not be more than {whole}")


@dataclass(frozen=True, slots=True)
class Entry:
    """An entry with its number in the registry."""

    id: int
    data: EntryData


def parse_entry(kind: str, data: dict[str, Any]) -> EntryData:
    """Return what the registry keeps as an entry."""
    return msgspec.convert({**data, "kind": kind}, _TYPES[cast(Kind, kind)])


def parse_profile(data: dict[str, Any]) -> Profile:
    """Return what the registry keeps as a profile."""
    return msgspec.convert(data, Profile)


def as_json(data: EntryData | Profile) -> dict[str, Any]:
    """Return plain values to be kept as JSON."""
    return msgspec.to_builtins(data)
