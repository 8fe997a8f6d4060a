"""The query options of SensorThings (OGC 18-088, clause 9.3), parsed. Pure.

Everything that is not understood or not offered is a :class:`~api.sensorthings.faults.Fault` that names it; nothing is
left out silently.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from api.sensorthings.conditions import Condition, parse_filter
from api.sensorthings.faults import BadQuery, NotOffered
from api.sensorthings.model import ID, KINDS, Kind

MOST: Final = 1000
"""Entities of a page at most: as the standard says, a larger ``$top`` gives pages of this size."""
USUAL: Final = 100
MOST_SKIPPED: Final = 10_000
_LONGEST: Final = 4000
_COLLECTION_OPTIONS: Final = frozenset({"$top", "$skip", "$count", "$orderby", "$filter", "$skiptoken"})
_OPTIONS: Final = _COLLECTION_OPTIONS | {"$select", "$expand"}
_NOT_OFFERED: Final = frozenset(
    {
        "$search",
        "$apply",
        "$compute",
        "$format",
        "$resultFormat",
        "$resultMetadata",
        "$levels",
        "$index",
        "$value",
    }
)
_NAME: Final = re.compile(r"@?[A-Za-z][A-Za-z0-9_.]*")
_ITEM: Final = re.compile(r"([A-Za-z@][\w.@]*)(?:\s*(\(.*\)))?", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Order:
    """One key of ``$orderby``."""

    name: str
    descending: bool = False


@dataclass(frozen=True, slots=True)
class Expand:
    """A navigation to be written into the answer, with options of its own."""

    name: str
    options: Options


@dataclass(frozen=True, slots=True)
class Options:
    """What a request asks for. ``after`` is the place where a page goes on; ``raw`` are the options as they came."""

    top: int | None = None
    skip: int = 0
    count: bool = False
    orders: tuple[Order, ...] = ()
    conditions: tuple[Condition, ...] = ()
    select: tuple[str, ...] = ()
    expands: tuple[Expand, ...] = ()
    after: int | None = None
    raw: tuple[tuple[str, str], ...] = ()

    def page(self, most: int = MOST) -> int:
        """Return how many entities the answer holds at most."""
        return min(USUAL if self.top is None else self.top, most)


def parse_options(
    items: Iterable[tuple[str, str]], kind: Kind, *, collection: bool, nested: bool = False
) -> Options:
    """Return the options of a request for ``kind``; ``nested`` are those within an ``$expand``. Raises ``Fault``."""
    given = _named_once(items)
    for name, text in given.items():
        if len(text) > _LONGEST:
            raise BadQuery(name, f"{name} is longer than {_LONGEST} characters")
        if not collection and name in _COLLECTION_OPTIONS:
            raise BadQuery(name, f"{name} is for collections; this is a single entity")
    if nested and "$expand" in given:
        raise NotOffered(
            "$expand", "$expand goes one level deep; ask for what lies deeper by its navigation link"
        )
    top = _number(given, "$top", 10**9)
    return Options(
        top=top, skip=_number(given, "$skip", MOST_SKIPPED) or 0, count=_truth(given.get("$count", "false")),
        orders=tuple(_orders(given["$orderby"], kind)) if "$orderby" in given else (),
        conditions=parse_filter(given["$filter"], kind) if "$filter" in given else (),
        select=tuple(_selected(given["$select"], kind)) if "$select" in given else (),
        expands=tuple(_expanded(given["$expand"], kind)) if "$expand" in given else (),
        after=_number(given, "$skiptoken", 10**16), raw=tuple(given.items()),
    )  # fmt: skip


def _named_once(items: Iterable[tuple[str, str]]) -> dict[str, str]:
    given: dict[str, str] = {}
    for name, text in items:
        if name in _NOT_OFFERED:
            raise NotOffered(name, f"{name} is not offered; there are {', '.join(sorted(_OPTIONS))}")
        if name not in _OPTIONS:
            raise BadQuery(
                name[:80], f"unknown option {name[:80]!r}; there are {', '.join(sorted(_OPTIONS))}"
            )
        if name in given:
            raise BadQuery(name, f"{name} is given twice")
        given[name] = text
    return given


def _number(given: dict[str, str], name: str, most: int) -> int | None:
    text = given.get(name)
    if text is None:
        return None
    if not re.fullmatch(r"[0-9]{1,18}", text, re.ASCII):
        raise BadQuery(name, f"{name} is a whole number that is not negative, not {text[:40]!r}")
    if int(text) > most:
        raise BadQuery(name, f"{name} is {most} at most; go on by @iot.nextLink, or narrow $filter")
    return int(text)


def _truth(text: str) -> bool:
    if text not in ("true", "false"):
        raise BadQuery("$count", f"$count is true or false, not {text[:40]!r}")
    return text == "true"


def _orders(text: str, kind: Kind) -> Iterator[Order]:
    for part in _parts(text, ",", "$orderby"):
        name, *rest = part.split()
        if len(rest) > 1 or (rest and rest[0] not in ("asc", "desc")):
            raise BadQuery("$orderby", f"{part[:80]!r} is not a property with asc or desc behind it")
        name = canonical(name)
        if name not in kind.orders:
            known = name.split("/")[0] in (*kind.properties, *kind.navigations, ID)
            fault = NotOffered if known else BadQuery
            raise fault(
                "$orderby",
                f"{kind.plural} are ordered by {', '.join(sorted(kind.orders))}, not by {name[:80]!r}",
            )
        yield Order(name, rest == ["desc"])


def _selected(text: str, kind: Kind) -> Iterator[str]:
    for part in _parts(text, ",", "$select"):
        name = canonical(part)
        if "/" in name and name.split("/")[0] in kind.properties:
            raise NotOffered("$select", f"$select takes whole properties, not {name[:80]!r}")
        if name not in (ID, "@iot.selfLink", *kind.properties, *kind.navigations):
            raise BadQuery("$select", f"{kind.plural} have no {name[:80]!r}; {_has(kind)}")
        yield name


def _expanded(text: str, kind: Kind) -> Iterator[Expand]:
    seen: set[str] = set()
    for part in _parts(text, ",", "$expand"):
        if "/" in part.partition("(")[0]:
            first = part.partition("/")[0]
            fault = NotOffered if kind.leads_to(first) else BadQuery
            raise fault("$expand", f"$expand goes one level deep; {part[:80]!r} goes deeper")
        found = _ITEM.fullmatch(part)
        name, options = found.groups() if found else (part, None)
        target = kind.leads_to(name)
        if target is None:
            raise BadQuery(
                "$expand", f"{kind.plural} lead to {', '.join(kind.navigations)}, not to {name[:80]!r}"
            )
        if name in seen:
            raise BadQuery("$expand", f"{name} is expanded twice")
        seen.add(name)
        items = _nested_items(options[1:-1]) if options else []
        yield Expand(name, parse_options(items, KINDS[target], collection=name in kind.many, nested=True))


def _nested_items(text: str) -> Sequence[tuple[str, str]]:
    items = []
    for part in _parts(text, ";", "$expand"):
        name, equals, value = part.partition("=")
        if not equals:
            raise BadQuery("$expand", f"{part[:80]!r} within $expand is not an option such as $top=1")
        items.append((name.strip(), value.strip()))
    return items


def _parts(text: str, border: str, where: str) -> list[str]:
    """Split at ``border`` outside of brackets and quoted texts; no part may be empty."""
    parts, depth, quoted, begin = [], 0, False, 0
    for i, letter in enumerate(text):
        if letter == "'":
            quoted = not quoted
        elif not quoted and letter in "()":
            depth += 1 if letter == "(" else -1
        elif not quoted and depth == 0 and letter == border:
            parts.append(text[begin:i].strip())
            begin = i + 1
        if depth < 0:
            break
    if quoted or depth != 0:
        raise BadQuery(where, f"brackets or quotes of {where} do not close")
    parts.append(text[begin:].strip())
    if not all(parts):
        raise BadQuery(where, f"a part of {where} is empty")
    return parts


def canonical(name: str) -> str:
    """Return the one name of an entity's id, which may be asked for as ``id`` too."""
    return ID if name == "id" else name


def _has(kind: Kind) -> str:
    return f"they have {', '.join((ID, *kind.properties, *kind.navigations))}"
