"""The registry of a server's folder, for commands that work beside the server."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from store.registry.database import Registry


def open_registry(data: Path) -> Registry:
    """Return the registry of a server's folder. Raises ``ClickException`` where there is none yet."""
    from store.registry.database import Registry

    if not (data / "registry.sqlite").exists():
        raise click.ClickException(
            f"there is no registry in {data.absolute()}; name the server's folder with --data or QUIETWATER_DATA, "
            "or start `quietwater up` once"
        )
    return Registry.in_folder(data)
