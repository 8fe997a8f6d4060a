"""Open files: every connection is one, and systems allow a process few of them unless it asks."""

from __future__ import annotations

import resource
from typing import Final

_SPARE: Final = 200


def demand_open_files(connections: int) -> None:
    """Have the system allow so many connections. Raises ``ValueError`` that says how to get more."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    needed = connections + _SPARE
    if soft >= needed:
        return
    if hard != resource.RLIM_INFINITY and hard < needed:
        raise ValueError(
            f"{connections} connections need {needed} open files, and this process may have {hard}: "
            "raise the limit (ulimit -Hn), or let --connections carry the fleet"
        )
    resource.setrlimit(resource.RLIMIT_NOFILE, (needed, hard))
