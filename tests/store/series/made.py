"""Readings for a store, made here; and what numpy says about them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, timedelta
from itertools import count
from typing import Any

import numpy as np

from contract.flags import NOISE_EXCLUDED, NoiseFlag, parse
from contract.messages import EdgeEvent, NoiseMinute, NoiseSecond, WaterReading
from store.series.interface import Entry, SeriesStore

T0 = datetime(2026, 3, 10, 12, tzinfo=UTC)
SECOND, MINUTE, HOUR, DAY = timedelta(seconds=1), timedelta(minutes=1), timedelta(hours=1), timedelta(days=1)
SITE, DEVICE, METER = "garden", "gate", "flat-1"
_SEQ = count(1)


def second(t: datetime, level: float = 50.0, *, site: str = SITE, device: str = DEVICE, **more: Any) -> Entry:
    levels = {"laeq_db": level, "lafmax_db": level, "lafmin_db": level, "laf_db": level, **more}
    return Entry(site, device, NoiseSecond(seq=next(_SEQ), t=t, **levels), t + SECOND)


def seconds(start: datetime, levels: Iterable[float], **more: Any) -> list[Entry]:
    return [second(start + n * SECOND, float(level), **more) for n, level in enumerate(levels)]


def minute(
    t: datetime,
    histogram: dict[int, int] | None = None,
    *,
    site: str = SITE,
    device: str = DEVICE,
    **more: Any,
) -> Entry:
    pairs = sorted((histogram or {500: 480}).items())
    reading = NoiseMinute(
        seq=next(_SEQ),
        t=t,
        laf_bins=tuple(b for b, _ in pairs),
        laf_counts=tuple(n for _, n in pairs),
        **more,
    )
    return Entry(site, device, reading, t + MINUTE)


def water(
    t: datetime, steps: int, *, site: str = SITE, device: str = "cellar", meter: str = METER, step_ml: int = 1000,
    **more: Any,
) -> Entry:  # fmt: skip
    reading = WaterReading(seq=next(_SEQ), t=t, meter=meter, volume_steps=steps, step_ml=step_ml, **more)
    return Entry(site, device, reading, t + SECOND)


def event(
    t: datetime, kind: str = "restart", *, site: str = SITE, device: str = DEVICE, **more: Any
) -> Entry:
    return Entry(site, device, EdgeEvent(seq=next(_SEQ), t=t, kind=kind, **more), t + SECOND)


def put(store: SeriesStore, entries: Sequence[Entry]) -> None:
    report = store.write(entries)
    assert (report.accepted, tuple(report.rejected), tuple(report.retry)) == (len(entries), (), ())


# -- what numpy says -------------------------------------------------------------------------------------------------


def valid(entries: Iterable[Entry]) -> list[NoiseSecond]:
    readings = [e.reading for e in entries if isinstance(e.reading, NoiseSecond)]
    return [r for r in readings if not parse(NoiseFlag, r.flags) & NOISE_EXCLUDED]


def energy_mean_db(entries: Iterable[Entry]) -> float:
    readings = valid(entries)
    weights = np.array([r.measured_ms for r in readings], dtype=float)
    energies = 10 ** (np.array([r.laeq_db for r in readings]) / 10)
    return float(10 * np.log10((energies * weights).sum() / weights.sum()))


def exceeded_db(samples: Sequence[float] | np.ndarray, percent: float) -> float:
    """The level exceeded for ``percent`` of the samples."""
    return float(np.percentile(np.asarray(samples), 100 - percent))


def samples_of(entries: Iterable[Entry]) -> np.ndarray:
    """The LAF samples of minutes' histograms, each at the middle of its bin."""
    merged: dict[int, int] = {}
    for entry in entries:
        assert isinstance(entry.reading, NoiseMinute)
        for b, n in zip(entry.reading.laf_bins, entry.reading.laf_counts, strict=True):
            merged[b] = merged.get(b, 0) + n
    return np.repeat([b / 10 + 0.05 for b in merged], list(merged.values()))
