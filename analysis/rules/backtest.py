"""What a rule would have done: the same judging and the same machine, run over what is stored.

A rule's kind gives its observations of a past time (``replay``); here they go through ``analysis.alerts.machine``,
which is what decides in the live product. Nobody is told, and nothing is written.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final, Protocol, runtime_checkable

from analysis.alerts.machine import CLOSED, Observation, Standing, decide
from analysis.rules.kinds import RuleView, World

MOST_DAYS: Final = 92
Seen = tuple[datetime, Observation]


@runtime_checkable
class Replayable(Protocol):
    """A kind of rule that can be run over the past."""

    def sources(self, rule: RuleView, world: World) -> list[str]:
        """Return the sources that the rule looks at."""
        ...

    def replay(
        self, rule: RuleView, source: str, world: World, start: datetime, end: datetime
    ) -> Iterator[Seen]:
        """Yield what the rule would have seen at one source, ascending in time."""
        ...


class NotReplayable(ValueError):
    """This kind of rule, or this range, cannot be run over the past."""


@dataclass(frozen=True, slots=True)
class PastAlert:
    """One alert that would have been. ``resolved_at`` is ``None`` for one that would still be open at the end."""

    source: str
    firing_at: datetime
    resolved_at: datetime | None
    worst: float | None
    limit: float | None


@dataclass(frozen=True, slots=True)
class Backtest:
    """The outcome. ``known_share`` is the share of looks that had data; ``per_source`` has sources without one too."""

    alerts: tuple[PastAlert, ...]
    per_source: Mapping[str, int]
    looks: int
    known_share: float


def backtest(
    rule: RuleView, kind: object, world: World, start: datetime, end: datetime, *,
    progress: Callable[[int, int], None] | None = None,
) -> Backtest:  # fmt: skip
    """Run a rule over ``start`` to ``end``. ``progress`` is told how many of the sources are done.

    Raises :class:`NotReplayable`.
    """
    if not isinstance(kind, Replayable):
        raise NotReplayable(
            f"a rule of kind {rule.kind!r} depends on what is not stored; it cannot be tried on the past"
        )
    if not start < end or (end - start).days > MOST_DAYS:
        raise NotReplayable(f"choose a range of up to {MOST_DAYS} days that ends after it starts")
    alerts: list[PastAlert] = []
    per_source: dict[str, int] = {}
    looks = known = 0
    sources = kind.sources(rule, world)
    for done, source in enumerate(sources, start=1):
        seen = list(kind.replay(rule, source, world, start, end))
        looks += len(seen)
        known += sum(1 for _, one in seen if one.verdict != "no_data")
        of_source = list(lives(source, seen, rule))
        per_source[source] = len(of_source)
        alerts += of_source
        if progress is not None:
            progress(done, len(sources))
    alerts.sort(key=lambda one: one.firing_at)
    return Backtest(tuple(alerts), per_source, looks, known / looks if looks else 0.0)


def lives(source: str, seen: Iterable[Seen], rule: RuleView) -> Iterator[PastAlert]:
    """Yield the alerts that fire, in order of their end. Pure."""
    standing: Standing | None = None
    for t, one in seen:
        standing = decide(standing, one, t, rule.timing).alert
        if standing is not None and standing.state in CLOSED:
            if standing.firing_since is not None:
                yield PastAlert(source, standing.firing_since, t, standing.worst, standing.limit)
            standing = None
    if standing is not None and standing.firing_since is not None:
        yield PastAlert(source, standing.firing_since, None, standing.worst, standing.limit)


def most_alerting(result: Backtest, count: int = 5) -> Sequence[tuple[str, int]]:
    """Return the sources with the most alerts, most first."""
    ranked = sorted(result.per_source.items(), key=lambda one: (-one[1], one[0]))
    return [one for one in ranked if one[1]][:count]
