"""The ways out of the server that ``uplinks.toml`` names, as parts of the process that serves."""

from __future__ import annotations

from pathlib import Path

from api.uplinks.config import read_uplinks
from api.uplinks.hj212.service import Hj212Uplink
from api.uplinks.home_assistant.service import HomeAssistantUplink
from contract.clock import Clock
from store.registry.database import Registry
from store.series.interface import SeriesStore


def uplinks(
    folder: Path, series: SeriesStore, registry: Registry, clock: Clock
) -> list[tuple[str, Hj212Uplink | HomeAssistantUplink]]:
    """Return the uplinks of a data folder by their names for ``/metrics``, not started yet.

    Raises ``BadUplinks`` for a file that cannot be understood.
    """
    wanted = read_uplinks(folder)
    platforms = [
        (f"hj212_{name.replace('-', '_')}", Hj212Uplink(name, config, folder, series, registry, clock))
        for name, config in wanted.hj212.items()
    ]
    homes = [
        (
            f"home_assistant_{name.replace('-', '_')}",
            HomeAssistantUplink(name, config, series, registry, clock),
        )
        for name, config in wanted.home_assistant.items()
    ]
    return [*platforms, *homes]
