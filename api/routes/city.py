"""The city as a map: what to draw it on, and how each quarter stood over a period."""

from __future__ import annotations

from datetime import date, datetime, timedelta
from typing import Any, Final, Literal

from fastapi import APIRouter, Request
from pydantic import Field

from analysis.city_verdicts import SiteStanding, site_standings
from analysis.exclusions import spans_of
from analysis.limits import site_clock
from analysis.verdict_table import verdict_table
from api import registry_reads as reads
from api.cache import caches_of
from api.context import ApiContext
from api.ground_plan import PlacedSite, ground_plan
from api.guard import Context, Who
from api.problems import documented
from api.schemas import Out
from api.times import FirstDay, LastDay, dates_of
from contract.sitetime import SiteClock

router = APIRouter(tags=["sites"], prefix="/city")

_LONGEST_DAYS: Final = 366
_DAY: Final = timedelta(days=1)


class TileLayerOut(Out):
    """One layer of tiles, for Leaflet."""

    url: str = Field(examples=["https://tile.openstreetmap.org/{z}/{x}/{y}.png"])
    attribution: str = Field(examples=["© OpenStreetMap contributors"])
    subdomains: str = Field(examples=["abc"])


class MapOut(Out):
    """What the map is drawn on: ``tiles`` or, without them, a ``ground`` plan that needs nothing from outside."""

    tiles: list[TileLayerOut]
    ground: dict[str, Any] | None = Field(
        description="Districts and a grid, or the bureau's own plan; null where there are tiles.",
        examples=[{"type": "FeatureCollection", "features": []}],
    )


class StandingOut(Out):
    """A quarter over the period: its days and nights at every source that had enough valid data to be judged."""

    site: str = Field(examples=["quiet-garden"])
    days: int = Field(description="Days judged.", examples=[29])
    days_within: int = Field(examples=[29])
    nights: int = Field(description="Nights judged.", examples=[30])
    nights_within: int = Field(examples=[27])
    share_within: float | None = Field(description="Of days and nights together.", examples=[0.949])
    standing: Literal["all_within", "mostly_within", "often_above", "none_judged"] = Field(
        description="Mostly: 90 % or more, a project default; no standard grades a quarter by this share."
    )


class StandingsOut(Out):
    """How the quarters that you may see stood over a period of dates, both included."""

    first: date
    last: date
    items: list[StandingOut]


@router.get("/map", summary="Tiles or ground plan of the map", responses=documented(401, 503))
def get_city_map(context: Context, who: Who) -> MapOut:
    """Return the configured layers of tiles, or a ground plan that works without a connection to the outside."""
    layers = context.config.tiles
    if layers:
        tiles = [
            TileLayerOut(url=one.url, attribution=one.attribution, subdomains=one.subdomains)
            for one in layers
        ]
        return MapOut(tiles=tiles, ground=None)
    if context.config.ground is not None:
        return MapOut(tiles=[], ground=dict(context.config.ground))
    with context.registry.reader() as session:
        placed = [
            PlacedSite(site.district, site.longitude, site.latitude)
            for site in reads.sites_for(session, who.sites)
            if site.latitude is not None and site.longitude is not None
        ]
    return MapOut(tiles=[], ground=ground_plan(placed))


@router.get("/standings", summary="Quarters over a period", responses=documented(401, 422, 503))
def list_standings(
    request: Request, context: Context, who: Who, first: FirstDay = None, last: LastDay = None
) -> StandingsOut:
    """Return the judged days and nights of each quarter, of the 30 dates up to yesterday unless told otherwise.

    A night belongs to the date on which it begins. What is incomplete is not judged.
    """
    now = context.clock.now()
    yesterday = SiteClock().local(now).date() - _DAY
    since, until = dates_of(first, last, yesterday, usual_days=30, longest_days=_LONGEST_DAYS)
    cache = caches_of(request).standings
    found = cache.get((since, until, who.sites), lambda: _standings(context, who.sites, since, until, now))
    return StandingsOut(first=since, last=until, items=[_standing_out(one) for one in found])


def _standings(
    context: ApiContext, visible: frozenset[str] | None, first: date, last: date, now: datetime
) -> list[SiteStanding]:
    with context.registry.reader() as session:
        sites = reads.sites_for(session, visible)
        left_out = {}
        for site in sites:
            clock = site_clock(site)
            start, end = clock.midnight(first), clock.midnight(last + 2 * _DAY)
            if spans := spans_of(session, context.series, site.name, start, end):
                left_out[site.name] = spans
    table = verdict_table(context.series, sites, first, last, now=now, exclusions=left_out)
    standings = site_standings(table)
    return [standings.get(site.name, SiteStanding(site.name)) for site in sites]


def _standing_out(one: SiteStanding) -> StandingOut:
    return StandingOut(
        site=one.site, days=one.days, days_within=one.days_within, nights=one.nights,
        nights_within=one.nights_within, share_within=one.share_within, standing=one.standing,
    )  # fmt: skip
