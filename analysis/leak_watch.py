"""Runs the leak detectors over what is stored, and keeps their state over restarts.

Each meter, each quarter with a master meter and each district with an inlet meter alone is a unit that is fed row by
row as readings come. A detector is a function of its rows: its state is written down now and then, and what came after
is fed again on a restart. The detectors themselves are in ``analysis.leaks``.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Final

import msgspec
import structlog
from sqlalchemy import Select, select, tuple_
from sqlalchemy.orm import Session

from analysis.leak_units import MOST_ROWS, DistrictUnit, HouseholdUnit, QuarterUnit, Unit
from analysis.leaks.alarm import Alarm
from analysis.shard import EVERY_SITE, Turn
from store.registry.database import Registry
from store.registry.models import DetectorState, Meter, Site
from store.series.interface import SeriesStore, WaterPoint

log = structlog.get_logger(__name__)

Key = tuple[str, str]
"""Site and unit."""
_KEEP_EVERY: Final = timedelta(hours=6)
"""Data time after which a unit's state is written down again."""
_PORTION: Final = 200
"""Units in one transaction, or in one question, at most."""


class LeakWatch:
    """All detectors of one process. One thread calls it."""

    def __init__(
        self, series: SeriesStore, registry: Registry, *, monotonic: Callable[[], float] = time.monotonic
    ) -> None:
        self._series = series
        self._registry = registry
        self._monotonic = monotonic
        self._units: dict[Key, Unit] = {}
        self._kept_until: dict[Key, datetime] = {}
        self._behind: list[Key] = []
        self._catching_up: frozenset[Key] = frozenset()
        self._fetched: dict[Key, DetectorState | None] = {}
        """States of sites that have come with this round; a site itself is named by an empty unit."""

    def active(self, site: str, unit: str) -> list[Alarm] | None:
        """Return what a unit's detector holds to be so now; ``None`` where it has not seen anything yet."""
        known = self._units.get((site, unit))
        return None if known is None or known.done_until is None else known.active()

    def seen_until(self, site: str, unit: str) -> datetime | None:
        """Return up to when a unit's data has been seen."""
        known = self._units.get((site, unit))
        return known.done_until if known else None

    def catches_up(self, site: str, unit: str) -> bool:
        """Whether more of a unit's data is stored than its detector has seen: what it says is not of now."""
        return (site, unit) in self._catching_up

    def advance(
        self,
        sites: Mapping[str, Site],
        meters: Mapping[str, Sequence[Meter]],
        now: datetime,
        *,
        budget_s: float = 1.0,
        turn: Turn = EVERY_SITE,
    ) -> int:
        """Feed every unit what is new, for about ``budget_s`` of real time; return how many rows were fed.

        Units that are left over come first the next time. Raises ``StoreUnavailable``.
        """
        deadline = self._monotonic() + budget_s
        due = self._due_units(sites, meters)
        waiting = [key for key in self._behind if key in due]
        order = waiting + [key for key in due if key not in set(waiting)]
        fed = 0
        self._behind = []
        unfinished: list[Key] = []
        for position, key in enumerate(order):
            if self._monotonic() > deadline:
                self._behind = order[position:]
                break
            unit, newest = due[key]
            rows = unit.feed(self._series, newest)
            if rows >= MOST_ROWS:
                unfinished.append(key)
            fed += rows
        self._catching_up = frozenset([*unfinished, *self._behind])
        self._keep((key for key in order if self._worth_keeping(key)), now, turn)
        return fed

    def close(self, now: datetime, turn: Turn = EVERY_SITE) -> None:
        """Write the state of every unit of the turn's sites down."""
        self._keep([key for key in self._units if turn.sites is None or key[0] in turn.sites], now, turn)

    def keep_only(self, sites: frozenset[str]) -> None:
        """Forget the units of all other sites, without writing them down."""
        for key in [key for key in self._units if key[0] not in sites]:
            del self._units[key]
            self._kept_until.pop(key, None)
        self._behind = [key for key in self._behind if key[0] in sites]

    def _due_units(
        self, sites: Mapping[str, Site], meters: Mapping[str, Sequence[Meter]]
    ) -> dict[Key, tuple[Unit, datetime]]:
        """Return the units with a new row, and the reading that makes it."""
        latest = {(site, meter): point for site, meter, point in self._series.water_latest()}
        known = {site for site, _ in self._units}
        self._fetch(sorted({site for site, _ in latest if site in sites and site not in known}))
        due: dict[Key, tuple[Unit, datetime]] = {}
        for site, of_site in meters.items():
            for meter in of_site:
                newest = latest.get((site, meter.name))
                if newest is not None and site in sites:
                    unit = (
                        self._whole_site(sites[site], meter, of_site, newest)
                        if meter.role == "master"
                        else (self._household(site, meter.name, newest))
                    )
                    if unit is not None and unit.wants(newest.t):
                        due[site, unit.name] = (unit, newest.t)
        self._fetched = {}
        return due

    def _fetch(self, sites: Sequence[str]) -> None:
        """Read the states of all units of sites that have come: one question for many, not one for each unit."""
        self._fetched = {}
        for first in range(0, len(sites), _PORTION):
            which = DetectorState.site.in_(sites[first : first + _PORTION])
            with self._registry.reader() as session:
                rows = session.scalars(select(DetectorState).where(which)).all()
            self._fetched |= {(row.site, row.unit): row for row in rows}
            self._fetched |= {(site, ""): None for site in sites[first : first + _PORTION]}

    def _state_of(self, key: Key) -> DetectorState | None:
        if (key[0], "") in self._fetched:
            return self._fetched.get(key)
        with self._registry.reader() as session:
            return session.get(DetectorState, key)

    def _household(self, site: str, meter: str, newest: WaterPoint) -> Unit:
        known = self._units.get((site, meter))
        if known is not None and known.config_key == f"household/{newest.step_ml}":
            return known
        return self._take_up(HouseholdUnit(site, meter, newest))

    def _whole_site(
        self, site: Site, master: Meter, meters: Sequence[Meter], newest: WaterPoint
    ) -> Unit | None:
        """Return the unit of a site's first master meter: a quarter where there are sub-meters, else a district."""
        subs = [meter.name for meter in meters if meter.role != "master"]
        masters = [meter.name for meter in meters if meter.role == "master"]
        if master.name != masters[0]:
            return None
        if not subs:
            return self._district(site, master.name)
        fresh = QuarterUnit(site.name, site.timezone, master.name, subs, newest)
        known = self._units.get((site.name, fresh.name))
        if isinstance(known, QuarterUnit) and known.config_key == fresh.config_key:
            known.subs = subs
            return known
        return self._take_up(fresh)

    def _district(self, site: Site, inlet: str) -> Unit:
        fresh = DistrictUnit(site.name, site.timezone, inlet)
        known = self._units.get((site.name, fresh.name))
        return known if known is not None and known.config_key == fresh.config_key else self._take_up(fresh)

    def _take_up(self, unit: Unit) -> Unit:
        """Go on with a unit's state from the registry, where there is one of this configuration."""
        key = (unit.site, unit.name)
        row = self._state_of(key)
        if row is not None and row.config == unit.config_key:
            try:
                unit.restore(row.state, row.done_until)
                self._kept_until[key] = row.done_until
            except msgspec.DecodeError as error:
                log.warning("a leak detector's state is not understood; it begins anew", site=key[0], unit=key[1],
                            cause=str(error))  # fmt: skip
        self._units[key] = unit
        return unit

    def _worth_keeping(self, key: Key) -> bool:
        until, kept = self._units[key].done_until, self._kept_until.get(key)
        return until is not None and (kept is None or until - kept >= _KEEP_EVERY)

    def _keep(self, keys: Iterable[Key], now: datetime, turn: Turn) -> None:
        due = [key for key in keys if self._units[key].done_until not in (None, self._kept_until.get(key))]
        for first in range(0, len(due), _PORTION):
            self._keep_portion(due[first : first + _PORTION], now, turn)

    def _keep_portion(self, due: Sequence[Key], now: datetime, turn: Turn) -> None:
        with self._registry.session() as session:
            mine = turn.still(session, {key[0] for key in due})
            due = [key for key in due if key[0] in mine]
            rows = {(row.site, row.unit): row for row in session.scalars(_states(due))}
            for key in due:
                _write(session, rows.get(key), self._units[key], now)
        for key in due:
            until = self._units[key].done_until
            if until is not None:
                self._kept_until[key] = until


def _states(keys: Sequence[Key]) -> Select[DetectorState]:
    return select(DetectorState).where(tuple_(DetectorState.site, DetectorState.unit).in_(keys))


def _write(session: Session, row: DetectorState | None, unit: Unit, now: datetime) -> None:
    if row is None:
        row = DetectorState(site=unit.site, unit=unit.name)
        session.add(row)
    row.config, row.state = unit.config_key, unit.dump()
    row.done_until, row.updated_at = unit.done_until or now, now
    row.active = [msgspec.to_builtins(alarm) for alarm in unit.active()]
