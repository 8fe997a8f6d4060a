"""``device_offline``: a device that the broker lost, or that is there and sends no readings.

While it stands, the device's other rules are inhibited: one message about the cause, none about its shadows.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from typing import Annotated, ClassVar, cast

from msgspec import Meta

from analysis.alerts.machine import Observation
from analysis.rules.kinds import RuleParams, RuleView, Sighting, World
from store.registry.models import DeviceState


class DeviceOfflineParams(RuleParams, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Breach: offline for ``grace_s``, or (a noise device) online without a second for ``silent_s``.

    Time counts from when the server itself is there, and is a minute of real time at the least: after a restart of
    the server its devices need a moment to be back.
    """

    grace_s: Annotated[int, Meta(ge=30, le=86_400)] = 300
    silent_s: Annotated[int, Meta(ge=60, le=86_400)] = 900
    recover_s: Annotated[int, Meta(ge=0, le=86_400)] = 60
    escalate: bool = False


class DeviceOfflineRule:
    """Looks at every enabled device of the rule's site that has ever been there."""

    key: ClassVar[str] = "device_offline"
    params: ClassVar[type[RuleParams]] = DeviceOfflineParams

    def observe(self, rules: Sequence[RuleView], world: World) -> Iterator[Sighting]:
        """Yield a sighting per rule and device."""
        if not rules:
            return
        newest = {(site, source): t for site, source, t, *_ in world.series.noise_latest()}
        for rule in rules:
            params = cast(DeviceOfflineParams, rule.params)
            for device in world.devices.get(rule.site, ()):
                state = world.states.get((rule.site, device.name))
                last = newest.get((rule.site, device.name)) if device.kind != "gateway" else None
                yield Sighting(rule, device.name, judge(state, last, world, params))


def judge(
    state: DeviceState | None, last: datetime | None, world: World, params: DeviceOfflineParams
) -> Observation:
    """Judge one device; ``last`` is its newest second of noise, if it measures any. The value is minutes."""
    if state is None:
        return Observation("between")  # announced, but never seen: the installer has not come yet
    begun = world.started_at or state.since
    if state.state == "offline":
        long_enough = world.now - max(state.since, begun) >= _at_least(params.grace_s, world)
        return _seen("breach" if long_enough else "between", "offline", world.now - state.since)
    if last is None:
        return Observation("clear", 0.0, 0.0)
    silent = _at_least(params.silent_s, world)
    if world.now - max(last, state.since) < silent:
        return Observation("clear", 0.0, 0.0)
    # Who has just begun to judge has not seen it silent for so long, but has no reason to call it well either.
    return _seen("breach" if world.now - begun >= silent else "between", "silent", world.now - last)


def _at_least(seconds: int, world: World) -> timedelta:
    return max(timedelta(seconds=seconds), 60 * world.real_second)


def _seen(verdict: str, what: str, for_how_long: timedelta) -> Observation:
    minutes = round(max(0.0, for_how_long / timedelta(minutes=1)), 1)
    return Observation(verdict, minutes, 0.0, {"what": what})  # type: ignore[arg-type]
