"""Answer a path and its options: walk to the entity or collection, page it, write it out, expand it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final
from urllib.parse import quote, urlencode

from api.sensorthings import entities as make
from api.sensorthings.entities import Entity, Observation, Quantity, Quarter, Source, Stream, link, write
from api.sensorthings.faults import BadQuery, NotOffered
from api.sensorthings.inventory import Inventory
from api.sensorthings.model import KINDS, Kind
from api.sensorthings.observations import count_of, page_of
from api.sensorthings.paths import Segment, parse_path
from api.sensorthings.query import MOST, Options, parse_options
from api.sensorthings.readers import MANY, Readers
from api.sensorthings.readings import MICROSECOND

_MOST_EXPANDED: Final = 100
"""Entities of an expanded collection at most, and entities of a page that has one."""
_MOST_WITH_OBSERVATIONS: Final = 20
"""Datastreams of a page that has their observations expanded."""
_SAFE: Final = "$'(),;:@/"


class Missing(LookupError):
    """There is nothing there, or nothing that the user may see; the message says what was asked for."""


@dataclass(frozen=True, slots=True)
class _Collection:
    """A set of entities: all of a kind, or those that hang on ``parent``."""

    kind: Kind
    parent: Entity | None
    address: str
    tail: str = ""


@dataclass(frozen=True, slots=True)
class _Property:
    entity: Entity
    name: str


@dataclass(frozen=True, slots=True)
class Service:
    """Answers one request. ``root`` is the service's own address."""

    inventory: Inventory
    readers: Readers
    root: str

    def answer(self, path: str, items: Sequence[tuple[str, str]]) -> dict[str, Any] | str:
        """Return what JSON has to say, or a bare text for ``$value``. Raises ``Fault`` and :class:`Missing`."""
        steps = parse_path(path)
        last = steps[-1].name if len(steps) > 1 else ""
        if last.startswith("$"):
            return self._special(steps[:-1], last, items)
        target = self._walk(steps)
        if isinstance(target, _Collection):
            options = parse_options(items, target.kind, collection=True)
            return self._collection(target, options, self._page_size(options, target.kind))
        if isinstance(target, Entity):
            return self._entity(target, parse_options(items, target.kind, collection=False))
        _take_no_options(items)
        return {target.name: write(target.entity, self.root)[target.name]}

    def _special(
        self, steps: Sequence[Segment], what: str, items: Sequence[tuple[str, str]]
    ) -> dict[str, Any] | str:
        target = self._walk(steps)
        if what == "$value" and isinstance(target, _Property):
            _take_no_options(items)
            return _bare(write(target.entity, self.root)[target.name])
        if what == "$ref" and isinstance(target, _Collection):
            options = parse_options(items, target.kind, collection=True)
            if options.select or options.expands:
                raise BadQuery("$ref", "$ref gives addresses alone: it takes neither $select nor $expand")
            page = self._collection(replace(target, tail="/$ref"), options, options.page())
            return {**page, "value": [{"@iot.selfLink": one["@iot.selfLink"]} for one in page["value"]]}
        if what in ("$value", "$ref"):
            of = "a property" if what == "$value" else "a collection"
            raise BadQuery("path", f"{what} stands behind {of}")
        raise NotOffered("path", f"{what[:40]!r} is not offered in a path; there are $ref and $value")

    def _walk(self, steps: Sequence[Segment]) -> _Collection | Entity | _Property:
        target: _Collection | Entity | _Property = self._first(steps[0])
        for step in steps[1:]:
            if isinstance(target, _Collection):
                raise BadQuery(
                    "path", f"name one of {target.kind.plural} by its id before {str(step)[:80]!r}"
                )
            if isinstance(target, _Property):
                raise BadQuery("path", f"nothing lies behind the property {target.name!r}")
            target = self._next(target, step)
        return target

    def _first(self, step: Segment) -> _Collection | Entity:
        kind = KINDS.get(step.name)
        if kind is None:
            raise Missing(f"{step.name[:80]!r} (there are {', '.join(KINDS)})")
        if step.key is None:
            return _Collection(kind, None, f"{self.root}/{kind.plural}")
        return self._found(self._by_id(kind, step.key), step)

    def _next(self, entity: Entity, step: Segment) -> _Collection | Entity | _Property:
        kind = entity.kind
        if step.name in kind.properties and step.key is None:
            return _Property(entity, step.name)
        target = kind.leads_to(step.name)
        if target is None:
            raise Missing(f"{str(step)[:120]!r} of {kind.plural}")
        if step.name in kind.one and step.key is not None:
            raise BadQuery("path", f"{step.name} leads to one entity: leave its id out")
        if step.name in kind.one:
            return self._found(self._related(entity, step.name)[0], step)
        if step.key is None:
            return _Collection(KINDS[target], entity, f"{link(self.root, entity)}/{step.name}")
        found = self._by_id(KINDS[target], step.key)
        return self._found(found if found and self._belongs(found, entity) else None, step)

    def _found(self, entity: Entity | None, step: Segment) -> Entity:
        if entity is None:
            raise Missing(str(step)[:200])
        return entity

    def _belongs(self, entity: Entity, parent: Entity) -> bool:
        if isinstance(entity.of, Observation):
            stream = entity.of.stream
            return parent.of in (stream, stream.source.quarter)
        return any(entity.id == one.id for one in self._related(parent, entity.kind.plural))

    def _by_id(self, kind: Kind, key: str) -> Entity | None:
        match kind.plural:
            case "Things" | "Sensors":
                source = self.inventory.source(key)
                found = source and (make.thing(source) if kind.plural == "Things" else make.sensor(source))
                return found if source and (source.measures or kind.plural == "Things") else None
            case "Locations" | "FeaturesOfInterest":
                quarter = self.inventory.quarter(key)
                if quarter is None or (kind.plural == "Locations" and not quarter.is_located):
                    return None
                return make.location(quarter) if kind.plural == "Locations" else make.feature(quarter)
            case "Datastreams":
                stream = self.inventory.stream(key)
                return make.datastream(stream) if stream else None
            case "ObservedProperties":
                return make.observed_property(key) if key in make.OBSERVED else None
            case "Observations":
                return self._observation(key)
        return None

    def _observation(self, key: str) -> Entity | None:
        names = make.observation_names(key)
        stream = self.inventory.stream(names[0]) if names else None
        if names is None or stream is None:
            return None
        points, _ = self.readers.of(stream, 1).read(names[1], names[1] + MICROSECOND)
        return make.observation(stream, points[0]) if points else None

    def _all(self, kind: Kind) -> list[Entity]:
        inventory = self.inventory
        match kind.plural:
            case "Things":
                return [make.thing(one) for one in inventory.sources()]
            case "Sensors":
                return [make.sensor(one) for one in inventory.sources() if one.measures]
            case "Locations":
                return [make.location(one) for one in inventory.quarters() if one.is_located]
            case "FeaturesOfInterest":
                return [make.feature(one) for one in inventory.quarters()]
            case "Datastreams":
                return [make.datastream(s) for one in inventory.sources() for s in make.streams_of(one)]
            case "ObservedProperties":
                return [make.observed_property(key) for key in make.OBSERVED]
        return []  # HistoricalLocations: a quarter does not move

    def _related(self, entity: Entity, navigation: str) -> list[Entity]:
        match entity.of, navigation:
            case Observation(stream, _), "Datastream":
                return [make.datastream(stream)]
            case Observation(stream, _), "FeatureOfInterest":
                return [make.feature(stream.source.quarter)]
            case Stream(), "ObservedProperty":
                return [make.observed_property(entity.of.quantity.key)]
            case Stream(), "Thing":
                return [make.thing(entity.of.source)]
            case Stream(), "Sensor":
                return [make.sensor(entity.of.source)]
            case Source(), "Datastreams":
                return [make.datastream(one) for one in make.streams_of(entity.of)]
            case Source(), "Locations":
                return [make.location(entity.of.quarter)] if entity.of.quarter.is_located else []
            case Quarter(), "Things":
                return [make.thing(one) for one in self.inventory.sources_of(entity.of)]
            case Quantity(), "Datastreams":
                return [one for one in self._all(KINDS["Datastreams"]) if _observes(one, entity.of)]
        return []  # HistoricalLocations

    def _page_size(self, options: Options, kind: Kind) -> int:
        many = [one.name for one in options.expands if one.name in kind.many]
        if "Observations" in many:
            return options.page(_MOST_WITH_OBSERVATIONS)
        return options.page(_MOST_EXPANDED if many else MOST)

    def _collection(self, of: _Collection, options: Options, size: int) -> dict[str, Any]:
        if of.kind.plural == "Observations":
            return self._observations(of, options, size)
        if options.after is not None:
            raise BadQuery(
                "$skiptoken", f"$skiptoken is for Observations; pages of {of.kind.plural} go on by $skip"
            )
        everything = self._all(of.kind) if of.parent is None else self._related(of.parent, of.kind.plural)
        fitting = _ordered(_fitting(everything, options), options)
        shown = fitting[options.skip : options.skip + size]
        after = options.skip + len(shown)
        more = {"$skip": str(after)} if shown and after < len(fitting) else None
        return self._written(of, options, shown, len(fitting) if options.count else None, more)

    def _observations(self, of: _Collection, options: Options, size: int) -> dict[str, Any]:
        if of.parent is None or not isinstance(of.parent.of, Stream):
            raise NotOffered(
                "path",
                "Observations across datastreams are not offered; ask for Datastreams('id')/Observations",
            )
        stream, horizon = of.parent.of, self.readers.horizon()
        picky = any(one.name == "result" for one in options.conditions)
        wanted = MANY if picky else options.skip + size + 1
        page = page_of(self.readers.of(stream, wanted), stream, options, horizon, size)
        shown = [make.observation(stream, one) for one in page.points]
        count = None
        if options.count:
            count = count_of(self.readers.of(stream, MANY), stream, options.conditions, horizon)
        more = None
        if page.after is not None:
            more = {"$skiptoken": str(page.after), **({"$skip": str(page.skip)} if page.skip else {})}
        return self._written(of, options, shown, count, more)

    def _written(
        self, of: _Collection, options: Options, shown: Iterable[Entity], count: int | None,
        more: Mapping[str, str] | None,
    ) -> dict[str, Any]:  # fmt: skip
        answer: dict[str, Any] = {} if count is None else {"@iot.count": count}
        if more:
            answer["@iot.nextLink"] = _next_link(of.address + of.tail, options, more)
        return {**answer, "value": [self._entity(one, options) for one in shown]}

    def _entity(self, entity: Entity, options: Options) -> dict[str, Any]:
        full = write(entity, self.root)
        if options.select:
            wanted = {*options.select, *(f"{one}@iot.navigationLink" for one in options.select)}
            full = {name: value for name, value in full.items() if name in wanted}
        for one in options.expands:
            full |= self._expanded(entity, one.name, one.options)
        return full

    def _expanded(self, entity: Entity, name: str, options: Options) -> dict[str, Any]:
        kind = entity.kind
        if name in kind.one:
            return {name: self._entity(self._related(entity, name)[0], options)}
        of = _Collection(KINDS[kind.many[name]], entity, f"{link(self.root, entity)}/{name}")
        page = self._collection(of, options, options.page(_MOST_EXPANDED))
        links = {f"{name}{key}": value for key, value in page.items() if key != "value"}
        return {name: page["value"], **links}


def root_document(root: str) -> dict[str, Any]:
    """Return the service's root (clause 9.2.1): its sets, and what of the standard it offers in full."""
    return {
        "value": [{"name": name, "url": f"{root}/{name}"} for name in KINDS],
        "serverSettings": {"conformance": ["http://www.opengis.net/spec/iot_sensing/1.1/req/datamodel"]},
    }


def _observes(entity: Entity, quantity: Quantity) -> bool:
    return isinstance(entity.of, Stream) and entity.of.quantity == quantity


def _fitting(entities: Iterable[Entity], options: Options) -> list[Entity]:
    return [one for one in entities if all(c.holds(one.field(c.name)) for c in options.conditions)]


def _ordered(entities: list[Entity], options: Options) -> list[Entity]:
    entities = sorted(entities, key=lambda one: one.id)
    for order in reversed(options.orders):
        entities.sort(key=lambda one, name=order.name: one.field(name), reverse=order.descending)
    return entities


def _next_link(address: str, options: Options, more: Mapping[str, str]) -> str:
    kept = [(name, text) for name, text in options.raw if name not in ("$skip", "$skiptoken")]
    return f"{address}?{urlencode([*kept, *more.items()], quote_via=quote, safe=_SAFE)}"


def _take_no_options(items: Sequence[tuple[str, str]]) -> None:
    if items:
        raise BadQuery(items[0][0][:80], f"a property takes no options; leave {items[0][0][:80]!r} out")


def _bare(value: object) -> str:
    if isinstance(value, dict | list):
        raise NotOffered("path", "$value of a property with parts is not offered; leave it out")
    return "" if value is None else str(value)
