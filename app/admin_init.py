"""``quietwater admin init``: make a server's folder before any of its parts runs."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import click


@click.command()
@click.pass_obj
def init(data: Path) -> None:
    """Make the server's folder with its registry, and the user admin; its password is printed once.

    What is there already stays as it is. `quietwater up` does the same by itself.

    \b
    Example:
      sudo -u quietwater quietwater admin --data /var/lib/quietwater init
    """
    from store.registry.database import RegistryUnavailable
    from store.registry.option import chosen_registry
    from store.registry.users import ensure_admin

    try:
        data.mkdir(parents=True, exist_ok=True)
        registry = chosen_registry(data).open()
    except OSError as error:
        raise click.ClickException(f"{error.filename or data}: {error.strerror}") from error
    except RegistryUnavailable as error:
        raise click.ClickException(str(error)) from error
    try:
        with registry.session() as session:
            password = ensure_admin(session, datetime.now(UTC))
    finally:
        registry.close()
    if password is None:
        click.echo(f"{data} is in order; its users stay as they are")
    else:
        click.echo(f"user admin, password {password}   (shown once)")
