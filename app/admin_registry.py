"""``quietwater admin move-registry``: from the embedded registry to a server, or back."""

from __future__ import annotations

import os
from datetime import UTC, datetime
from pathlib import Path

import click

from app.server_registry import open_registry
from store.registry.address import BadRegistryAddress, SqliteAddress, parse_registry
from store.registry.option import chosen_registry


@click.command("move-registry")
@click.option("--to", "target", required=True, metavar="ADDRESS",
              help="Where it shall be: postgresql://user@host/database, password as for --registry.")  # fmt: skip
@click.pass_obj
def move_registry(data: Path, target: str) -> None:
    """Move the registry into an empty PostgreSQL database, with everything in it. Stop the server before.

    All rows go over in one transaction and are counted on both sides. The file is kept under another name, so that
    nothing goes on with it by mistake; start the server with --registry (or QUIETWATER_REGISTRY) from then on.

    \b
    Example:
      QUIETWATER_REGISTRY_PASSWORD_FILE=/etc/quietwater/registry.password \\
        quietwater admin --data /var/lib/quietwater move-registry --to postgresql://quietwater@db.example/quietwater
    """
    from app.lock import FolderInUse, PartLocks
    from store.registry.copying import CopyRefused, copy_registry
    from store.registry.database import RegistryUnavailable

    source = chosen_registry(data)
    try:
        address = parse_registry(target, os.environ)
    except BadRegistryAddress as error:
        raise click.BadParameter(str(error), param_hint="--to") from error
    if address == source:
        raise click.UsageError(f"the registry is at {source} already")
    try:
        locks = PartLocks.of_every_part(data)
    except (FolderInUse, OSError) as error:
        raise click.ClickException(f"stop the server first: {error}") from error
    try:
        here = open_registry(data)
        try:
            there = address.open()
            try:
                rows = copy_registry(here, there)
            finally:
                there.close()
        finally:
            here.close()
        kept = _put_aside(source.path) if isinstance(source, SqliteAddress) else None
    except (CopyRefused, RegistryUnavailable, OSError) as error:
        raise click.ClickException(f"nothing was moved: {error}") from error
    finally:
        locks.release()
    for table, count in rows.items():
        if count:
            click.echo(f"{table:24} {count:>9,}")
    click.echo(
        f"{sum(rows.values()):,} rows are in {address} now; start the server with --registry {address}"
    )
    if kept is not None:
        click.echo(f"the file is kept as {kept}")


def _put_aside(path: Path) -> Path:
    kept = path.with_name(f"{path.stem}.moved-{datetime.now(UTC):%Y%m%dT%H%M%S}{path.suffix}")
    path.rename(kept)
    return kept
