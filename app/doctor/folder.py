"""Checks of the folder that keeps the data, and of the files in it."""

from __future__ import annotations

import shutil
import sqlite3
import tempfile
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Final

from app.doctor.finding import Finding, error, ok, warning

LEAST_FREE_BYTES: Final = 200 << 20
"""Below this the outbox or the store may not be able to write for another day."""


def folder(path: Path, *, free_bytes: Callable[[Path], int] | None = None) -> list[Finding]:
    """Say whether ``path`` exists, can be written to, and has room."""
    if not path.is_dir():
        return [error("folder_missing", f"{path} is no folder", "create it, or name the right one")]
    free = free_bytes(path) if free_bytes else shutil.disk_usage(path).free
    room = (
        error(
            "disk_full", f"{free >> 20} MiB free at {path}", "free space, or move the data to a larger disk"
        )
        if free < LEAST_FREE_BYTES
        else ok("disk", f"{free >> 20} MiB free at {path}")
    )
    try:
        with tempfile.TemporaryFile(dir=path):
            written = ok("folder", f"{path} can be written to")
    except OSError as problem:
        cure = "mount it for writing and give it to the user that the service runs as"
        written = error("folder_read_only", f"{path} cannot be written to: {problem.strerror}", cure)
    return [room, written]


def outboxes(path: Path) -> list[Finding]:
    """Say of each outbox in ``path`` whether SQLite finds it sound; nothing is changed."""
    return [_outbox(file) for file in sorted(path.glob("*.outbox.sqlite"))]


def _outbox(file: Path) -> Finding:
    try:
        with closing(sqlite3.connect(f"{file.absolute().as_uri()}?mode=ro", uri=True)) as db:
            said = db.execute("PRAGMA quick_check(1)").fetchone()[0]
    except sqlite3.DatabaseError as problem:
        said = str(problem)
    if said == "ok":
        return ok("outbox", f"{file.name} is sound")
    cure = "keep a copy of the file; the agent puts it aside when it starts and begins a new one; change the SD card"
    return error("outbox_corrupt", f"{file.name}: {said}", cure)


def series_file(file: Path) -> list[Finding]:
    """Say whether the embedded store's file can be opened; nothing if there is none."""
    import duckdb

    if not file.exists():
        return []
    try:
        duckdb.connect(str(file), read_only=True).close()
    except duckdb.Error as problem:
        text = f"{file.name}: {str(problem).splitlines()[0]}"
        if "lock" in text:
            return [
                warning("store_held", text, "right if the server runs; else end the process that is named")
            ]
        return [error("store_unreadable", text, "put the file aside and restore a backup")]
    return [ok("store_file", f"{file.name} can be opened")]
