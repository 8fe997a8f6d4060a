"""Alerts of the leak detectors.

``water_leak`` and ``water_meter_fault`` are of a meter, ``water_quarter_loss`` of a quarter or a district. What is a
leak, and since when, the detectors say (``analysis.leaks``); here it gets its price and becomes an observation.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any, ClassVar, cast

import msgspec
from msgspec import Meta

from analysis.alerts.machine import Observation
from analysis.leak_units import DISTRICT, QUARTER
from analysis.leaks.alarm import METER_KINDS, Alarm
from analysis.leaks.loss import estimate_loss
from analysis.notify.prefs import Severity
from analysis.rules.kinds import RuleParams, RuleView, Sighting, World
from analysis.rules.water_continuous import MeterRole
from analysis.water.price import MarginalPrices
from store.registry.models import Meter


class WaterLeakParams(RuleParams, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """``least_lph`` is the smallest loss that is told. ``silent_s`` without a new reading is no data."""

    least_lph: Annotated[float, Meta(ge=0.0, le=10_000.0)] = 0.0
    silent_s: Annotated[int, Meta(ge=3600, le=30 * 86_400)] = 26 * 3600
    recover_s: Annotated[int, Meta(ge=0, le=31 * 86_400)] = 0
    roles: tuple[MeterRole, ...] = ("household", "public")


class MeterFaultParams(WaterLeakParams, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A fault is a job for the fitter, not for the night."""

    severity: Severity = "info"
    escalate: bool = False


class _OfMeters:
    """What the two kinds of one meter share."""

    def __init__(self) -> None:
        self._prices = MarginalPrices()

    def _sightings(self, rules: Sequence[RuleView], world: World, *, faults: bool) -> Iterator[Sighting]:
        for rule in rules:
            params = cast(WaterLeakParams, rule.params)
            for meter in world.meters.get(rule.site, ()):
                if meter.role in params.roles:
                    yield Sighting(rule, meter.name, self._look(rule, params, meter, world, faults=faults))

    def _look(
        self, rule: RuleView, params: WaterLeakParams, meter: Meter, world: World, *, faults: bool
    ) -> Observation:
        if _catches_up(world, rule.site, meter.name):
            return Observation("between")
        alarms = _present(world, rule.site, meter.name, timedelta(seconds=params.silent_s))
        if alarms is None:
            return Observation("no_data")
        wanted = [one for one in alarms if (one.kind in METER_KINDS) == faults and _counts(one, params)]
        if not wanted:
            return Observation("clear", 0.0, 0.0)
        price = self._prices.of(world.series, world.sites[rule.site], meter, world.now)
        return seen(wanted, world.now, price)


class WaterLeakRule(_OfMeters):
    """Water lost behind a meter: continuous flow, a burst, an intermittent toilet."""

    key: ClassVar[str] = "water_leak"
    params: ClassVar[type[RuleParams]] = WaterLeakParams

    def observe(self, rules: Sequence[RuleView], world: World) -> Iterator[Sighting]:
        """Yield a sighting per rule and meter."""
        return self._sightings(rules, world, faults=False)


class WaterMeterFaultRule(_OfMeters):
    """A meter that runs backwards, stands still or is silent."""

    key: ClassVar[str] = "water_meter_fault"
    params: ClassVar[type[RuleParams]] = MeterFaultParams

    def observe(self, rules: Sequence[RuleView], world: World) -> Iterator[Sighting]:
        """Yield a sighting per rule and meter."""
        return self._sightings(rules, world, faults=True)


class WaterQuarterLossRule:
    """Water lost between a quarter's master meter and its sub-meters, or behind a district's inlet meter."""

    key: ClassVar[str] = "water_quarter_loss"
    params: ClassVar[type[RuleParams]] = WaterLeakParams

    def __init__(self) -> None:
        self._prices = MarginalPrices()

    def observe(self, rules: Sequence[RuleView], world: World) -> Iterator[Sighting]:
        """Yield one sighting per rule whose site has a master meter: with sub-meters a quarter, else a district."""
        for rule in rules:
            params = cast(WaterLeakParams, rule.params)
            meters = world.meters.get(rule.site, ())
            master = next((meter for meter in meters if meter.role == "master"), None)
            if master is None:
                continue
            unit = DISTRICT if all(meter.role == "master" for meter in meters) else QUARTER
            if _catches_up(world, rule.site, unit):
                yield Sighting(rule, unit, Observation("between"))
                continue
            alarms = _present(world, rule.site, unit, timedelta(seconds=params.silent_s))
            if alarms is None:
                yield Sighting(rule, unit, Observation("no_data"))
                continue
            wanted = [one for one in alarms if _counts(one, params)]
            price = self._prices.first_tier(world.sites[rule.site])
            found = seen(wanted, world.now, price) if wanted else Observation("clear", 0.0, 0.0)
            yield Sighting(rule, unit, found)


def seen(alarms: Sequence[Alarm], now: datetime, price: tuple[float, str]) -> Observation:
    """Make an observation of alarms: the value is the largest loss, L/h; the detail has each with its price. Pure.

    ``price`` is what the next m³ costs, and the currency.
    """
    worst = max(alarms, key=lambda one: abs(one.flow_lph))
    told = [_told(one, now, price) for one in sorted(alarms, key=lambda one: -abs(one.flow_lph))]
    since = min(one.since for one in alarms).astimezone(UTC).isoformat()
    detail = {"kind": worst.kind, "since": since, "alarms": told, "currency": price[1]}
    return Observation("breach", round(abs(worst.flow_lph), 2), 0.0, detail)


def _told(alarm: Alarm, now: datetime, price: tuple[float, str]) -> dict[str, Any]:
    loss = estimate_loss(alarm, now)
    plain: dict[str, Any] = msgspec.to_builtins(alarm)
    return {
        **plain,
        "so_far_l": round(loss.so_far_l, 1),
        "month_l": round(loss.month_l, 1),
        "month_money": round(loss.month_l / 1000.0 * price[0], 2),
    }


def _present(world: World, site: str, unit: str, silent: timedelta) -> list[Alarm] | None:
    """Return a unit's alarms, or ``None`` where its data is too old to speak of now."""
    if world.leaks is None:
        return None
    until = world.leaks.seen_until(site, unit)
    if until is None or world.now - until > silent:
        return None
    return world.leaks.active(site, unit)


def _catches_up(world: World, site: str, unit: str) -> bool:
    """Whether a detector has not seen all there is, as after a crash: an alert must not end by what it knew then."""
    return world.leaks is not None and world.leaks.catches_up(site, unit)


def _counts(alarm: Alarm, params: WaterLeakParams) -> bool:
    return alarm.kind in METER_KINDS or abs(alarm.flow_lph) >= params.least_lph
