"""How an analysis process is called among those that share the sites, and how long its leases last."""

from __future__ import annotations

import os
import re
import socket
from typing import Final

from store.registry.lease_keeper import LeaseTiming

TTL_VARIABLE: Final = "QUIETWATER_LEASE_TTL_S"
"""For tests: seconds after which a process that does not answer loses its leases."""
_LONGEST: Final = 32


def shard_name(given: str | None) -> str:
    """Return the name that was given, else the machine's: it stays the same over a restart."""
    if given is not None:
        return given
    plain = re.sub(r"[^a-z0-9-]+", "-", socket.gethostname().lower()).strip("-")
    return plain[:_LONGEST] or "one"


def lease_timing() -> LeaseTiming:
    """Return how long leases last. Raises ``ValueError`` for a setting that is no number of seconds."""
    told = os.environ.get(TTL_VARIABLE)
    if not told:
        return LeaseTiming()
    ttl_s = float(told)
    if not 0.5 <= ttl_s <= 3600:
        raise ValueError(f"{TTL_VARIABLE}: 0.5 to 3600 seconds, not {told}")
    return LeaseTiming(ttl_s)
