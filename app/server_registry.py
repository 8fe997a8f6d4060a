"""The registry of a server, for commands that work beside the server."""

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
    from store.registry.database import RegistryUnavailable
    from store.registry.models import AuditEntry

    registry = open_registry(data)
    try:
        with registry.session() as session:
            yield session
            session.add(
                AuditEntry(at=datetime.now(UTC), who=operator(), action=action, target=target, detail=detail)
            )
    except (ValueError, LookupError, RegistryUnavailable) as error:
        raise click.ClickException(str(error)) from error
    finally:
        registry.close()


@contextmanager
def reading(data: Path) -> Iterator[Session]:
    """Yield a session that only reads."""
    from store.registry.database import RegistryUnavailable

    registry = open_registry(data)
    try:
        with registry.reader() as session:
            yield session
    except RegistryUnavailable as error:
        raise click.ClickException(str(error)) from error
    finally:
        registry.close()


def open_registry(data: Path) -> Registry:
    """Return the registry that ``--registry`` names, else that of a server's folder.

    Raises ``ClickException`` where there is none yet, or where it does not answer.
    """
    from store.registry.address import NoRegistry, open_existing
    from store.registry.database import RegistryUnavailable
    from store.registry.option import chosen_registry

    try:
        return open_existing(chosen_registry(data))
    except (NoRegistry, RegistryUnavailable) as error:
        raise click.ClickException(str(error.args[0])) from error
