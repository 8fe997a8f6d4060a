"""The entities of SensorThings 1.1 (OGC 18-088, clause 8): what each has and how they hang together. Pure data."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Literal

FieldType = Literal["text", "number", "time"]
ID: Final = "@iot.id"


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of entity by the name of its set.

    ``one`` and ``many`` lead from the name of a navigation to the set that it ends in. ``filters`` are the fields that
    ``$filter`` knows, ``orders`` those of ``$orderby``.
    """

    plural: str
    properties: tuple[str, ...]
    one: Mapping[str, str]
    many: Mapping[str, str]
    filters: Mapping[str, FieldType]
    orders: frozenset[str]

    def leads_to(self, navigation: str) -> str | None:
        """Return the set in which a navigation ends, ``None`` for a name that is none."""
        return self.one.get(navigation) or self.many.get(navigation)

    @property
    def navigations(self) -> tuple[str, ...]:
        """Every navigation."""
        return (*self.one, *self.many)


def _kind(plural: str, properties: str, *, one: str = "", many: str = "") -> Kind:
    to_one = {word: _PLURALS[word] for word in one.split()}
    to_many = {word: word for word in many.split()}
    named: Mapping[str, FieldType] = {"name": "text"} if "name" in properties.split() else {}
    filters: Mapping[str, FieldType] = {ID: "text", **named}
    orders = frozenset(filters)
    if plural == "Observations":
        filters = {ID: "text", "phenomenonTime": "time", "result": "number"}
        orders = frozenset({ID, "phenomenonTime"})
    return Kind(plural, tuple(properties.split()), to_one, to_many, filters, orders)


_PLURALS: Final[Mapping[str, str]] = {
    "Thing": "Things", "Datastream": "Datastreams", "Sensor": "Sensors", "ObservedProperty": "ObservedProperties",
    "FeatureOfInterest": "FeaturesOfInterest",
}  # fmt: skip

_KINDS: Final = (
    _kind("Things", "name description properties", many="Locations HistoricalLocations Datastreams"),
    _kind("Locations", "name description encodingType location properties", many="Things HistoricalLocations"),
    _kind("HistoricalLocations", "time", one="Thing", many="Locations"),
    _kind(
        "Datastreams", "name description unitOfMeasurement observationType properties",
        one="Thing Sensor ObservedProperty", many="Observations",
    ),
    _kind("Sensors", "name description encodingType metadata properties", many="Datastreams"),
    _kind("ObservedProperties", "name definition description properties", many="Datastreams"),
    _kind(
        "Observations", "phenomenonTime resultTime result resultQuality parameters",
        one="Datastream FeatureOfInterest",
    ),
    _kind("FeaturesOfInterest", "name description encodingType feature properties", many="Observations"),
)  # fmt: skip

KINDS: Final[Mapping[str, Kind]] = {one.plural: one for one in _KINDS}
"""Every kind by the name of its set."""
