"""When a message that could not be delivered is tried again, and when it is given up. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Literal

BACKOFF_S: Final = (5, 15, 60, 180, 600, 1800, 3600, 3600, 3600, 7200, 7200, 14_400)
"""Real seconds before the second, third, ... try: about twelve hours in all."""
BURST: Final = 3
"""So many messages go to one contact without a pause between them ..."""
BURST_WITHIN_S: Final = 300.0
"""... within this time, real seconds; after that what happens is gathered into one message ..."""
PAUSE_S: Final = 60.0
"""... every so many real seconds."""


@dataclass(frozen=True, slots=True)
class NextTry:
    """What to do after a failure; ``wait_s`` is in real seconds."""

    action: Literal["retry", "give_up"]
    wait_s: float = 0.0
    reason: Literal["backing_off", "tried_long_enough", "address_not_understood"] = "backing_off"


def quiet_until(sent_at: Sequence[float]) -> float:
    """Return until when a contact is left in peace, from when it was sent something (ascending, real seconds).

    The first messages go out at once; a storm is gathered.
    """
    if not sent_at or sum(1 for at in sent_at if sent_at[-1] - at < BURST_WITHIN_S) < BURST:
        return 0.0
    return sent_at[-1] + PAUSE_S


def after_failure(attempts: int, *, permanent: bool) -> NextTry:
    """Decide after the ``attempts``-th try failed; ``permanent`` means that no try can ever succeed."""
    if permanent:
        return NextTry("give_up", reason="address_not_understood")
    if attempts > len(BACKOFF_S):
        return NextTry("give_up", reason="tried_long_enough")
    return NextTry("retry", float(BACKOFF_S[attempts - 1]))
