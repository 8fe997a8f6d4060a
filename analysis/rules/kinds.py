"""What every kind of rule is: typed parameters, and a function from the world to observations."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Annotated, Any, ClassVar, Protocol

import msgspec
from msgspec import Meta

from analysis.alerts.machine import Observation, Timing
from analysis.exclusions import Span
from analysis.leak_watch import LeakWatch
from analysis.notify.prefs import Severity
from analysis.site_settings import SiteSettings
from store.registry.models import Device, DeviceState, Meter, Rule, Site
from store.series.interface import SeriesStore

Seconds = Annotated[int, Meta(ge=0, le=31 * 86_400)]
Share = Annotated[float, Meta(ge=0.0, le=1.0)]
Decibels = Annotated[float, Meta(ge=0.0, le=60.0)]


class RuleParams(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What every kind has: how long the condition holds before an alert fires, and is gone before it resolves.

    An alert that nobody takes up goes up to the authorities after the site's ``escalation.after_s``, where ``escalate``
    is set.
    """

    hold_s: Seconds = 0
    recover_s: Seconds = 300
    severity: Severity = "warning"
    escalate: bool = True

    def timing(self, escalate_after_s: int | None) -> Timing:
        """Return the machine's times."""
        late = timedelta(seconds=escalate_after_s) if self.escalate and escalate_after_s is not None else None
        return Timing(timedelta(seconds=self.hold_s), timedelta(seconds=self.recover_s), late)


@dataclass(frozen=True, slots=True)
class RuleView:
    """A rule of the registry with its parameters understood."""

    id: int
    site: str
    kind: str
    version: int
    params: RuleParams
    timing: Timing


@dataclass(frozen=True, slots=True)
class World:
    """What rules look at in one round: the registry's present and the time series up to ``end``.

    ``end`` lies a settling time before ``now``, so that the readings of the last moment have arrived. Mappings are by
    site; ``states`` is by site and device; ``left_out`` holds the times that do not count (rain and wind of the site's
    weather station, exclusions by hand), at least those of the last hours.
    """

    series: SeriesStore
    now: datetime
    end: datetime
    sites: Mapping[str, Site]
    devices: Mapping[str, Sequence[Device]] = field(default_factory=dict)
    meters: Mapping[str, Sequence[Meter]] = field(default_factory=dict)
    states: Mapping[tuple[str, str], DeviceState] = field(default_factory=dict)
    left_out: Mapping[str, Sequence[Span]] = field(default_factory=dict)
    leaks: LeakWatch | None = None
    started_at: datetime | None = None
    """Since when this process looks: what was before, it was not there to see."""
    real_second: timedelta = timedelta(seconds=1)
    """What this clock passes in a second of the wall."""

    def noise_devices(self, site: str) -> list[Device]:
        """Return the site's enabled devices that measure noise."""
        return [device for device in self.devices.get(site, ()) if device.kind != "gateway"]

    def counts_from(self, site: str, source: str, start: datetime, end: datetime) -> datetime:
        """Return the start of the last part of a stretch in which nothing is left out; ``end`` where there is none.

        A window never reaches back over what is left out: rain would go into its level.
        """
        ends = (
            span.end
            for span in self.left_out.get(site, ())
            if span.source in (None, source) and span.start < end and span.end > start
        )
        return min(end, max(ends, default=start))


@dataclass(frozen=True, slots=True)
class Sighting:
    """What one rule saw at one source."""

    rule: RuleView
    source: str
    seen: Observation


class RuleKind(Protocol):
    """One kind of rule. An instance may keep caches, never the truth: a new one sees the same."""

    key: ClassVar[str]
    params: ClassVar[type[RuleParams]]

    def observe(self, rules: Sequence[RuleView], world: World) -> Iterator[Sighting]:
        """Yield one sighting for every source of every rule."""
        ...


def view(rule: Rule, kinds: Mapping[str, RuleKind], settings: SiteSettings | None = None) -> RuleView:
    """Understand a stored rule. Raises ``ValueError`` that names the rule and what is wrong with it."""
    kind = kind_of(kinds, rule.kind, f"rule {rule.id} of {rule.site}")
    params = parse_params(kind, rule.params, f"rule {rule.id}")
    timing = params.timing((settings or SiteSettings()).escalation.after_s)
    return RuleView(rule.id, rule.site, rule.kind, rule.version, params, timing)


def kind_of(kinds: Mapping[str, RuleKind], key: str, what: str) -> RuleKind:
    """Return a kind. Raises ``ValueError`` that names ``what`` and the kinds there are."""
    if key not in kinds:
        raise ValueError(f"{what}: no kind {key!r}; known: {', '.join(sorted(kinds))}")
    return kinds[key]


def parse_params(kind: RuleKind, raw: Mapping[str, Any], what: str) -> RuleParams:
    """Validate parameters; what is not given takes the kind's default. Raises ``ValueError``."""
    try:
        return msgspec.convert(dict(raw), kind.params)
    except msgspec.ValidationError as error:
        raise ValueError(f"{what} ({kind.key}): {error}") from None
