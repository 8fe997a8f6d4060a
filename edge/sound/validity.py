"""What only the device knows of a second's validity."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Final

from contract.flags import NoiseFlag
from edge.sound.calibration import Calibration, overdue

_ASK_EVERY_S: Final = 10


class DeviceFlags:
    """Flags of a live device: is its clock set, is its calibration in date. ``synced`` is asked now and then."""

    def __init__(
        self, calibration: Calibration | None, interval_days: int, synced: Callable[[], bool | None]
    ) -> None:
        self._calibration = calibration
        self._interval_days = interval_days
        self._synced = synced
        self._until = -1
        self._flags = NoiseFlag(0)

    def __call__(self, t: int) -> NoiseFlag:
        """Return the flags of the second at ``t``, in seconds since 1970."""
        if not self._until - _ASK_EVERY_S <= t < self._until:
            self._until = t + _ASK_EVERY_S
            self._flags = self._ask(t)
        return self._flags

    def _ask(self, t: int) -> NoiseFlag:
        flags = NoiseFlag(0)
        if self._synced() is False:
            flags |= NoiseFlag.CLOCK_UNSYNCED
        if overdue(self._calibration, datetime.fromtimestamp(t, UTC), self._interval_days):
            flags |= NoiseFlag.CALIBRATION_OVERDUE
        return flags
