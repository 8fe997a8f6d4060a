"""``quietwater backup`` and ``restore``: everything that a server keeps, as one folder with checksums."""

from __future__ import annotations

from pathlib import Path

import click

from app.settings import DEFAULT_DATA, ServerSettings
from app.store_option import store_option
from store.registry.option import chosen_registry, registry_option
from store.series.address import StoreAddress

_FOLDER = click.Path(file_okay=False, path_type=Path)


@click.command()
@click.argument("target", type=_FOLDER)
@click.option("--data", type=_FOLDER, default=DEFAULT_DATA, show_default=True, envvar="QUIETWATER_DATA",
              help="Folder of everything that is kept.")  # fmt: skip
@registry_option
@store_option
def backup(target: Path, data: Path, store: StoreAddress | None) -> None:
    """Copy everything into the new folder TARGET: series, registry, secrets and files. Works while the server runs.

    The series are those of one moment, the registry is of a moment later. TARGET appears when it is whole, with a
    SHA-256 of every file. It holds secrets: keep it where only you can read it.

    \b
    Examples:
      quietwater backup /mnt/backup/2026-03-01
      quietwater backup --data /var/lib/quietwater --store http://influxdb:8086 /mnt/backup/2026-03-01
    """
    from app.backup_files import BackupFailed, make_backup
    from app.whole_file import ended_cleanly

    settings = ServerSettings(data=data, store=store, registry_address=chosen_registry(data))
    try:
        with ended_cleanly(), click.progressbar(length=1000, label="copying the series") as bar:
            made = make_backup(
                settings, target, lambda share: bar.update(max(0, round(share * 1000) - bar.pos))
            )
    except BackupFailed as error:
        raise click.ClickException(str(error)) from error
    click.echo(
        f"{len(made.files)} files, {made.size:,} bytes in {target}; restore: quietwater restore {target}"
    )


@click.command()
@click.argument("source", type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.option("--data", type=_FOLDER, default=DEFAULT_DATA, show_default=True, envvar="QUIETWATER_DATA",
              help="Folder to restore into; new or empty.")  # fmt: skip
@registry_option
@store_option
@click.option(
    "--force",
    is_flag=True,
    help="Into a folder that is not empty: what is there is moved aside, not deleted.",
)
def restore(source: Path, data: Path, store: StoreAddress | None, force: bool) -> None:
    """Bring back the backup SOURCE into an empty data folder, after checking every file's checksum.

    A backup of the embedded store goes into the data folder; one of an InfluxDB server goes into the databases that
    --store names, which `quietwater admin init-store` has made.

    \b
    Examples:
      quietwater restore /mnt/backup/2026-03-01 --data /var/lib/quietwater
      quietwater restore /mnt/backup/2026-03-01 --data /var/lib/quietwater --force
    """
    from app.backup_files import BackupFailed, restore_backup
    from app.whole_file import ended_cleanly

    settings = ServerSettings(data=data, store=store, registry_address=chosen_registry(data))
    try:
        with ended_cleanly(), click.progressbar(length=1000, label="restoring") as bar:
            aside = restore_backup(
                source, settings, lambda share: bar.update(max(0, round(share * 1000) - bar.pos)), force=force
            )
    except BackupFailed as error:
        raise click.ClickException(str(error)) from error
    if aside is not None:
        click.echo(f"what was in {data} before is now in {aside}")
    click.echo(f"restored into {data}; start: quietwater up --data {data}")
