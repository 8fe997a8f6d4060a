"""The registry of a server's folder, for commands that work beside the server."""

from __future__ import annotations

import getpass
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from sqlalchemy.orm import Session

    from store.registry.database import Registry


def operator() -> str:
    """Return whom the audit log names for a change on the command line."""
    return f"cli:{getpass.getuser()}"[:64]


@contextmanager
def changing(data: Path, action: str, target: str, **detail: Any) -> Iterator[Session]:
    """Yield a session that commits together with its line in the audit log; name what is wrong in one line."""
    from store.registry.models import AuditEntry

    registry = open_registry(data)
    try:
        with registry.session() as session:
            yield session
            session.add(
                AuditEntry(at=datetime.now(UTC), who=operator(), action=action, target=target, detail=detail)
            )
    except (ValueError, LookupError) as error:
        raise click.ClickException(str(error)) from error
    finally:
        registry.close()


@contextmanager
def reading(data: Path) -> Iterator[Session]:
    """Yield a session that only reads."""
    registry = open_registry(data)
    try:
        with registry.reader() as session:
            yield session
    finally:
        registry.close()


def open_registry(data: Path) -> Registry:
    """Return the registry of a server's folder. Raises ``ClickException`` where there is none yet."""
    from store.registry.database import Registry

    if not (data / "registry.sqlite").exists():
        raise click.ClickException(
            f"there is no registry in {data.absolute()}; name the server's folder with --data or QUIETWATER_DATA, "
            "or start `quietwater up` once"
        )
    return Registry.in_folder(data)
