"""A plain ground plan for a map without tiles: GeoJSON (RFC 7946) of the districts and a grid. Pure.

The outline of a district is the convex hull of its quarters with a margin: it says where they are, not where the
administrative border runs. A bureau that has a plan of its own configures it instead.
"""

from __future__ import annotations

import json
import math
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

Point = tuple[float, float]
"""Longitude and latitude, degrees."""

_MARGIN_KM: Final = 0.8
_CORNERS: Final = 12
_KM_PER_DEGREE: Final = 111.32
_GRID_STEPS_DEG: Final = (0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0)
_MOST_LINES: Final = 8
_MOST_BYTES: Final = 8 << 20


class BadGroundPlan(ValueError):
    """A ground plan that cannot be shown; the text says why."""


@dataclass(frozen=True, slots=True)
class PlacedSite:
    """A quarter with a place."""

    district: str
    longitude: float
    latitude: float


def ground_plan(sites: Sequence[PlacedSite]) -> dict[str, Any]:
    """Return a feature for the outline of each district and for each line of a grid; none without a site."""
    if not sites:
        return _collection([])
    corners: dict[str, list[Point]] = defaultdict(list)
    for one in sites:
        corners[one.district].extend(_around((one.longitude, one.latitude)))
    outlines = {district: _hull(points) for district, points in sorted(corners.items())}
    every = [point for outline in outlines.values() for point in outline]
    return _collection(
        [*_grid(every), *(_outline(district, points) for district, points in outlines.items())]
    )


def read_ground_plan(path: Path) -> dict[str, Any]:
    """Return a bureau's own plan from a GeoJSON file. Raises :class:`BadGroundPlan`."""
    try:
        if path.stat().st_size > _MOST_BYTES:
            raise BadGroundPlan(f"{path} has more than {_MOST_BYTES >> 20} MB; simplify its lines")
        plan = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise BadGroundPlan(f"cannot read the ground plan {path}: {error.strerror}") from error
    except ValueError as error:
        if isinstance(error, BadGroundPlan):
            raise
        raise BadGroundPlan(f"{path} is not JSON: {error}") from error
    if not isinstance(plan, dict) or plan.get("type") not in ("FeatureCollection", "Feature"):
        raise BadGroundPlan(f"{path} is not GeoJSON: it must be a FeatureCollection or a Feature")
    return plan


def _collection(features: Iterable[dict[str, Any]]) -> dict[str, Any]:
    return {"type": "FeatureCollection", "features": list(features)}


def _around(point: Point) -> list[Point]:
    """Return the corners of a circle of the margin around a point."""
    longitude, latitude = point
    north = _MARGIN_KM / _KM_PER_DEGREE
    east = north / max(0.1, math.cos(math.radians(latitude)))
    angles = [2 * math.pi * n / _CORNERS for n in range(_CORNERS)]
    return [(longitude + east * math.cos(one), latitude + north * math.sin(one)) for one in angles]


def _hull(points: Iterable[Point]) -> list[Point]:
    """Return the convex hull, anticlockwise (monotone chain)."""
    ordered = sorted(set(points))
    return _chain(ordered)[:-1] + _chain(ordered[::-1])[:-1]


def _chain(ordered: Sequence[Point]) -> list[Point]:
    chain: list[Point] = []
    for point in ordered:
        while len(chain) > 1 and _turn(chain[-2], chain[-1], point) <= 0:
            chain.pop()
        chain.append(point)
    return chain


def _turn(a: Point, b: Point, c: Point) -> float:
    return (b[0] - a[0]) * (c[1] - a[1]) - (b[1] - a[1]) * (c[0] - a[0])


def _outline(district: str, points: Sequence[Point]) -> dict[str, Any]:
    ring = [_rounded(point) for point in [*points, points[0]]]
    return _feature("district", district, {"type": "Polygon", "coordinates": [ring]})


def _grid(points: Sequence[Point]) -> list[dict[str, Any]]:
    west, east = min(x for x, _ in points), max(x for x, _ in points)
    south, north = min(y for _, y in points), max(y for _, y in points)
    widest = max(east - west, north - south)
    step = next((one for one in _GRID_STEPS_DEG if widest / one <= _MOST_LINES), _GRID_STEPS_DEG[-1])
    lines = []
    for x in _multiples(west, east, step):
        ends = [(x, south - step), (x, north + step)]
        lines.append(_line(f"{abs(x):g}°{'E' if x >= 0 else 'W'}", ends))
    for y in _multiples(south, north, step):
        ends = [(west - step, y), (east + step, y)]
        lines.append(_line(f"{abs(y):g}°{'N' if y >= 0 else 'S'}", ends))
    return lines


def _multiples(least: float, most: float, step: float) -> list[float]:
    first, last = math.floor(least / step), math.ceil(most / step)
    return [round(n * step, 6) for n in range(first, last + 1)]


def _line(name: str, ends: Sequence[Point]) -> dict[str, Any]:
    coordinates = [_rounded(point) for point in ends]
    return _feature("grid", name, {"type": "LineString", "coordinates": coordinates})


def _feature(kind: str, name: str, geometry: dict[str, Any]) -> dict[str, Any]:
    return {"type": "Feature", "properties": {"kind": kind, "name": name}, "geometry": geometry}


def _rounded(point: Point) -> list[float]:
    return [round(point[0], 5), round(point[1], 5)]
