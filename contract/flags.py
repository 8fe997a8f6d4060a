"""Flags on readings: what is known about the validity of a second of noise, or was told by a water meter.

On the wire flags are lists of their names; in the stores they are the integer of the enum.
"""

from __future__ import annotations

from collections.abc import Iterable
from enum import IntFlag
from typing import TypeVar


class NoiseFlag(IntFlag):
    """Validity of one second or minute of noise."""

    OVERLOAD = 1
    """Clipped samples, or a level above the linear range: the true level is higher."""
    UNDER_RANGE = 2
    """Below the microphone's self noise: the true level is lower."""
    SETTLING = 4
    """The time weighting or a filter has not settled since the start or a gap."""
    GAP = 8
    """Part of the interval was not measured; the level holds for ``measured_ms`` of it."""
    STUCK = 16
    """The input is constant or digital zero: the microphone is not delivering sound."""
    CALIBRATING = 32
    """A calibrator is on the microphone."""
    CALIBRATION_OVERDUE = 64
    """The last calibration is older than the device's limit."""
    CLOCK_UNSYNCED = 128
    """The device's clock was not synchronised."""
    WIND = 256
    """Wind of 5 m/s or more at the site (GB 3096-2008: not to be measured)."""
    RAIN = 512
    """Rain, snow or lightning at the site (GB 3096-2008: not to be measured)."""
    MANUAL = 1024
    """Excluded by hand, with a reason in the audit log."""
    LATE = 2048
    """Reached the server more than 30 days after its time (set by the server)."""


NOISE_EXCLUDED = (
    NoiseFlag.OVERLOAD
    | NoiseFlag.SETTLING
    | NoiseFlag.STUCK
    | NoiseFlag.CALIBRATING
    | NoiseFlag.CLOCK_UNSYNCED
    | NoiseFlag.WIND
    | NoiseFlag.RAIN
    | NoiseFlag.MANUAL
)
"""Seconds with one of these are stored and shown, and left out of averages.

``GAP`` is not among them: such a second counts with the time that it did measure. ``UNDER_RANGE`` is not,
because leaving the quietest seconds out would make the average louder than the night was.
``CALIBRATION_OVERDUE`` and ``LATE`` are told beside the result: the levels themselves are not in doubt. See
docs/decisions/0003.
"""


class WaterFlag(IntFlag):
    """What a water meter or its reader says about a reading. Flags never alter the volume."""

    LEAK = 1
    BURST = 2
    BACKFLOW = 4
    DRY = 8
    TAMPER = 16
    LOW_BATTERY = 32
    VALVE_CLOSED = 64
    VALVE_FAULT = 128
    METER_FAULT = 256
    WENT_BACKWARDS = 512
    """The register is lower than at the reading before (found by the reader)."""
    TOO_FAST = 1024
    """More volume than the meter's maximum flow Q4 allows since the reading before (found by the reader)."""
    CLOCK_FROZEN = 2048
    """The meter's own clock stands still (found by the reader)."""
    METER_REPLACED = 4096
    """The serial number changed: a new register starts here (found by the reader)."""
    CLOCK_UNSYNCED = 8192
    """The reading device's clock was not synchronised."""
    LATE = 16384
    """Reached the server more than 30 days after its time (set by the server)."""


_Flag = TypeVar("_Flag", NoiseFlag, WaterFlag)


def names(flags: NoiseFlag | WaterFlag) -> list[str]:
    """Return the wire names of the flags that are set, lowest bit first: ``["overload", "gap"]``."""
    return [str(one.name).lower() for one in type(flags) if one.value & flags.value]


def parse(kind: type[_Flag], wire: Iterable[str]) -> _Flag:
    """Return the flags for wire names. Raises ``ValueError`` that names the unknown one."""
    result = kind(0)
    for name in wire:
        try:
            result |= kind[name.upper()]
        except KeyError:
            known = ", ".join(one.name.lower() for one in kind if one.name)
            raise ValueError(f"unknown flag {name!r}; known: {known}") from None
    return result
