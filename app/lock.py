"""One process a part and data folder: what two of them would do to the stores is told before it happens."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterable
from pathlib import Path
from typing import IO


class FolderInUse(Exception):
    """Another process of ours does this part's work in the folder."""


class PartLocks:
    """Holds parts (such as ``broker``) of a data folder until :meth:`release` or the process's end."""

    def __init__(self, folder: Path, parts: Iterable[str]) -> None:
        """Take the parts. Raises :class:`FolderInUse`, or ``OSError`` when the folder cannot be made or written."""
        folder.mkdir(parents=True, exist_ok=True)
        self._files: list[IO[str]] = []
        try:
            for part in parts:
                self._files.append(_take(folder, part))
        except FolderInUse:
            self.release()
            raise

    @classmethod
    def of_every_part(cls, folder: Path) -> PartLocks:
        """Take every part that may run in a folder, those with names of their own (``ingest-two``) among them."""
        named = {file.stem for file in folder.glob("*.lock")}
        return cls(folder, sorted({"broker", "ingest", "analysis", "serve", *named}))

    def release(self) -> None:
        """Let the parts go."""
        for file in self._files:
            file.close()
        self._files.clear()


def _take(folder: Path, part: str) -> IO[str]:
    file = (folder / f"{part}.lock").open("a+")
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        file.seek(0)
        holder = file.read().strip() or "unknown"
        file.close()
        raise FolderInUse(
            f"process {holder} already runs the {part} part with the data folder {folder}; "
            "end it first, or choose another folder with --data"
        ) from None
    file.truncate(0)
    file.write(str(os.getpid()))
    file.flush()
    return file
