"""The part of the registry that one process judges: all of it, or the sites whose leases it holds.

Sites and the two duties of which there is one for all (messages, the store's housekeeping) are pieces of work of one
pool of leases (``store.registry.lease_keeper``).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Final, Literal, Protocol

from sqlalchemy import select
from sqlalchemy.orm import Session

from store.registry.database import Registry
from store.registry.lease_keeper import LeaseKeeper, LeaseStats, LeaseTiming
from store.registry.models import Site

POOL: Final = "analysis"
Duty = Literal["messages", "housekeeping"]
_SITE: Final = "site/"
_DUTIES: Final[Mapping[Duty, str]] = {"messages": "duty/messages", "housekeeping": "duty/housekeeping"}


class Turn(Protocol):
    """What a round may judge: fixed when it begins, and asked again where it writes."""

    @property
    def sites(self) -> frozenset[str] | None:
        """Sites to be judged; ``None`` for every one."""
        ...

    def still(self, session: Session, sites: Iterable[str]) -> set[str]:
        """Return those of ``sites`` that are still this round's, for certain until ``session`` is committed."""
        ...


@dataclass(frozen=True, slots=True)
class EverySite:
    """The turn of a process that shares with nobody."""

    sites: frozenset[str] | None = None

    def still(self, session: Session, sites: Iterable[str]) -> set[str]:  # noqa: ARG002
        """Return all of them."""
        return set(sites)


EVERY_SITE: Final = EverySite()


@dataclass(frozen=True, slots=True)
class LeasedSites:
    """The turn of a shard: its sites with the epochs of their leases."""

    keeper: LeaseKeeper
    epochs: Mapping[str, int] = field(default_factory=dict)
    """By site."""

    @property
    def sites(self) -> frozenset[str]:
        """Sites to be judged."""
        return frozenset(self.epochs)

    def still(self, session: Session, sites: Iterable[str]) -> set[str]:
        """Ask the leases, and keep them as they are until ``session`` is committed."""
        asked = {_SITE + site: self.epochs[site] for site in sites if site in self.epochs}
        return {one.removeprefix(_SITE) for one in self.keeper.still(session, asked)} if asked else set()


@dataclass(frozen=True, slots=True)
class Leaving:
    """What a shard is to give to others."""

    keeper: LeaseKeeper
    epochs: Mapping[str, int]
    """By piece of work."""

    @property
    def turn(self) -> LeasedSites:
        """The sites among it, for what is to be written down before."""
        return LeasedSites(self.keeper, _sites(self.epochs))

    def give_back(self) -> None:
        """Let it go. Raises ``RegistryUnavailable``."""
        self.keeper.give_back(self.epochs)


class Shard:
    """One process of several that share the sites of a registry."""

    def __init__(self, registry: Registry, name: str, timing: LeaseTiming | None = None) -> None:
        self.keeper = LeaseKeeper(registry, POOL, name, _all_work, timing=timing)

    def turn(self) -> LeasedSites:
        """Return what this process may judge now."""
        return LeasedSites(self.keeper, _sites(self.keeper.held()))

    def leaving(self) -> Leaving:
        """Return what is to be finished: others are to have it."""
        return Leaving(self.keeper, self.keeper.unwanted())

    def has(self, duty: Duty) -> bool:
        """Whether this process is the one that does a duty."""
        return _DUTIES[duty] in self.keeper.held()

    @property
    def sites_held(self) -> int:
        """How many sites it holds now."""
        return len(_sites(self.keeper.held()))

    @property
    def stats(self) -> LeaseStats:
        """Counts of its leases."""
        return self.keeper.stats


def _all_work(session: Session) -> list[str]:
    return [*_DUTIES.values(), *(_SITE + name for name in session.scalars(select(Site.name)))]


def _sites(epochs: Mapping[str, int]) -> dict[str, int]:
    return {one.removeprefix(_SITE): epoch for one, epoch in epochs.items() if one.startswith(_SITE)}
