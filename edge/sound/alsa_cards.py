"""Serial numbers of USB sound cards, from the kernel's files: a name may be that of several microphones."""

from __future__ import annotations

import contextlib
import re
from pathlib import Path
from typing import Final

_CARDS: Final = Path("/sys/class/sound")
_HARDWARE = re.compile(r"\(hw:(\d+),\d+\)")


def card_number(device_name: str) -> int | None:
    """Return the ALSA card in a PortAudio name such as ``USB Mic: Audio (hw:1,0)``."""
    found = _HARDWARE.search(device_name)
    return int(found[1]) if found else None


def serial_of_card(number: int, cards: Path = _CARDS) -> str | None:
    """Return the USB serial number of an ALSA card; ``None`` where it has none."""
    place = (cards / f"card{number}" / "device").resolve()
    for folder in (place, *list(place.parents)[:2]):
        with contextlib.suppress(OSError):
            return (folder / "serial").read_text().strip() or None
    return None
