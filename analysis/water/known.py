"""What is known of a quarter's water over whole dates: the volume that counts, and the loss. Pure.

Account, reports and dossier take their figures from here, so that one range of dates has one figure. A date counts
where three quarters of its hours are known; what is missing of it is taken as the mean of what is known.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Final, Literal

from analysis.days import WaterDay
from analysis.water.leakage import Balance, balance
from store.registry.models import Meter

KNOWN_ENOUGH: Final = 0.75
"""Share of the hours that must be known for a date, or a sub-meter in a balance, to count (project default)."""


@dataclass(frozen=True, slots=True)
class CountedUse:
    """Litres over the dates that count, and how many those are."""

    volume_l: float
    dates: int


@dataclass(frozen=True, slots=True)
class Loss:
    """A quarter's balance over the ``dates`` that count at every master meter.

    ``unknown`` are the sub-meters that are not known well enough over those. ``balance`` is ``None`` without a master
    meter, where no date of it counts, or where no sub-meter is known: ``reason`` says which.
    """

    balance: Balance | None
    unknown: tuple[str, ...] = ()
    dates: int = 0
    reason: Literal["", "no_master_meter", "master_unknown", "others_unknown"] = ""


def counted_volume_l(day: WaterDay) -> float | None:
    """Return a date's litres with what is missing at its mean; ``None`` where the date does not count."""
    if day.volume_l is None or day.known_share < KNOWN_ENOUGH:
        return None
    return day.volume_l / day.known_share


def counted_use(days: Iterable[WaterDay]) -> CountedUse:
    """Add up the dates that count."""
    volumes = [volume for day in days if (volume := counted_volume_l(day)) is not None]
    return CountedUse(sum(volumes), len(volumes))


def every_date(days: Iterable[WaterDay], meter: str, first: date, last: date) -> list[WaterDay]:
    """Return every date of a meter; one without any reading is unknown."""
    found = {day.date: day for day in days if day.meter == meter}
    dates = (first + timedelta(days=n) for n in range((last - first).days + 1))
    return [found.get(day) or WaterDay(day, meter, None, 0.0) for day in dates]


def summed(of_meters: Sequence[Sequence[WaterDay]]) -> list[WaterDay]:
    """Add meters date by date, each given with the same dates; a date is as well known as its meters on average."""
    found: list[WaterDay] = []
    for days in zip(*of_meters, strict=True):
        volumes = [day.volume_l for day in days if day.volume_l is not None]
        found.append(
            WaterDay(days[0].date, "", sum(volumes) if volumes else None, known_share(days))
        )  # fmt: skip
    return found


def loss(days: Iterable[WaterDay], meters: Sequence[Meter], first: date, last: date) -> Loss:
    """Balance the master meters with the sub-meters over the dates that count at every master meter."""
    known = list(days)
    of = {one.name: every_date(known, one.name, first, last) for one in meters}
    masters = [of[one.name] for one in meters if one.role == "master"]
    subs = {one.name: of[one.name] for one in meters if one.role != "master"}
    if not masters:
        return Loss(None, reason="no_master_meter")
    let_in = [[counted_volume_l(day) for day in dates] for dates in zip(*masters, strict=True)]
    counted = [n for n, volumes in enumerate(let_in) if None not in volumes]
    total = sum(volume or 0.0 for n in counted for volume in let_in[n])
    volumes = {name: _volume_l([of_meter[n] for n in counted]) for name, of_meter in subs.items()}
    unknown = tuple(name for name, volume in volumes.items() if volume is None)
    if total <= 0.0:
        return Loss(None, unknown, len(counted), "master_unknown")
    if len(unknown) == len(volumes):
        return Loss(None, unknown, len(counted), "others_unknown")
    return Loss(balance(total, list(volumes.values())), unknown, len(counted))


def known_share(days: Sequence[WaterDay]) -> float:
    """Return the mean share of known hours; 0 of no date."""
    return sum(day.known_share for day in days) / len(days) if days else 0.0


def _volume_l(days: Sequence[WaterDay]) -> float | None:
    """Return a meter's litres, what is missing taken as the mean of the rest; ``None`` where too much is missing."""
    share = known_share(days)
    if share < KNOWN_ENOUGH:
        return None
    return sum(day.volume_l or 0.0 for day in days) / share
