"""The broker's own certificate in its folder: made anew before it is over, where our authority signed it."""

from __future__ import annotations

from contextlib import suppress
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from store.registry.authority import Authority

CERTIFICATE: Final = "server.pem"
KEY: Final = "server.key"


def renewed(authority: Authority, folder: Path, now: datetime) -> dict[str, str]:
    """Return key and certificate by the names of their files, where it is time; else nothing.

    A certificate of somebody else, or none at all, is left alone.
    """
    present = _read(folder / CERTIFICATE)
    if not present:
        return {}
    pair = authority.server_renewed(present, _read(folder / KEY), now)
    return {} if pair is None else {KEY: pair.key.decode(), CERTIFICATE: pair.certificate.decode()}


def _read(path: Path) -> bytes:
    with suppress(FileNotFoundError):
        return path.read_bytes()
    return b""
