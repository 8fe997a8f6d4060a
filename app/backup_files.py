"""What a backup is made of: a consistent copy of each part, and a manifest that vouches for it."""

from __future__ import annotations

import hashlib
import os
import shutil
import sqlite3
import uuid
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Final, Literal

import msgspec

from app.backup_registry import RegistryNotCopied, copy_sqlite, load_registry, save_registry
from app.lock import FolderInUse, PartLocks
from app.settings import ServerSettings
from app.store_socket import CopyRequest, NotServed, ServerSaid, ask
from app.whole_file import sync_folder
from store.registry.address import FILE_NAME, SqliteAddress
from store.series.address import DuckDbAddress, StoreAddress
from store.series.interface import StoreUnavailable

Progress = Callable[[float], None]

MANIFEST: Final = "manifest.json"
SERIES: Final = "series.duckdb"
INFLUX: Final = "influxdb"
"""Folder of the dump of an InfluxDB server's databases."""
_FORMAT: Final = 1
_SQLITE: Final = b"SQLite format 3\x00"
_PASSING: Final = ("*.lock", "*.sock", "*-wal", "*-shm", "*.wal", "*.log", ".*", "before-restore-*")
"""What belongs to a running process, or is part of another file."""
_NEWEST: Final = ".newest-backup"
"""File of the data folder that says when the newest backup was whole."""
_QUEUES: Final = "broker/jetstream"
"""What the broker holds on its way to the store; the devices keep it until the store has it."""


class BackupFailed(Exception):
    """Cause and cure in a sentence."""


class FileEntry(msgspec.Struct, frozen=True):
    """A file of a backup."""

    path: str
    size: int
    sha256: str
    mode: int


class Manifest(msgspec.Struct, frozen=True):
    """What a backup holds."""

    format: int
    made_at: datetime
    quietwater: str
    store: Literal["duckdb", "influxdb"]
    rows: dict[str, int]
    files: list[FileEntry]

    @property
    def size(self) -> int:
        """Bytes of all files."""
        return sum(one.size for one in self.files)


# -- making ----------------------------------------------------------------------------------------------------


def make_backup(settings: ServerSettings, target: Path, progress: Progress) -> Manifest:
    """Copy everything that ``settings`` names into the new folder ``target``. Raises :class:`BackupFailed`."""
    if isinstance(settings.registry, SqliteAddress) and not settings.registry.path.exists():
        raise BackupFailed(
            f"there is no registry in {settings.data.absolute()}; name the server's folder with --data"
        )
    if target.exists() and (not target.is_dir() or any(target.iterdir())):
        raise BackupFailed(f"{target} is there already; a backup goes into a new folder")
    if settings.data.resolve() in target.resolve().parents:
        raise BackupFailed(
            f"{target} lies in the data folder, and with it the backup would be lost; choose another place"
        )
    target.parent.mkdir(parents=True, exist_ok=True)
    half = target.absolute().with_name(f".{target.name}.{uuid.uuid4().hex[:8]}.part")
    try:
        half.mkdir(mode=0o700)
        rows = _copy_series(settings, half, progress)
        save_registry(settings.registry, half)
        _copy_folder(settings, half)
        manifest = Manifest(
            _FORMAT, datetime.now(UTC), version("quietwater"),
            "duckdb" if isinstance(settings.series, DuckDbAddress) else "influxdb", rows, list(_entries(half)),
        )  # fmt: skip
        _write_manifest(half, manifest)
        half.rename(target)  # an empty folder of that name gives way
        sync_folder(target.absolute().parent)
        with suppress(OSError):  # the backup is whole all the same; its age then says that nobody noted it
            (settings.data / _NEWEST).write_text(manifest.made_at.isoformat())
    except (StoreUnavailable, RegistryNotCopied, ServerSaid, sqlite3.Error, OSError) as error:
        raise BackupFailed(f"no backup was made: {error}") from error
    finally:
        shutil.rmtree(half, ignore_errors=True)
    return manifest


def newest_backup(data: Path) -> datetime | None:
    """Return when the newest backup of a data folder was made; ``None`` where there is none."""
    try:
        return datetime.fromisoformat((data / _NEWEST).read_text())
    except (OSError, ValueError):
        return None


def _copy_series(settings: ServerSettings, half: Path, progress: Progress) -> dict[str, int]:
    address = settings.series
    if not isinstance(address, DuckDbAddress):
        from store.series.influx_dump import dump

        return dump(address, half / INFLUX, progress)
    rows = _copy_duckdb(settings.data, address, half / SERIES, progress)
    with closing(_opened(half / SERIES)) as copied:
        if copied.rows() != rows:
            raise BackupFailed("the copy of the series does not hold what the store held; try again")
    return rows


def _copy_duckdb(data: Path, address: DuckDbAddress, path: Path, progress: Progress) -> dict[str, int]:
    try:
        for one in ask(data, CopyRequest(str(path))):
            if isinstance(one, float):
                progress(one)
            elif isinstance(one, dict):
                return one
        raise BackupFailed("the server ended before the copy was whole")
    except NotServed:
        if not address.path.exists():
            raise BackupFailed(f"there is no store {address.path.absolute()}") from None
        with closing(_opened(address.path)) as store:
            return store.copy_to(path, progress)


def _opened(path: Path):
    from store.series.duckdb_store import DuckDbStore

    return DuckDbStore(path)


def _copy_folder(settings: ServerSettings, half: Path) -> None:
    """Copy what else is in the data folder: databases by their own means, files as they are."""
    address = settings.series
    done = {(settings.data / FILE_NAME).absolute()}
    if isinstance(address, DuckDbAddress):
        done.add(address.path.absolute())
    for path in sorted(settings.data.rglob("*")):
        name = path.relative_to(settings.data)
        passing = any(Path(part).match(pattern) for part in name.parts for pattern in _PASSING)
        if passing or name.as_posix().startswith(_QUEUES) or path.absolute() in done or not path.is_file():
            continue
        to = half / name
        to.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        with suppress(FileNotFoundError):  # a running server may delete what it needs no more
            if _is_sqlite(path):
                copy_sqlite(path, to)
            else:
                shutil.copyfile(path, to)
            shutil.copymode(path, to)


def _is_sqlite(path: Path) -> bool:
    with path.open("rb") as file:
        return file.read(len(_SQLITE)) == _SQLITE


def _entries(folder: Path) -> Iterator[FileEntry]:
    for path in sorted(folder.rglob("*")):
        if path.is_file():
            name = path.relative_to(folder).as_posix()
            with path.open("rb") as file:
                digest = hashlib.file_digest(file, "sha256").hexdigest()
                os.fsync(file.fileno())
            yield FileEntry(name, path.stat().st_size, digest, path.stat().st_mode & 0o777)


def _write_manifest(folder: Path, manifest: Manifest) -> None:
    with (folder / MANIFEST).open("xb") as file:
        file.write(msgspec.json.format(msgspec.json.encode(manifest), indent=1))
        os.fsync(file.fileno())


# -- bringing back ---------------------------------------------------------------------------------------------


def restore_backup(source: Path, settings: ServerSettings, progress: Progress, *, force: bool) -> Path | None:
    """Bring a backup back; return where what was in the folder before has gone, if anything.

    Every file is checked before anything is changed. Raises :class:`BackupFailed`.
    """
    manifest = read_manifest(source)
    _check_fits(manifest, settings.series)
    _check_files(source, manifest)
    data = settings.data
    there = [one for one in data.iterdir() if one.suffix != ".lock"] if data.exists() else []
    if there and not force:
        raise BackupFailed(
            f"{data} is not empty; name another folder with --data, or move what is there aside with --force"
        )
    stage = data / ".restoring"
    try:
        locks = PartLocks.of_every_part(data)
    except (FolderInUse, OSError) as error:
        raise BackupFailed(str(error)) from error
    try:
        shutil.rmtree(stage, ignore_errors=True)
        for n, one in enumerate(manifest.files):
            _bring(source / one.path, stage / one.path, one)
            progress((n + 1) / len(manifest.files) * (1.0 if manifest.store == "duckdb" else 0.2))
        if manifest.store == "influxdb":
            _load_influx(settings.series, stage, lambda share: progress(0.2 + 0.8 * share), force=force)
        load_registry(stage, settings.registry, data)
        aside = _make_room(data, there)
        for one in sorted(stage.iterdir()):
            one.rename(data / one.name)
        stage.rmdir()
        sync_folder(data)
    except (StoreUnavailable, RegistryNotCopied, OSError) as error:
        raise BackupFailed(f"nothing was restored: {error}") from error
    finally:
        shutil.rmtree(stage, ignore_errors=True)
        locks.release()
    return aside


def read_manifest(folder: Path) -> Manifest:
    """Return what a backup says that it holds. Raises :class:`BackupFailed`."""
    try:
        manifest = msgspec.json.decode((folder / MANIFEST).read_bytes(), type=Manifest)
    except FileNotFoundError:
        raise BackupFailed(f"{folder} is no backup: it has no {MANIFEST}") from None
    except (msgspec.DecodeError, OSError) as error:
        raise BackupFailed(f"{folder / MANIFEST} cannot be read: {error}") from error
    if manifest.format != _FORMAT:
        raise BackupFailed(
            f"{folder} was made by another version (format {manifest.format}); restore it with that one"
        )
    return manifest


def _check_fits(manifest: Manifest, address: StoreAddress) -> None:
    embedded = isinstance(address, DuckDbAddress)
    if embedded != (manifest.store == "duckdb"):
        cure = (
            "leave --store out"
            if manifest.store == "duckdb"
            else "name the server with --store http://host:8086"
        )
        raise BackupFailed(f"this is a backup of {manifest.store}; {cure}")


def _check_files(source: Path, manifest: Manifest) -> None:
    for one in manifest.files:
        path = source / one.path
        if Path(one.path).is_absolute() or ".." in Path(one.path).parts:
            raise BackupFailed(f"{MANIFEST} names {one.path!r}, which lies outside the backup")
        if not path.is_file() or path.is_symlink():
            raise BackupFailed(f"{path} is missing; this backup is not whole")
        with path.open("rb") as file:
            if hashlib.file_digest(file, "sha256").hexdigest() != one.sha256:
                raise BackupFailed(
                    f"{path} is not what was backed up: its checksum differs; take another backup"
                )


def _bring(path: Path, to: Path, one: FileEntry) -> None:
    to.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    shutil.copyfile(path, to)
    to.chmod(one.mode)
    with to.open("rb") as file:
        os.fsync(file.fileno())


def _load_influx(address: StoreAddress, stage: Path, progress: Progress, *, force: bool) -> None:
    from store.series.influx_dump import load

    assert not isinstance(address, DuckDbAddress)
    load(address, stage / INFLUX, progress, force=force)
    shutil.rmtree(stage / INFLUX)


def _make_room(data: Path, there: list[Path]) -> Path | None:
    if not there:
        return None
    aside = data / f"before-restore-{datetime.now(UTC):%Y%m%dT%H%M%S}"
    aside.mkdir(mode=0o700)
    for one in there:
        if not one.name.startswith("before-restore-"):
            one.rename(aside / one.name)
    return aside
