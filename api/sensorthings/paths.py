"""Resource paths of SensorThings (OGC 18-088, clause 9.2): ``Things('id')/Datastreams``. Pure."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

from api.sensorthings.faults import BadQuery

_LONGEST: Final = 12
_SEGMENT: Final = re.compile(r"(\$?[A-Za-z]+)(?:\((?:'((?:[^']|'')*)'|([^()']*))\))?")


@dataclass(frozen=True, slots=True)
class Segment:
    """One step of a path: a set, a navigation or a property, with the id of one entity where it names one."""

    name: str
    key: str | None = None

    def __str__(self) -> str:
        """Return it as it stands in a path."""
        return self.name if self.key is None else f"{self.name}({quoted(self.key)})"


def parse_path(path: str) -> list[Segment]:
    """Return the steps of a path below the service's root. Raises ``BadQuery``."""
    steps = [_segment(part) for part in _split(path)]
    if len(steps) > _LONGEST:
        raise BadQuery("path", f"the path has more than {_LONGEST} steps")
    return steps


def quoted(key: str) -> str:
    """Return an id as a path and a filter write it."""
    return "'" + key.replace("'", "''") + "'"


def _split(path: str) -> list[str]:
    """Split at slashes outside of quotes; one slash at the end is nothing."""
    parts, inside, begin = [], False, 0
    path = path.removesuffix("/")
    for i, letter in enumerate(path):
        if letter == "'":
            inside = not inside
        elif letter == "/" and not inside:
            parts.append(path[begin:i])
            begin = i + 1
    return [*parts, path[begin:]]


def _segment(text: str) -> Segment:
    found = _SEGMENT.fullmatch(text)
    if not found:
        raise BadQuery("path", f"{text[:80]!r} is no step of a path, such as Things or Things('id')")
    name, key, bare = found.groups()
    if key is not None:
        return Segment(name, key.replace("''", "'"))
    return Segment(name, bare)
