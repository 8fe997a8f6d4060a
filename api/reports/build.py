"""Gathers the facts of an order and builds its tree, from the same stores and by the same clock as the API."""

from __future__ import annotations

from typing import Final, cast

from sqlalchemy import select
from sqlalchemy.orm import Session

from analysis.dossier.gather import frozen_dossier, present_dossier, usual_period
from analysis.dossier.standard import Programme
from analysis.report.city import CityFacts, build_city
from analysis.report.dossier import Version, build_dossier
from analysis.report.gather import gather_quarter
from analysis.report.links import Links
from analysis.report.model import Report
from analysis.report.period import Period, parse
from analysis.report.quarter import build_quarter
from api.context import ApiContext
from api.reports.desk import Order, Progress, ReportDesk
from api.version import VERSION
from contract.clock import Clock
from store.registry.database import Registry
from store.registry.dossier import find_version
from store.registry.models import Site
from store.series.interface import SeriesStore

_CITY_ZONE: Final = "Asia/Shanghai"


def report_desk(context: ApiContext) -> ReportDesk:
    """Return the desk of a server: reports lie in the folder ``reports`` beside the attachments."""
    build = Builder(context.series, context.registry, context.clock, context.wall, context.config.base_url)
    return ReportDesk(build, context.wall, context.files / "reports" if context.files else None)


class Builder:
    """Builds what is ordered. ``base_url`` is the server's address for links, empty where it is not known."""

    def __init__(
        self, series: SeriesStore, registry: Registry, clock: Clock, wall: Clock, base_url: str = ""
    ) -> None:
        self._series = series
        self._registry = registry
        self._clock = clock
        self._wall = wall
        self._links = Links(base_url.rstrip("/"))

    def __call__(self, order: Order, progress: Progress) -> Report:
        """Return the tree. Raises ``LookupError`` where the quarter is gone, and what the stores raise."""
        if order.kind == "city":
            return self._city(order, parse(order.period), progress)
        assert order.site is not None
        if order.kind == "dossier":
            return self._dossier(order, order.site)
        return self._quarter(order, order.site, parse(order.period))

    def _quarter(self, order: Order, name: str, period: Period) -> Report:
        with self._registry.reader() as session:
            site = _site(session, name)
            facts = gather_quarter(self._series, session, site, period, self._clock.now())
        return build_quarter(
            facts, order.language, made_at=self._wall.now(), version=VERSION, links=self._links
        )

    def _dossier(self, order: Order, name: str) -> Report:
        frozen: Version | None = None
        programme = cast("Programme", order.period)
        with self._registry.reader() as session:
            site = _site(session, name)
            if order.version is None:
                now = self._clock.now()
                dossier = present_dossier(
                    session, self._series, site, programme, *usual_period(site, now), now
                )
            else:
                row = find_version(session, name, programme, order.version)
                if row is None:
                    raise LookupError(
                        f"there is no version {order.version} of the dossier {programme!r} at {name!r}"
                    )
                dossier = frozen_dossier(row)
                frozen = Version(row.number, row.frozen_at, row.frozen_by, row.sha256)
            zone = site.timezone
        return build_dossier(
            dossier, order.language, zone=zone, made_at=self._wall.now(), version=VERSION, frozen=frozen,
            links=self._links,
        )  # fmt: skip

    def _city(self, order: Order, period: Period, progress: Progress) -> Report:
        now = self._clock.now()
        with self._registry.reader() as session:
            names = list(session.scalars(select(Site.name).order_by(Site.name)))
        quarters = []
        for number, name in enumerate(names):
            # A session for each quarter: no reader holds the registry's file for the length of a whole city.
            with self._registry.reader() as session:
                site = session.get(Site, name)
                if site is not None:
                    quarters.append(
                        gather_quarter(self._series, session, site, period, now, with_hours=False)
                    )
            progress((number + 1) / len(names))
        zone = quarters[0].site.timezone if quarters else _CITY_ZONE
        city = CityFacts(tuple(quarters), period, now, zone)
        return build_city(city, order.language, made_at=self._wall.now(), version=VERSION, links=self._links)


def _site(session: Session, name: str) -> Site:
    site = session.get(Site, name)
    if site is None:
        raise LookupError(f"there is no quarter {name!r}")
    return site
