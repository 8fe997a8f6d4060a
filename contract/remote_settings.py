"""What the server may set at a device from afar: one table, which both sides check a configuration against.

It holds how the device measures and how often it reports. What could cut a device off, or let a server reach into the
machine, is not in it: who the device is, where its broker is, files, ports, commands. Nor is what a calibration sets.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal


@dataclass(frozen=True, slots=True)
class RemoteSetting:
    """One key with its range. ``optional`` ones may be ``null``: then the device goes without that bound."""

    key: str
    kind: Literal["bool", "int", "float"]
    lowest: float = 0.0
    highest: float = 0.0
    optional: bool = False

    def fault(self, value: object) -> str | None:
        """Return what is wrong with a value, or ``None``."""
        if value is None:
            return None if self.optional else f"{self.key} must not be null"
        if self.kind == "bool":
            return None if isinstance(value, bool) else f"{self.key} must be true or false, not {value!r}"
        number = isinstance(value, int | float) and not isinstance(value, bool)
        if not number or (self.kind == "int" and not isinstance(value, int)):
            what = "a whole number" if self.kind == "int" else "a number"
            return f"{self.key} must be {what}, not {value!r}"
        assert isinstance(value, int | float)
        if not self.lowest <= value <= self.highest:
            return f"{self.key} must be from {self.lowest:g} to {self.highest:g}, not {value!r}"
        return None


_ROWS: Final = (
    RemoteSetting("status_interval_s", "float", 5, 3600),
    RemoteSetting("noise.spectrum", "bool"),
    RemoteSetting("noise.calibration_interval_days", "int", 1, 3660),
    RemoteSetting("noise.overload_db", "float", -50, 250, optional=True),
    RemoteSetting("noise.self_noise_db", "float", -50, 250, optional=True),
    RemoteSetting("noise.events.enabled", "bool"),
    RemoteSetting("noise.events.margin_db", "float", 3, 60),
    RemoteSetting("noise.events.at_least_db", "float", 0, 150),
    RemoteSetting("noise.events.for_s", "float", 0.05, 60),
    RemoteSetting("noise.events.hold_s", "float", 0.1, 60),
    RemoteSetting("noise.events.background_s", "int", 30, 7200),
    RemoteSetting("noise.events.longest_s", "int", 1, 7200),
    RemoteSetting("water.interval_s", "int", 1, 7 * 86_400),
    RemoteSetting("water.jitter_s", "float", 0, 3600),
    RemoteSetting("water.silent_after", "int", 1, 1000),
)
REMOTE_SETTINGS: Final[dict[str, RemoteSetting]] = {row.key: row for row in _ROWS}
"""By key. ``water.…`` is for every meter that the device reads. A part that a device lacks is left aside."""

_LOCAL: Final = ("site", "device", "data", "mqtt", "outbox", "server", "noise", "water")


def faults(settings: Mapping[str, Any]) -> list[str]:
    """Return everything that is wrong with a configuration's settings, each with its key; empty: it may be used."""
    found = [fault for key, value in settings.items() if (fault := _fault(key, value)) is not None]
    jitter, interval = settings.get("water.jitter_s"), settings.get("water.interval_s")
    if not found and jitter is not None and interval is not None and jitter > interval:
        found.append(f"water.jitter_s ({jitter:g}) is longer than water.interval_s ({interval:g})")
    return found


def _fault(key: str, value: object) -> str | None:
    known = REMOTE_SETTINGS.get(key)
    if known is not None:
        return known.fault(value)
    if key.split(".")[0] in _LOCAL:
        return f"{key} cannot be set from afar, or not in this version; see `edge.toml` on the device"
    return f"{key} is unknown to this version"
