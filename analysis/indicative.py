"""What is only indicative: whatever a device measured that is not a type-approved meter. Pure."""

from __future__ import annotations

from collections.abc import Iterable

from store.registry.models import Device, Meter


def approved_sources(devices: Iterable[Device], meters: Iterable[Meter]) -> set[tuple[str, str]]:
    """Return site and name of the devices that are type-approved, and of the meters that such a device reads."""
    approved = {(one.site, one.name) for one in devices if one.type_approved}
    return approved | {(one.site, one.name) for one in meters if (one.site, one.device) in approved}


def indicative(
    rule_kind: str, site: str, source: str, devices: Iterable[Device], meters: Iterable[Meter]
) -> bool:
    """Say whether an alert rests on measurements that are indicative, not for enforcement.

    ``devices`` and ``meters`` are at least those of the site. An alert about a device itself (it is away) rests on no
    measurement. What concerns the quarter as a whole (its plan) is indicative unless every meter is approved.
    """
    if rule_kind.startswith("device"):
        return False
    of_site = [one for one in meters if one.site == site]
    devices = [one for one in devices if one.site == site]
    approved = approved_sources(devices, of_site)
    if any(one.name == source for one in (*devices, *of_site)):
        return (site, source) not in approved
    return not of_site or any((site, one.name) not in approved for one in of_site)
