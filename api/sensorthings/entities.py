"""What is registered, as entities of SensorThings, and how each is written. Pure.

Ids are made of the names of the registry: ``device.SITE.NAME`` and ``meter.SITE.NAME`` (a thing and its sensor),
``THING.STEP.QUANTITY`` (a datastream), ``DATASTREAM.MICROSECONDS`` (an observation, by the time since 1970 at which its
reading begins). A location and a feature of interest have the name of their quarter.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Final, Literal
from urllib.parse import quote

from api.sensorthings.model import ID, KINDS, Kind
from api.sensorthings.paths import quoted
from contract.quantities import QUANTITIES, Quantity

Step = Literal["1s", "1h", "reading"]
STEPS: Final[Mapping[str, tuple[tuple[Step, tuple[str, ...]], ...]]] = {
    "device": (
        ("1s", ("laeq_db", "lafmax_db", "lafmin_db", "laf_db", "lceq_db", "lcpeak_db")),
        ("1h", ("laeq_db", "l5_db", "l10_db", "l50_db", "l90_db", "l95_db", "lafmax_db", "lafmin_db")),
    ),
    "meter": (("reading", ("volume_l", "flow_m3h")), ("1h", ("volume_l",))),
}  # fmt: skip
"""What a noise device and a water meter tell, by step."""
OBSERVED: Final = tuple(sorted({key for steps in STEPS.values() for _, keys in steps for key in keys}))
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND: Final = timedelta(microseconds=1)
_GEOJSON: Final = "application/geo+json"
_UNITS: Final[Mapping[str, tuple[str, str]]] = {
    "dB": ("decibel re 20 µPa", "http://qudt.org/vocab/unit/DeciB"),
    "L": ("litre", "http://qudt.org/vocab/unit/L"),
    "m³/h": ("cubic metre per hour", "http://qudt.org/vocab/unit/M3-PER-HR"),
}
_EACH: Final[Mapping[str, tuple[str, str]]] = {
    "1s": ("每秒", "each second"), "1h": ("每小时", "each hour"), "reading": ("每次读数", "each reading"),
}  # fmt: skip
_INDICATIVE: Final = "未经型式批准，仅供参考，不作执法依据 · Indicative, not for enforcement"
_APPROVED: Final = "经型式批准 · Type approved"
_SLUG: Final = "[a-z0-9][a-z0-9-]{0,31}"
_SOURCE: Final = re.compile(rf"(device|meter)\.({_SLUG})\.({_SLUG})")
_STREAM: Final = re.compile(rf"((?:device|meter)\.{_SLUG}\.{_SLUG})\.(1s|1h|reading)\.([a-z0-9_]+)")
_OBSERVATION: Final = re.compile(r"(.+)\.([0-9]{1,17})", re.ASCII)


@dataclass(frozen=True, slots=True)
class Quarter:
    """A residential quarter; ``latitude`` and ``longitude`` (WGS 84) are ``None`` where not known."""

    name: str
    zh: str
    en: str
    district: str
    latitude: float | None
    longitude: float | None

    @property
    def is_located(self) -> bool:
        """Whether it is known where it lies."""
        return self.latitude is not None and self.longitude is not None

    def point(self) -> dict[str, Any] | None:
        """Return it as a GeoJSON point."""
        return {"type": "Point", "coordinates": [self.longitude, self.latitude]} if self.is_located else None


@dataclass(frozen=True, slots=True)
class Source:
    """A device or meter of a quarter. ``measures`` is false for a gateway, which only reads meters."""

    what: Literal["device", "meter"]
    quarter: Quarter
    name: str
    zh: str
    en: str
    indicative: bool
    measures: bool = True
    more: Mapping[str, Any] | None = None

    @property
    def id(self) -> str:
        """Id of the thing and of its sensor."""
        return f"{self.what}.{self.quarter.name}.{self.name}"

    @property
    def title(self) -> str:
        """Its quarter and name."""
        return f"{self.quarter.name}/{self.name}"


@dataclass(frozen=True, slots=True)
class Stream:
    """One quantity of a source in one step."""

    source: Source
    step: Step
    quantity: Quantity

    @property
    def id(self) -> str:
        """Id of the datastream."""
        return f"{self.source.id}.{self.step}.{self.quantity.key}"


@dataclass(frozen=True, slots=True)
class Point:
    """A reading. It covers ``t`` to ``end``, or the instant ``t`` where ``end`` is ``None``.

    ``result_at`` is when the result was made, ``None`` where that is not kept. ``quality`` says how far it counts.
    """

    t: datetime
    end: datetime | None
    result: float | None
    result_at: datetime | None
    quality: Mapping[str, Any]
    parameters: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Observation:
    """A reading of a datastream."""

    stream: Stream
    point: Point


Content = Quarter | Source | Stream | Quantity | Observation


@dataclass(frozen=True, slots=True)
class Entity:
    """An entity of a kind; ``name`` is empty where the kind has none."""

    kind: Kind
    id: str
    name: str
    of: Content

    def field(self, name: str) -> str:
        """Return what ``$filter`` and ``$orderby`` look at."""
        return self.id if name == ID else self.name


def thing(source: Source) -> Entity:
    """Return the thing that a source is."""
    return Entity(KINDS["Things"], source.id, source.title, source)


def sensor(source: Source) -> Entity:
    """Return the instrument of a source."""
    return Entity(KINDS["Sensors"], source.id, source.title, source)


def location(quarter: Quarter) -> Entity:
    """Return where a quarter is."""
    return Entity(KINDS["Locations"], quarter.name, quarter.name, quarter)


def feature(quarter: Quarter) -> Entity:
    """Return the quarter as that which is observed."""
    return Entity(KINDS["FeaturesOfInterest"], quarter.name, quarter.name, quarter)


def observed_property(key: str) -> Entity:
    """Return a quantity."""
    return Entity(KINDS["ObservedProperties"], key, QUANTITIES[key].en, QUANTITIES[key])


def datastream(stream: Stream) -> Entity:
    """Return a quantity of a source as a stream."""
    name = f"{stream.source.title} {stream.quantity.en}, {_EACH[stream.step][1]}"
    return Entity(KINDS["Datastreams"], stream.id, name, stream)


def observation(stream: Stream, point: Point) -> Entity:
    """Return a reading."""
    return Entity(KINDS["Observations"], f"{stream.id}.{micros(point.t)}", "", Observation(stream, point))


def streams_of(source: Source) -> Iterator[Stream]:
    """Return the streams of a source."""
    for step, keys in STEPS[source.what] if source.measures else ():
        for key in keys:
            yield Stream(source, step, QUANTITIES[key])


def source_names(key: str) -> tuple[str, str, str] | None:
    """Return what, quarter and name that the id of a thing or sensor tells, ``None`` for no such id."""
    found = _SOURCE.fullmatch(key)
    return (found[1], found[2], found[3]) if found else None


def stream_names(key: str) -> tuple[str, str, str] | None:
    """Return thing, step and quantity that the id of a datastream tells, ``None`` for no such id."""
    found = _STREAM.fullmatch(key)
    return (found[1], found[2], found[3]) if found else None


def observation_names(key: str) -> tuple[str, datetime] | None:
    """Return datastream and time that the id of an observation tells, ``None`` for no such id."""
    found = _OBSERVATION.fullmatch(key)
    if not found or found[2] != str(int(found[2])):
        return None
    try:
        return found[1], time_of(int(found[2]))
    except OverflowError:
        return None


def micros(t: datetime) -> int:
    """Return a time as microseconds since 1970."""
    return (t - _EPOCH) // _MICROSECOND


def time_of(us: int) -> datetime:
    """Return microseconds since 1970 as a time. Raises ``OverflowError`` beyond the year 9999."""
    return _EPOCH + us * _MICROSECOND


def link(root: str, entity: Entity) -> str:
    """Return the address of an entity."""
    key = quote(quoted(entity.id), safe="'")
    return f"{root}/{entity.kind.plural}({key})"


def write(entity: Entity, root: str) -> dict[str, Any]:
    """Return an entity in full, as JSON has it, with links below ``root``."""
    own = link(root, entity)
    links = {f"{name}@iot.navigationLink": f"{own}/{name}" for name in entity.kind.navigations}
    return {ID: entity.id, "@iot.selfLink": own, **_properties(entity), **links}


def _properties(entity: Entity) -> dict[str, Any]:
    match entity.of:
        case Observation(stream, point):
            return _observation(stream, point)
        case Stream():
            return _datastream(entity.name, entity.of)
        case Quantity():
            return _quantity(entity.of)
        case Quarter():
            return _quarter(entity.kind.plural, entity.of)
        case Source():
            return _thing(entity.of) if entity.kind.plural == "Things" else _sensor(entity.of)


def _thing(source: Source) -> dict[str, Any]:
    quarter = source.quarter
    return {
        "name": source.title,
        "description": f"{quarter.zh} {source.zh} · {quarter.en}, {source.en}",
        "properties": {
            "site": quarter.name, source.what: source.name, "label": {"zh": source.zh, "en": source.en},
            "indicative": source.indicative, **(source.more or {}),
        },
    }  # fmt: skip


def _sensor(source: Source) -> dict[str, Any]:
    kind = "噪声监测仪 · Sound level meter" if source.what == "device" else "水表 · Water meter"
    return {
        "name": source.title,
        "description": kind,
        "encodingType": "text/html",
        "metadata": f"{kind}. {_INDICATIVE if source.indicative else _APPROVED}",
        "properties": {"indicative": source.indicative},
    }


def _datastream(name: str, stream: Stream) -> dict[str, Any]:
    quantity = stream.quantity
    zh, en = _EACH[stream.step]
    unit, definition = _UNITS[quantity.unit]
    standing = _INDICATIVE if stream.source.indicative else _APPROVED
    return {
        "name": name,
        "description": f"{quantity.zh}（{zh}）· {quantity.en}, {en}. {standing}",
        "unitOfMeasurement": {"name": unit, "symbol": quantity.unit, "definition": definition},
        "observationType": "http://www.opengis.net/def/observationType/OGC-OM/2.0/OM_Measurement",
        "properties": {"step": stream.step, "quantity": quantity.key, "indicative": stream.source.indicative},
    }


def _quantity(quantity: Quantity) -> dict[str, Any]:
    return {
        "name": quantity.en,
        "definition": f"urn:quietwater:quantity:{quantity.key}",
        "description": f"{quantity.zh} · {quantity.en} ({quantity.unit})",
        "properties": {
            "averaging": quantity.averaging,
            **({"hj212": quantity.hj212} if quantity.hj212 else {}),
        },
    }


def _quarter(plural: str, quarter: Quarter) -> dict[str, Any]:
    place = {
        "name": quarter.name, "description": f"{quarter.zh} · {quarter.en}", "encodingType": _GEOJSON,
        "properties": {
            "site": quarter.name, "label": {"zh": quarter.zh, "en": quarter.en}, "district": quarter.district,
        },
    }  # fmt: skip
    if plural == "Locations":
        return {**place, "location": quarter.point()}
    return {**place, "feature": {"type": "Feature", "geometry": quarter.point(), "properties": {}}}


def _observation(stream: Stream, point: Point) -> dict[str, Any]:
    return {
        "phenomenonTime": text(point.t) if point.end is None else f"{text(point.t)}/{text(point.end)}",
        "resultTime": None if point.result_at is None else text(point.result_at),
        "result": point.result,
        "resultQuality": {"indicative": stream.source.indicative, **point.quality},
        "parameters": dict(point.parameters),
    }


def text(t: datetime) -> str:
    """Return a time as the API writes it."""
    return t.isoformat().replace("+00:00", "Z")
