"""Water out of InfluxDB."""

# ruff: noqa: S608  InfluxQL is put together from this package's own names and from quoted texts

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from store.series import registers
from store.series.influx_http import InfluxHttp, Row
from store.series.influx_lines import WATER
from store.series.influx_ql import S, as_int, ask, by_source, utc, values, where
from store.series.interface import WaterHour, WaterPoint

_HOUR_NS: Final = 3600 * S
_FIELDS: Final = ("volume_steps", "step_ml", "flow_m3h", "reverse_steps", "serial", "flags")
_SELECT: Final = f"SELECT {', '.join(_FIELDS)} FROM {WATER}"


def readings(http: InfluxHttp, site: str, meter: str, start_ns: int, end_ns: int) -> list[WaterPoint]:
    """Return the readings of a range."""
    chosen = where(site=site, source=meter, start_ns=start_ns, end_ns=end_ns)
    (answer,) = ask(http, http.address.minutes, [_SELECT + chosen])
    return _points(answer)


def hours(http: InfluxHttp, site: str, meter: str, start_ns: int, end_ns: int) -> list[WaterHour]:
    """Compute the hours that begin in the range: InfluxQL interpolates at no border, so it is done here."""
    first, after = -(-start_ns // _HOUR_NS) * _HOUR_NS, -(-end_ns // _HOUR_NS) * _HOUR_NS
    if first >= after:
        return []
    before = where(site=site, source=meter, end_ns=first + 1) + " ORDER BY time DESC LIMIT 1"
    inside = where(site=site, source=meter, start_ns=first + 1, end_ns=after)
    behind = where(site=site, source=meter, start_ns=after) + " ORDER BY time ASC LIMIT 1"
    answers = ask(http, http.address.minutes, [_SELECT + one for one in (before, inside, behind)])
    points = [point for answer in answers for point in _points(answer)]
    return registers.hours(site, meter, points, utc(first), utc(after))


def latest(http: InfluxHttp, site: str | None) -> list[tuple[str, str, WaterPoint]]:
    """Return each meter's newest reading."""
    fields = ", ".join(_FIELDS[1:])
    statement = f"SELECT last(volume_steps), {fields} FROM {WATER}{where(site=site)} GROUP BY site, source"
    (answer,) = ask(http, http.address.minutes, [statement])
    return [(*name, _point(rows[0])) for name, rows in by_source(answer)]


def _points(answer: Sequence[Row]) -> list[WaterPoint]:
    rows = values(answer)
    if rows and len(answer[0].columns) != len(_FIELDS) + 1:  # a field that no point has may be missing
        at = {column: n for n, column in enumerate(answer[0].columns)}
        order = [at.get(key) for key in ("time", *_FIELDS)]
        rows = [[None if n is None else row[n] for n in order] for row in rows]
    return [_point(row) for row in rows]


def _point(row: list[Any]) -> WaterPoint:
    t_ns, steps, step_ml, flow_m3h, reverse_steps, serial, flags = row
    step = as_int(step_ml)
    reverse_ml = None if reverse_steps is None else as_int(reverse_steps) * step
    return WaterPoint(utc(t_ns), as_int(steps) * step, step, flow_m3h, reverse_ml, serial, as_int(flags))
