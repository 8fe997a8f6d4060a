"""Which of the server's configurations a device keeps, tries and has refused: decisions without I/O.

A new configuration is on trial first. The last good one is kept beside it and comes back when the new one fails, or
when the agent has ended too often with it to be by chance.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import msgspec

from contract.messages import DeviceConfig

OWN: Final = DeviceConfig(version=0)
"""What the device has of itself, with nothing of the server's."""
STARTS: Final = 3
"""Starts with a configuration on trial before it counts as the cause: a power cut in between is no fault of it."""
_REASON_MOST: Final = 500


class Refused(msgspec.Struct, frozen=True, kw_only=True):
    """A configuration that is not used. ``by`` is the agent's version: another one may know better."""

    config: DeviceConfig | None
    reason: str
    by: str


class Kept(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What lies on the disk. ``starts`` counts the agent's starts with ``trial``."""

    good: DeviceConfig = OWN
    trial: DeviceConfig | None = None
    starts: int = 0
    refused: Refused | None = None

    @property
    def running(self) -> DeviceConfig:
        """The configuration that is in force."""
        return self.good if self.trial is None else self.trial


@dataclass(frozen=True, slots=True)
class ConfigReport:
    """What the status tells of the configuration."""

    version: int = 0
    on_trial: bool = False
    error: str | None = None


def report(kept: Kept) -> ConfigReport:
    """Return what the status tells."""
    refused = kept.refused
    return ConfigReport(
        kept.running.version, kept.trial is not None, None if refused is None else refused.reason
    )


def started(kept: Kept, by: str) -> Kept:
    """Note a start of the agent; a configuration that was on trial at too many of them goes."""
    if kept.trial is None:
        return kept
    if kept.starts >= STARTS:
        return failed(kept, f"the agent ended {kept.starts} times before it had proved itself", by)
    return msgspec.structs.replace(kept, starts=kept.starts + 1)


def offered(kept: Kept, config: DeviceConfig, fault: str | None, by: str) -> Kept:
    """Judge what the server sent; ``fault`` is what is wrong with it. Unchanged where it is known already."""
    if kept.refused is not None and kept.refused.config == config and kept.refused.by == by:
        return kept
    if config == kept.running:
        return msgspec.structs.replace(kept, refused=None) if kept.refused else kept
    if fault is not None:
        return msgspec.structs.replace(kept, refused=_refused(config, fault, by))
    if config == kept.good:  # the one on trial is taken back
        return Kept(good=kept.good)
    return Kept(good=kept.good, trial=config, starts=1)


def unreadable(kept: Kept, reason: str, by: str) -> Kept:
    """Note that what the server sent is no configuration at all."""
    return msgspec.structs.replace(kept, refused=Refused(config=None, reason=reason[:_REASON_MOST], by=by))


def failed(kept: Kept, reason: str, by: str) -> Kept:
    """Go back from the configuration on trial to the last good one, or from that to the device's own."""
    gone = kept.running
    good = OWN if kept.trial is None else kept.good
    return Kept(good=good, refused=_refused(gone, reason, by))


def passed(kept: Kept) -> Kept:
    """Keep the configuration that was on trial."""
    return kept if kept.trial is None else Kept(good=kept.trial)


def _refused(config: DeviceConfig, reason: str, by: str) -> Refused:
    return Refused(config=config, reason=f"version {config.version}: {reason}"[:_REASON_MOST], by=by)
