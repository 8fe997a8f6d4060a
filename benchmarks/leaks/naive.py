"""The rules that are used where there is no detector, to be compared with.

No rest within 24 h, or 500 L/h for two (a household), 10 % of the inflow lost within 24 h (a quarter), and a night
minimum 10 % above the lowest of the ten days before (a district).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime, timedelta

import numpy as np

from analysis.leaks.rows import HourRow, QuarterRow

_DAY_H = 24


def household(rows: Sequence[HourRow]) -> list[datetime]:
    """Alarm where water has flowed in each of the last 24 intervals, or at 500 L/h and more in two."""
    flows = np.array([(row.volume_l or 0.0) / max(0.5, row.duration_h) for row in rows])
    lowest = np.array([flows[max(0, i - 23) : i + 1].min() for i in range(len(flows))])
    ends = [row.end for row in rows]
    never_still = (lowest > 0.0) & (np.arange(len(flows)) >= _DAY_H - 1)
    much = (flows >= 500.0) & (np.concatenate([[0.0], flows[:-1]]) >= 500.0)
    return _onsets(ends, never_still) + _onsets(ends, much)


def quarter(rows: Sequence[QuarterRow]) -> list[datetime]:
    """Alarm where more than a tenth of a day's inflow is not registered by the sub-meters."""
    master = np.cumsum([row.master_l or 0.0 for row in rows])
    subs = np.cumsum([sum(volume or 0.0 for volume in row.subs_l.values()) for row in rows])
    supplied, used = master[_DAY_H:] - master[:-_DAY_H], subs[_DAY_H:] - subs[:-_DAY_H]
    return _onsets((row.end for row in rows[_DAY_H:]), (supplied - used) / np.maximum(supplied, 1.0) > 0.10)


def district(rows: Sequence[HourRow]) -> list[datetime]:
    """Alarm where a night's minimum lies a tenth above the lowest of the ten ordinary days before."""
    days: dict[datetime, list[float]] = {}
    for row in rows:
        days.setdefault(row.t.replace(hour=0, minute=0), []).append((row.volume_l or 0.0) / row.duration_h)
    lowest = [(day, min(flows)) for day, flows in sorted(days.items()) if len(flows) >= 20]
    usual = [flow for _, flow in lowest[:10]]
    times, raised = [], []
    for day, flow in lowest[10:]:
        times.append(day + timedelta(hours=24))
        raised.append(flow > 1.1 * min(usual[-10:]))
        if not raised[-1]:
            usual.append(flow)
    return _onsets(times, raised)


def _onsets(times: Iterable[datetime], raised: Iterable[bool]) -> list[datetime]:
    return list(_rising(times, raised))


def _rising(times: Iterable[datetime], raised: Iterable[bool]) -> Iterator[datetime]:
    before = False
    for t, now in zip(times, raised, strict=True):
        if now and not before:
            yield t
        before = bool(now)
