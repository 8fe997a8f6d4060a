"""The options that say what the city's map is drawn on."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from api.ground_plan import BadGroundPlan, read_ground_plan
from api.map_tiles import BadTiles, TileLayer, tile_layer


def _layers(_ctx: click.Context, _parameter: click.Parameter, urls: tuple[str, ...]) -> tuple[TileLayer, ...]:
    try:
        return tuple(tile_layer(url) for url in urls)
    except BadTiles as error:
        raise click.BadParameter(str(error)) from error


def _plan(_ctx: click.Context, _parameter: click.Parameter, path: Path | None) -> dict[str, Any] | None:
    try:
        return read_ground_plan(path) if path is not None else None
    except BadGroundPlan as error:
        raise click.BadParameter(str(error)) from error


def map_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add ``tiles`` and ``ground`` to a command."""
    for option in (
        click.option("--map-tiles", "tiles", multiple=True, envvar="QUIETWATER_MAP_TILES", metavar="URL",
                     callback=_layers,
                     help="A layer of map tiles, an address with {z}, {x}, {y} (and {s}); more of them lie above it. "
                     "Browsers then load tiles from there. Without one the map is a plain plan that works offline."),
        click.option("--map-ground", "ground", type=click.Path(dir_okay=False, path_type=Path), callback=_plan,
                     envvar="QUIETWATER_MAP_GROUND", metavar="FILE",
                     help="A GeoJSON file to draw the map on where there are no tiles."),
    ):  # fmt: skip
        command = option(command)
    return command
