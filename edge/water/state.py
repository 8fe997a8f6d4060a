"""Small state files in the agent's data folder: written whole, never half."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Generic, TypeVar

import msgspec
import structlog

log = structlog.get_logger(__name__)

T = TypeVar("T", bound=msgspec.Struct)


class StateFile(Generic[T]):
    """One msgspec struct in one JSON file. A power cut leaves the old content or the new, never a part."""

    def __init__(self, path: Path, kind: type[T], *, durable: bool = False) -> None:
        """``durable`` forces every save to the disk before it returns, which wears an SD card."""
        self._path = path
        self._decoder = msgspec.json.Decoder(kind)
        self._durable = durable

    def load(self) -> T | None:
        """Return the content; ``None`` where there is no file or, with a warning, no readable one."""
        try:
            return self._decoder.decode(self._path.read_bytes())
        except FileNotFoundError:
            return None
        except (OSError, msgspec.DecodeError) as error:
            log.warning("state file is unreadable and starts anew", file=str(self._path), cause=str(error))
            return None

    def save(self, state: T) -> None:
        """Replace the content. Raises ``OSError`` where the disk does not take it."""
        self._path.parent.mkdir(parents=True, exist_ok=True)
        fresh = self._path.with_name(self._path.name + ".new")
        with fresh.open("wb") as file:
            file.write(msgspec.json.encode(state))
            if self._durable:
                file.flush()
                os.fsync(file.fileno())
        fresh.replace(self._path)
        if self._durable:
            _sync_folder(self._path.parent)


def _sync_folder(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
