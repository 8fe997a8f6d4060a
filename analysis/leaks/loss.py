"""What a leak costs in water. Money is a matter of the tariff: see ``analysis.tariffs``."""

from __future__ import annotations

from datetime import datetime
from typing import Final

import msgspec

from analysis.leaks.alarm import Alarm

_HOURS_A_MONTH: Final = 365.25 * 24 / 12


class Loss(msgspec.Struct, frozen=True, kw_only=True):
    """Water lost by one leak: up to now, and in a month (30.4 days) if it goes on as it is; litres."""

    so_far_l: float
    month_l: float


def estimate_loss(alarm: Alarm, now: datetime) -> Loss:
    """Return what an alarm's leak has lost from ``since`` to ``now`` and would lose in a month.

    ``flow_lph`` is the leak's average over the time since it began, so pauses of an intermittent one are counted.
    A meter fault loses nothing.
    """
    if not alarm.is_leak:
        return Loss(so_far_l=0.0, month_l=0.0)
    hours = max(0.0, (now - alarm.since).total_seconds() / 3600)
    return Loss(so_far_l=alarm.flow_lph * hours, month_l=alarm.flow_lph * _HOURS_A_MONTH)
