"""One round over all rules: load what is to be judged, observe, hand the sightings to the alert book."""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final, TypeVar

import structlog
from sqlalchemy import select
from sqlalchemy.orm import Session

from analysis.alerts.book import AlertBook, Key
from analysis.alerts.machine import Reason
from analysis.alerts.silences import Window, current
from analysis.alerts.snapshot import AlertSnapshot
from analysis.exclusions import Span, by_hand, weather_spans
from analysis.leak_watch import LeakWatch
from analysis.rules.catalog import new_kinds
from analysis.rules.filters import inhibit, maintain, supersede
from analysis.rules.kinds import RuleView, Sighting, World, view
from analysis.rules.water_leak import WaterLeakRule, WaterMeterFaultRule, WaterQuarterLossRule
from analysis.shard import EVERY_SITE, Turn
from analysis.site_settings import settings_of
from store.registry.database import Registry
from store.registry.models import Device, DeviceState, Meter, Rule, Site
from store.series.interface import EventRow, SeriesStore

log = structlog.get_logger(__name__)

_RowT = TypeVar("_RowT", Device, Meter)

_RELOAD_S: Final = 2.0
"""Real seconds that sites, devices, meters and rules are taken as known, at least."""
_RELOAD_SHARE: Final = 20
"""... and this many times as long as loading them took, so that a city does not load all the time."""
_OF_LEAKS: Final = (WaterLeakRule.key, WaterMeterFaultRule.key, WaterQuarterLossRule.key)
_LEFT_OUT_BACK: Final = timedelta(hours=2)
_MOST_WEATHER: Final = 20_000


@dataclass(frozen=True, slots=True)
class RoundReport:
    """What a round did. ``bad_rules`` are those whose kind or parameters are not understood."""

    rules: int
    bad_rules: int
    sightings: int
    changed: list[AlertSnapshot]


@dataclass(frozen=True, slots=True)
class _Loaded:
    sites: Mapping[str, Site]
    devices: Mapping[str, list[Device]]
    meters: Mapping[str, list[Meter]]
    states: Mapping[tuple[str, str], DeviceState]
    windows: list[Window]
    left_out: Mapping[str, list[Span]]
    rules: Mapping[str, list[RuleView]]
    """By kind."""
    bad: Mapping[int, str]


class Watch:
    """Judges every rule of the registry. One thread calls :meth:`round`."""

    def __init__(
        self, series: SeriesStore, registry: Registry, book: AlertBook, *,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:  # fmt: skip
        self._series = series
        self._registry = registry
        self._book = book
        self._monotonic = monotonic
        self._kinds = new_kinds()
        self._leaks = LeakWatch(series, registry, monotonic=monotonic)
        self._loaded: _Loaded | None = None
        self._reload_at = 0.0
        self._started_at: datetime | None = None
        self._told_bad: dict[int, str] = {}
        self._sites: frozenset[str] | None = None

    def round(
        self, now: datetime, real_second: timedelta = timedelta(seconds=1), turn: Turn = EVERY_SITE
    ) -> RoundReport:
        """Judge all rules of the turn's sites. Raises ``StoreUnavailable``.

        ``real_second`` is what the clock passes in a second of the wall. Data is looked at up to one before ``now``:
        so long the readings of a moment may need to arrive.
        """
        self._started_at = min(self._started_at or now, now)
        self._change_sites(turn.sites)
        loaded, fresh = self._current(now)
        world = World(
            series=self._series, now=now, end=(now - real_second).replace(microsecond=0), sites=loaded.sites,
            devices=loaded.devices, meters=loaded.meters, states=loaded.states, left_out=loaded.left_out,
            leaks=self._leaks, started_at=self._started_at, real_second=real_second,
        )  # fmt: skip
        if any(key in loaded.rules for key in _OF_LEAKS):
            self._leaks.advance(loaded.sites, loaded.meters, now, turn=turn)
        seen = [one for key, rules in loaded.rules.items() for one in self._kinds[key].observe(rules, world)]
        sightings = maintain(supersede(inhibit(seen, world)), loaded.windows, now)
        changed = self._book.take(sightings, now, turn)
        if fresh:
            changed += self._end_orphans(loaded, sightings, now, turn)
        count = sum(len(rules) for rules in loaded.rules.values())
        return RoundReport(count, len(loaded.bad), len(sightings), changed)

    def close(self, now: datetime, turn: Turn = EVERY_SITE) -> None:
        """Write down what is remembered of the turn's sites."""
        self._leaks.close(now, turn)

    def _change_sites(self, sites: frozenset[str] | None) -> None:
        """Forget what is known of sites that others judge now, and load those that have come."""
        if sites == self._sites:
            return
        self._sites, self._loaded = sites, None
        if sites is not None:
            self._leaks.keep_only(sites)

    def _current(self, now: datetime) -> tuple[_Loaded, bool]:
        began = self._monotonic()
        if self._loaded is not None and began < self._reload_at:
            return self._loaded, False
        self._loaded = self._load(now, self._sites)
        took = self._monotonic() - began
        self._reload_at = began + max(_RELOAD_S, _RELOAD_SHARE * took)
        self._tell_bad(self._loaded.bad)
        return self._loaded, True

    def _load(self, now: datetime, only: frozenset[str] | None) -> _Loaded:
        rules: dict[str, list[RuleView]] = defaultdict(list)
        bad: dict[int, str] = {}

        def mine(site: str) -> bool:
            return only is None or site in only

        with self._registry.reader() as session:
            sites = {site.name: site for site in session.scalars(select(Site)) if mine(site.name)}
            devices = _by_site(
                session.scalars(select(Device).where(Device.enabled).order_by(Device.name)), mine
            )
            meters = _by_site(session.scalars(select(Meter).order_by(Meter.name)), mine)
            states = {(one.site, one.device): one for one in session.scalars(select(DeviceState))}
            windows = current(session, now)
            left_out = self._left_out(session, now)
            for rule in session.scalars(select(Rule).where(Rule.enabled).order_by(Rule.id)):
                if rule.site not in sites:
                    continue
                try:
                    rules[rule.kind].append(view(rule, self._kinds, settings_of(sites[rule.site])))
                except ValueError as error:
                    bad[rule.id] = str(error)
        known = {kind: of_kind for kind, of_kind in rules.items() if of_kind}
        return _Loaded(sites, devices, meters, states, windows, left_out, known, bad)

    def _left_out(self, session: Session, now: datetime) -> dict[str, list[Span]]:
        """Return the last hours' rain and wind of every site with a weather station, and what is left out by hand."""
        since, until = now - _LEFT_OUT_BACK, now + _LEFT_OUT_BACK
        by_site: dict[str, list[EventRow]] = defaultdict(list)
        events = self._series.events(since, now, kind="weather", limit=_MOST_WEATHER)
        for event in events:
            by_site[event.site].append(event)
        # What was observed last holds on until it is contradicted or too old.
        spans = {site: weather_spans(of_site, until) for site, of_site in by_site.items()}
        for site, span in by_hand(session, since, until):
            spans.setdefault(site, []).append(span)
        return spans

    def _tell_bad(self, bad: Mapping[int, str]) -> None:
        for rule_id, fault in bad.items():
            if self._told_bad.get(rule_id) != fault:
                log.error("a rule cannot be judged; correct or disable it", rule=rule_id, fault=fault)
        self._told_bad = dict(bad)

    def _end_orphans(
        self, loaded: _Loaded, sightings: list[Sighting], now: datetime, turn: Turn
    ) -> list[AlertSnapshot]:
        """End alerts whose rule is off or whose source is gone; a rule that is not understood keeps its alerts."""
        seen = {(one.rule.id, one.source) for one in sightings}
        active = {rule.id for rules in loaded.rules.values() for rule in rules}
        gone: dict[Key, Reason] = {}
        for key in self._book.open_keys(turn) - seen:
            if key[0] not in loaded.bad:
                gone[key] = "source_removed" if key[0] in active else "rule_disabled"
        return self._book.withdraw(gone, now, turn) if gone else []


def _by_site(rows: Iterable[_RowT], mine: Callable[[str], bool]) -> dict[str, list[_RowT]]:
    grouped: dict[str, list[_RowT]] = defaultdict(list)
    for row in rows:
        if mine(row.site):
            grouped[row.site].append(row)
    return grouped
