"""What stands between seeing and alerting: dependencies, better rules and maintenance windows. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Final

from analysis.alerts.machine import Observation
from analysis.alerts.silences import Window, match
from analysis.rules.device_offline import DeviceOfflineRule
from analysis.rules.kinds import Sighting, World
from analysis.rules.water_continuous import WaterContinuousRule
from analysis.rules.water_leak import WaterLeakRule

_CAUSE: Final = DeviceOfflineRule.key
_INHIBITED: Final = Observation("no_data")
_MAINTAINED: Final = Observation("between")


def inhibit(sightings: Sequence[Sighting], world: World) -> list[Sighting]:
    """Where a device is away, what its other rules say counts as no data.

    A meter depends on the device that reads it. Without a rule that watches the devices nothing is inhibited.
    """
    away = {
        (one.rule.site, one.source)
        for one in sightings
        if one.rule.kind == _CAUSE
        and (one.seen.verdict == "breach" or one.seen.detail.get("what") == "offline")
    }
    if not away:
        return list(sightings)
    carrier = {(site, meter.name): meter.device for site, meters in world.meters.items() for meter in meters}
    return [
        replace(one, seen=_INHIBITED)
        if one.rule.kind != _CAUSE
        and (one.rule.site, carrier.get((one.rule.site, one.source), one.source)) in away
        else one
        for one in sightings
    ]


def supersede(sightings: Sequence[Sighting]) -> list[Sighting]:
    """Where the leak detectors see a leak, the plain rule of 24 hours begins no second alert about it."""
    leaking = {
        (one.rule.site, one.source)
        for one in sightings
        if one.rule.kind == WaterLeakRule.key and one.seen.verdict == "breach"
    }
    return [
        replace(one, seen=_MAINTAINED)
        if one.rule.kind == WaterContinuousRule.key
        and one.seen.verdict == "breach"
        and (one.rule.site, one.source) in leaking
        else one
        for one in sightings
    ]


def maintain(sightings: Iterable[Sighting], windows: Sequence[Window], now: datetime) -> list[Sighting]:
    """Within a maintenance window a breach says nothing: no alert begins of it, and none ends either."""
    under = [window for window in windows if window.kind == "maintenance"]
    if not under:
        return list(sightings)
    return [
        replace(one, seen=_MAINTAINED)
        if one.seen.verdict == "breach"
        and match(under, "maintenance", one.rule.site, one.rule.kind, one.source, now) is not None
        else one
        for one in sightings
    ]
