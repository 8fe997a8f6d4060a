"""Readings for a store, made here."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import datetime, timedelta
from itertools import count

from contract.messages import EdgeEvent, NoiseMinute, NoiseSecond, WaterReading
from store.series.interface import Entry, SeriesStore

_SEQ = count()
SECOND = timedelta(seconds=1)


def noise(
    series: SeriesStore, start: datetime, seconds: int, level: float | Callable[[int], float], *, site: str = "garden",
    device: str = "gate", flags: tuple[str, ...] = (), lafmax_db: float | None = None,
) -> None:  # fmt: skip
    """Store seconds of a level, or of a level by the number of the second."""
    entries = []
    for n in range(seconds):
        laeq = level(n) if callable(level) else level
        reading = NoiseSecond(
            seq=next(_SEQ), t=start + n * SECOND, laeq_db=laeq, lafmax_db=lafmax_db or laeq, lafmin_db=laeq,
            laf_db=laeq, flags=flags,  # type: ignore[arg-type]
        )  # fmt: skip
        entries.append(Entry(site, device, reading, start + n * SECOND))
    _write(series, entries)


def minutes(
    series: SeriesStore, start: datetime, number: int, level_db: float, *, site: str = "garden",
    device: str = "gate", bands_db: Callable[[int], float] | None = None,
) -> None:  # fmt: skip
    """Store minutes whose histogram has one bin, with samples every 125 ms, and a flat spectrum by their number."""
    entries = []
    for n in range(number):
        t = start + timedelta(minutes=n)
        bands = (bands_db(n),) * 30 if bands_db else ()
        reading = NoiseMinute(
            seq=next(_SEQ),
            t=t,
            laf_bins=(int(level_db * 10),),
            laf_counts=(480,),
            first_band=14,
            bands_db=bands,
        )
        entries.append(Entry(site, device, reading, t))
    _write(series, entries)


def water(
    series: SeriesStore, start: datetime, gains_l: Iterable[float], *, every: timedelta = timedelta(hours=1),
    site: str = "garden", device: str = "cellar", meter: str = "flat-1", register_l: float = 1000.0,
    step_ml: int = 1000,
) -> float:  # fmt: skip
    """Store a register's readings, the first one at ``start`` before any gain; return the register, litres."""
    total = register_l
    entries = [_water(site, device, meter, start, total, step_ml)]
    for n, gain in enumerate(gains_l, start=1):
        total += gain
        entries.append(_water(site, device, meter, start + n * every, total, step_ml))
    _write(series, entries)
    return total


def event(
    series: SeriesStore,
    t: datetime,
    kind: str,
    *,
    site: str = "garden",
    device: str = "gate",
    **detail: object,
) -> None:
    reading = EdgeEvent(seq=next(_SEQ), t=t, kind=kind, detail=detail)  # type: ignore[arg-type]
    _write(series, [Entry(site, device, reading, t)])


def _water(site: str, device: str, meter: str, t: datetime, total_l: float, step_ml: int) -> Entry:
    steps = int(total_l * 1000 // step_ml)
    return Entry(
        site, device, WaterReading(seq=next(_SEQ), t=t, meter=meter, volume_steps=steps, step_ml=step_ml), t
    )


def _write(series: SeriesStore, entries: list[Entry]) -> None:
    report = series.write(entries)
    assert report.accepted == len(entries), report
