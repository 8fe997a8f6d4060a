"""The ways out of the server that ``uplinks.toml`` names, as parts of the process that serves."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path

from api.uplinks.config import read_uplinks
from api.uplinks.hj212.service import Hj212Uplink
from api.uplinks.home_assistant.service import HomeAssistantUplink
from contract.clock import Clock
from store.registry.database import Registry
from store.series.interface import SeriesStore


def uplinks(
    folder: Path, series: SeriesStore, registry: Registry, clock: Clock
) -> dict[str, Callable[[], Hj212Uplink | HomeAssistantUplink]]:
    """Return what makes the uplinks of a data folder, by their names for ``/metrics``.

    Raises ``BadUplinks`` for a file that cannot be understood.
    """
    wanted = read_uplinks(folder)
    made: dict[str, Callable[[], Hj212Uplink | HomeAssistantUplink]] = {}
    for name, platform in wanted.hj212.items():
        made[f"hj212_{name.replace('-', '_')}"] = partial(
            Hj212Uplink, name, platform, folder, series, registry, clock
        )
    for name, home in wanted.home_assistant.items():
        made[f"home_assistant_{name.replace('-', '_')}"] = partial(
            HomeAssistantUplink, name, home, series, registry, clock
        )
    return made
