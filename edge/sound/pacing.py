"""Waiting for a clock that may run faster than the wall's."""

from __future__ import annotations

import threading

from contract.clock import Clock

_LONGEST_WAIT_S = 0.5


def wait_until(t: float, clock: Clock, stop: threading.Event) -> bool:
    """Wait until the clock shows ``t`` (seconds since 1970) or ``stop`` is set; say whether ``t`` was reached."""
    while not stop.is_set():
        left = t - clock.now().timestamp()
        if left <= 0:
            return True
        stop.wait(min(_LONGEST_WAIT_S, left / clock.speed))
    return False
