"""What every kind of rule is: typed parameters, and a function from the world to observations."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Annotated, Any, ClassVar, Protocol

import msgspec
from msgspec import Meta

from analysis.alerts.machine import Observation, Timing
from store.registry.models import Device, Meter, Rule, Site
from store.series.interface import SeriesStore

Seconds = Annotated[int, Meta(ge=0, le=31 * 86_400)]
Share = Annotated[float, Meta(ge=0.0, le=1.0)]
Decibels = Annotated[float, Meta(ge=0.0, le=60.0)]


class RuleParams(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What every kind has: how long the condition holds before an alert fires, and is gone before it resolves."""

    hold_s: Seconds = 0
    recover_s: Seconds = 300

    def timing(self) -> Timing:
        """Return the machine's times."""
        return Timing(hold=timedelta(seconds=self.hold_s), recover=timedelta(seconds=self.recover_s))


@dataclass(frozen=True, slots=True)
class RuleView:
    """A rule of the registry with its parameters understood."""

    id: int
    site: str
    kind: str
    version: int
    params: RuleParams


@dataclass(frozen=True, slots=True)
class World:
    """What rules look at in one round: the registry's present and the time series up to ``end``.

    ``end`` lies a settling time before ``now``, so that the readings of the last moment have arrived.
    """

    series: SeriesStore
    now: datetime
    end: datetime
    sites: Mapping[str, Site]
    noise_devices: Mapping[str, Sequence[Device]] = field(default_factory=dict)
    meters: Mapping[str, Sequence[Meter]] = field(default_factory=dict)


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


def view(rule: Rule, kinds: Mapping[str, RuleKind]) -> RuleView:
    """Understand a stored rule. Raises ``ValueError`` that names the rule and what is wrong with it."""
    kind = kinds.get(rule.kind)
    if kind is None:
        raise ValueError(
            f"rule {rule.id} of {rule.site}: no kind {rule.kind!r}; known: {', '.join(sorted(kinds))}"
        )
    return RuleView(
        rule.id, rule.site, rule.kind, rule.version, parse_params(kind, rule.params, f"rule {rule.id}")
    )


def parse_params(kind: RuleKind, raw: Mapping[str, Any], what: str) -> RuleParams:
    """Validate parameters; what is not given takes the kind's default. Raises ``ValueError``."""
    try:
        return msgspec.convert(dict(raw), kind.params)
    except msgspec.ValidationError as error:
        raise ValueError(f"{what} ({kind.key}): {error}") from None
