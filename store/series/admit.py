"""What a store takes: one judgement for every backend."""

from __future__ import annotations

import math
import re
from datetime import UTC, datetime
from functools import lru_cache
from typing import Final

import msgspec
import numpy as np

from contract.flags import NoiseFlag, WaterFlag, parse
from contract.messages import SLUG_PATTERN, Reading
from store.series.interface import Entry

EARLIEST: Final = datetime(1970, 1, 1, tzinfo=UTC)
LATEST: Final = datetime(2200, 1, 1, tzinfo=UTC)
_SLUG: Final = re.compile(SLUG_PATTERN + r"\Z")


def fault(entry: Entry) -> str | None:
    """Say why an entry can never be stored, or ``None``.

    A reading that came through :mod:`contract.codec` has been judged; one made in the process has not, and JSON
    has no way to write NaN but Python has.
    """
    for name in (entry.site, entry.device):
        if not is_slug(name):
            return f"{name!r} is no name of a site or device"
    if entry.received_at.tzinfo is None:
        return "received_at has no time zone"
    return _reading_fault(entry.reading)


@lru_cache(maxsize=65_536)
def is_slug(name: object) -> bool:
    """Whether ``name`` may name a site, a device or a meter."""
    return isinstance(name, str) and _SLUG.match(name) is not None


def _reading_fault(reading: Reading) -> str | None:
    try:
        values = msgspec.to_builtins(reading, builtin_types=(datetime,), enc_hook=_plain)
        msgspec.convert(values, type(reading))
        msgspec.json.encode(values)  # a text that is no Unicode ends here
    except (msgspec.ValidationError, TypeError, ValueError, OverflowError) as error:
        return str(error)
    for key, value in values.items():
        for one in value if isinstance(value, list | tuple) else (value,):
            if isinstance(one, float) and not math.isfinite(one):
                return f"{key} is {one}, not a number that can be stored"
    if not EARLIEST <= reading.t < LATEST:
        return f"t is {reading.t.isoformat()}, outside the years {EARLIEST.year} to {LATEST.year - 1}"
    return None


def _plain(value: object) -> object:
    if isinstance(value, np.generic):
        return value.item()
    raise TypeError(f"a value of type {type(value).__name__}")


@lru_cache(maxsize=4096)
def noise_flag_bits(names: tuple[str, ...]) -> int:
    """Return the integer of noise flags on the wire. Raises ``ValueError`` for an unknown one."""
    return int(parse(NoiseFlag, names))


@lru_cache(maxsize=4096)
def water_flag_bits(names: tuple[str, ...]) -> int:
    """Return the integer of water flags on the wire. Raises ``ValueError`` for an unknown one."""
    return int(parse(WaterFlag, names))
