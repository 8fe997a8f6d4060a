"""Night flow: the smallest hour of each night at a quarter's master meters, when hardly anybody draws water. Pure."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from datetime import date
from statistics import median
from typing import Final

from contract.sitetime import SiteClock
from store.series.interface import WaterHour

NIGHT_HOURS: Final = (2, 3)
"""Hours of the day of the smallest flow, 02:00 to 04:00 (usual practice)."""


@dataclass(frozen=True, slots=True)
class NightFlow:
    """Night flow in L/h: of the newest night that is known (``date``), and the median of the nights looked at."""

    date: date
    newest_lph: float
    median_lph: float
    nights: int


def night_flows(hours: Iterable[WaterHour], masters: Collection[str], clock: SiteClock) -> dict[date, float]:
    """Return litres of the smallest night hour, all master meters together, of each date on which all are known."""
    volumes: dict[date, dict[int, float]] = defaultdict(lambda: defaultdict(float))
    known: dict[date, dict[int, int]] = defaultdict(lambda: defaultdict(int))
    for row in hours:
        local = clock.local(row.t)
        if row.source in masters and local.hour in NIGHT_HOURS and row.volume_l is not None:
            volumes[local.date()][local.hour] += row.volume_l
            known[local.date()][local.hour] += 1
    return {
        day: min(of.values())
        for day, of in sorted(volumes.items())
        if all(known[day][hour] == len(masters) for hour in NIGHT_HOURS)
    }


def night_flow(hours: Iterable[WaterHour], masters: Collection[str], clock: SiteClock) -> NightFlow | None:
    """Summarise the nights; ``None`` without a master meter or a night that is known."""
    flows = night_flows(hours, masters, clock)
    if not flows:
        return None
    newest = max(flows)
    return NightFlow(newest, flows[newest], median(flows.values()), len(flows))
