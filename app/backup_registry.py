"""The registry in a backup: always one SQLite file, wherever the registry itself is."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

from store.registry.address import FILE_NAME, RegistryAddress, SqliteAddress
from store.registry.copying import CopyRefused, copy_registry
from store.registry.database import RegistryUnavailable


class RegistryNotCopied(Exception):
    """Cause and cure in a sentence."""


def copy_sqlite(path: Path, to: Path) -> None:
    """Copy a database that may be in use, as of one moment. Raises :class:`RegistryNotCopied` for a damaged one."""
    with (
        closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as source,
        closing(sqlite3.connect(to)) as copy,
    ):
        source.backup(copy)
        ((verdict,),) = copy.execute("PRAGMA integrity_check").fetchall()
        if verdict != "ok":
            raise RegistryNotCopied(f"{path} is damaged: {verdict}")
        copy.execute("PRAGMA journal_mode=DELETE")


def save_registry(address: RegistryAddress, folder: Path) -> None:
    """Write the registry as a file into a folder. Raises :class:`RegistryNotCopied`."""
    file = folder / FILE_NAME
    if isinstance(address, SqliteAddress):
        copy_sqlite(address.path, file)
        file.chmod(address.path.stat().st_mode & 0o777)
        return
    _copy(address, SqliteAddress(file))
    with closing(sqlite3.connect(file)) as copy:
        copy.execute("PRAGMA journal_mode=DELETE")  # no second file beside it
    file.chmod(0o600)


def load_registry(folder: Path, address: RegistryAddress, data: Path) -> None:
    """Bring the file in a folder to where the registry is to be: an empty database, or the data folder itself.

    Raises :class:`RegistryNotCopied`, with nothing changed.
    """
    if isinstance(address, SqliteAddress) and address.path.absolute() == (data / FILE_NAME).absolute():
        return
    _copy(SqliteAddress(folder / FILE_NAME), address)
    for file in folder.glob(f"{FILE_NAME}*"):
        file.unlink()


def _copy(source: RegistryAddress, target: RegistryAddress) -> None:
    try:
        here = source.open()
        try:
            there = target.open()
            try:
                copy_registry(here, there)
            finally:
                there.close()
        finally:
            here.close()
    except (CopyRefused, RegistryUnavailable) as error:
        raise RegistryNotCopied(str(error)) from error
