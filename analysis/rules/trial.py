"""Try a rule of a site on the past, from what the registry and the series store hold."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from analysis.exclusions import spans_of
from analysis.rules.backtest import Backtest, NotReplayable, backtest
from analysis.rules.catalog import new_kinds
from analysis.rules.edit import BadRule
from analysis.rules.kinds import RuleView, World, kind_of, parse_params
from analysis.site_settings import settings_of
from store.registry.models import Device, Meter, Site
from store.series.interface import SeriesStore


def try_rule(
    session: Session, series: SeriesStore, *, site: str, kind: str, params: Mapping[str, Any], now: datetime,
    days: int = 90, progress: Callable[[int, int], None] | None = None,
) -> Backtest:  # fmt: skip
    """Say how many alerts a rule would have raised in the last ``days`` before ``now``. Nothing is written.

    The site is taken as it is now, with its present devices, meters and limits. Raises ``BadRule`` for a rule that
    makes no sense and ``NotReplayable`` for a kind or a range that cannot be tried.
    """
    row = session.get(Site, site)
    if row is None:
        raise BadRule(f"there is no site {site!r}")
    try:
        known = kind_of(new_kinds(), kind, "rule")
        parsed = parse_params(known, params, "rule")
    except ValueError as error:
        raise BadRule(str(error)) from None
    if days < 1:
        raise NotReplayable("choose one day at least")
    rule = RuleView(0, site, kind, 1, parsed, parsed.timing(settings_of(row).escalation.after_s))
    devices = session.scalars(
        select(Device).where(Device.site == site, Device.enabled).order_by(Device.name)
    ).all()
    meters = session.scalars(select(Meter).where(Meter.site == site).order_by(Meter.name)).all()
    start = now - timedelta(days=days)
    world = World(
        series=series, now=now, end=now, sites={site: row}, devices={site: devices}, meters={site: meters},
        left_out={site: spans_of(session, series, site, start, now)},
    )  # fmt: skip
    return backtest(rule, known, world, start, now, progress=progress)
