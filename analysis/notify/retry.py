"""When a message that could not be delivered is tried again, and when it is given up. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal

BACKOFF_S: Final = (5, 15, 60, 180, 600, 1800, 3600, 3600, 3600, 7200, 7200, 14_400)
"""Real seconds before the second, third, ... try: about twelve hours in all."""
PAUSE_BETWEEN_MESSAGES_S: Final = 60
"""Real seconds between two messages to one contact: what happens meanwhile goes into one."""


@dataclass(frozen=True, slots=True)
class NextTry:
    """What to do after a failure; ``wait_s`` is in real seconds."""

    action: Literal["retry", "give_up"]
    wait_s: float = 0.0
    reason: Literal["backing_off", "tried_long_enough", "address_not_understood"] = "backing_off"


def after_failure(attempts: int, *, permanent: bool) -> NextTry:
    """Decide after the ``attempts``-th try failed; ``permanent`` means that no try can ever succeed."""
    if permanent:
        return NextTry("give_up", reason="address_not_understood")
    if attempts > len(BACKOFF_S):
        return NextTry("give_up", reason="tried_long_enough")
    return NextTry("retry", float(BACKOFF_S[attempts - 1]))
