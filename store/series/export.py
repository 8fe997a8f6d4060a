"""Any range of the store as Arrow record batches, one source after the other, in bounded memory.

One place for what an export holds: the command line, the API and both file formats
(:mod:`store.series.export_file`) use it. ``t`` is UTC; ``t_site`` is the same instant as the clock on the site's wall
shows it, and ``utc_offset_min`` what it is ahead of UTC then.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Any, Final, Literal, get_args
from zoneinfo import ZoneInfo

import msgspec
import numpy as np
import pyarrow as pa
import pyarrow.ipc

from contract.flags import NoiseFlag, WaterFlag, names
from store.series.interface import EventRow, SecondsTable, SeriesStore

ExportKind = Literal["seconds", "minutes", "hours", "water", "water-hours", "events"]
KINDS: Final[tuple[ExportKind, ...]] = get_args(ExportKind)
"""``seconds`` and ``hours`` of noise, ``minutes`` (1/3-octave spectra), ``water`` registers, ``water-hours``,
``events``."""

_OF_HOURS: Final = ("hours", "water-hours")
"""Rows that stay when retention has deleted the newest reading: nothing but the query tells where they end."""
FIRST_BAND: Final = 10
_BANDS: Final = range(FIRST_BAND, 44)
"""IEC band numbers of the exported spectrum, 10 Hz to 20 kHz: what a device of ours measures."""
_DEFAULT_ZONE: Final = "Asia/Shanghai"
_HOUR: Final = timedelta(hours=1)
_DAY: Final = timedelta(days=1)
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_LATEST: Final = datetime(2262, 1, 1, tzinfo=UTC)
"""A server that counts nanoseconds in 64 bits knows no later time."""
_MOST_SECONDS: Final = 50_000
_MOST_EVENTS: Final = 10_000
_OFFSET_STEP_US: Final = 900 * 1_000_000  # the offsets of all zones change at quarters of an hour


@dataclass(frozen=True, slots=True)
class ExportQuery:
    """What to export: ``start`` <= t < ``end`` (UTC) of ``sources``, pairs of site and device (or meter).

    ``zones`` are the sites' time zones by site name; a site that is not in it has China's.
    """

    kind: ExportKind
    start: datetime
    end: datetime
    sources: Sequence[tuple[str, str]]
    zones: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Part:
    """A piece of an export: its rows, and the share of the query (0 to 1) that is done with it."""

    rows: pa.RecordBatch
    done: float


def schema_of(kind: ExportKind) -> pa.Schema:
    """Return the columns of an export."""
    place = "meter" if kind in ("water", "water-hours") else "device"
    return pa.schema([*_TIMES, ("site", pa.string()), (place, pa.string()), *_COLUMNS[kind]])


def stored_sources(series: SeriesStore, kind: ExportKind) -> list[tuple[str, str]]:
    """Return (site, device or meter) of what has readings of a kind now, sorted.

    A source whose readings have all passed their retention is not among them though it has hour rows: add those that
    the registry knows.
    """
    water = [(site, source) for site, source, _ in series.water_latest()]
    noise = [row[:2] for row in series.noise_latest()]
    if kind in ("water", "water-hours"):
        return sorted(water)
    return sorted(noise if kind != "events" else {*noise, *water})


def parts(series: SeriesStore, query: ExportQuery) -> Iterator[Part]:
    """Yield the rows of a query, source by source and ascending in time.

    Raises ``ValueError`` for a range that is turned round, ``StoreUnavailable`` when the store cannot answer.
    """
    if query.end < query.start:
        raise ValueError(
            f"the range ends ({query.end.isoformat()}) before it starts ({query.start.isoformat()})"
        )
    end = min(query.end, _LATEST) if query.kind in _OF_HOURS else _end_of_readings(series, query)
    schema, length = schema_of(query.kind), max(end - query.start, timedelta(microseconds=1))
    for n, (site, source) in enumerate(query.sources):
        zone = query.zones.get(site, _DEFAULT_ZONE)
        for columns, until in _pieces(series, query.kind, site, source, query.start, end):
            done = (n + (until - query.start) / length) / len(query.sources)
            yield Part(_batch(schema, columns, site, source, zone), min(1.0, done))


def _end_of_readings(series: SeriesStore, query: ExportQuery) -> datetime:
    newest = series.newest()
    return min(query.end, newest + timedelta(microseconds=1)) if newest else query.start


def packed(rows: pa.RecordBatch) -> bytes:
    """Return rows as bytes for another process; :func:`unpacked` makes rows of them again."""
    return rows.serialize().to_pybytes()


def unpacked(kind: ExportKind, data: bytes) -> pa.RecordBatch:
    """Return the rows of a kind that :func:`packed` has packed."""
    return pa.ipc.read_record_batch(pa.py_buffer(data), schema_of(kind))


# -- reading ---------------------------------------------------------------------------------------------------

_Columns = dict[str, Sequence[Any]]
_Read = Callable[[SeriesStore, str, str, datetime, datetime], tuple[_Columns, datetime]]
"""Returns the columns of a span, and up to where they go: not always to its end."""


def _pieces(
    series: SeriesStore, kind: ExportKind, site: str, source: str, start: datetime, end: datetime
) -> Iterator[tuple[_Columns, datetime]]:
    read, usual, most = _READERS[kind]
    span = usual
    while start < end:
        columns, until = read(series, site, source, start, start + min(span, end - start))
        # Where nothing is, take longer strides; where something is, a stride is what memory is to hold.
        span = usual if len(columns["t"]) else min(2 * span, most)
        start = until
        yield columns, until


def _seconds(
    series: SeriesStore, site: str, source: str, start: datetime, end: datetime
) -> tuple[_Columns, datetime]:
    table: SecondsTable = series.noise_seconds(site, source, start, end, limit=_MOST_SECONDS)
    until = table.t[-1] + timedelta(seconds=1) if len(table.t) >= _MOST_SECONDS else end
    levels = {key: getattr(table, key) for key in _SECOND_LEVELS}
    flags = [_noise_flags(one) for one in table.flags]
    return {"t": table.t, **levels, "measured_ms": table.measured_ms, "flags": flags}, until


def _minutes(
    series: SeriesStore, site: str, source: str, start: datetime, end: datetime
) -> tuple[_Columns, datetime]:
    rows = series.spectrum(site, source, start, end)
    bands: dict[str, list[float | None]] = {}
    for n in _BANDS:
        indexes = [(row, n - row.first_band) for row in rows]
        bands[band_key(n)] = [row.bands_db[i] if 0 <= i < len(row.bands_db) else None for row, i in indexes]
    flags = [_noise_flags(row.flags) for row in rows]
    measured = [row.measured_ms for row in rows]
    return {"t": [row.t for row in rows], **bands, "measured_ms": measured, "flags": flags}, end


def _hours(
    series: SeriesStore, site: str, source: str, start: datetime, end: datetime
) -> tuple[_Columns, datetime]:
    rows = series.noise_rollups(start, end, site=site, source=source)
    columns: _Columns = {key: [getattr(row, key) for row in rows] for key in ("t", *_HOUR_KEYS)}
    columns["excluded_s"] = [
        msgspec.json.encode(dict(row.excluded_s)).decode() if row.excluded_s else "" for row in rows
    ]
    return columns, end


def _water(
    series: SeriesStore, site: str, source: str, start: datetime, end: datetime
) -> tuple[_Columns, datetime]:
    rows = series.water_readings(site, source, start, end)
    keys = ("t", "volume_ml", "step_ml", "flow_m3h", "reverse_ml", "serial")
    columns: _Columns = {key: [getattr(row, key) for row in rows] for key in keys}
    return {**columns, "flags": [_water_flags(row.flags) for row in rows]}, end


def _water_hours(
    series: SeriesStore, site: str, source: str, start: datetime, end: datetime
) -> tuple[_Columns, datetime]:
    rows = series.water_rollups(start, end, site=site, source=source)
    columns: _Columns = {key: [getattr(row, key) for row in rows] for key in ("t", "volume_l", "readings")}
    columns["flags"] = [_water_flags(row.flags) for row in rows]
    return {**columns, "revision": [row.revision for row in rows]}, end


def _events(
    series: SeriesStore, site: str, source: str, start: datetime, end: datetime
) -> tuple[_Columns, datetime]:
    limit = _MOST_EVENTS
    rows: list[EventRow] = series.events(start, end, site=site, device=source, limit=limit)
    while (
        len(rows) >= limit
    ):  # they come newest first: halve the span until it fits, or take a crowded instant whole
        middle = start + (end - start) // 2
        if middle > start:
            end = middle
        else:
            limit *= 10
        rows = series.events(start, end, site=site, device=source, limit=limit)
    rows.reverse()
    columns: _Columns = {key: [getattr(row, key) for row in rows] for key in ("t", "kind", "meter")}
    return {**columns, "detail": [msgspec.json.encode(dict(row.detail)).decode() for row in rows]}, end


# The span that is read at a time, and the longest where nothing is found.
_READERS: Final[dict[ExportKind, tuple[_Read, timedelta, timedelta]]] = {
    "seconds": (_seconds, 12 * _HOUR, 32 * _DAY),
    "minutes": (_minutes, 2 * _DAY, 8 * _DAY),
    "hours": (_hours, 90 * _DAY, 3_600 * _DAY),
    "water": (_water, 4 * _DAY, 32 * _DAY),
    "water-hours": (_water_hours, 360 * _DAY, 3_600 * _DAY),
    "events": (_events, 32 * _DAY, 360 * _DAY),
}


# -- columns ---------------------------------------------------------------------------------------------------


def band_key(number: int) -> str:
    """Return the column of a 1/3-octave band by its nominal mid-band frequency (IEC 61260-1): ``leq_1000hz_db``."""
    decade, step = divmod(number, 10)
    return f"leq_{_NOMINAL[step] * 10**decade:g}hz_db"


_NOMINAL: Final = (1, 1.25, 1.6, 2, 2.5, 3.15, 4, 5, 6.3, 8)

_SECOND_LEVELS: Final = ("laeq_db", "lafmax_db", "lafmin_db", "laf_db", "lceq_db", "lcpeak_db")
_HOUR_LEVELS: Final = (
    "laeq_db", "l5_db", "l10_db", "l50_db", "l90_db", "l95_db", "lafmax_db", "lafmin_db", "sd_db",
)  # fmt: skip
_HOUR_KEYS: Final = (
    *_HOUR_LEVELS, "valid_s", "valid_share", "measured_s", "seconds", "ln_from", "revision",
)  # fmt: skip


def _floats(*keys: str) -> list[tuple[str, pa.DataType]]:
    return [(key, pa.float64()) for key in keys]


_TIMES: Final[list[tuple[str, pa.DataType]]] = [
    ("t", pa.timestamp("us", tz="UTC")), ("t_site", pa.timestamp("us")), ("utc_offset_min", pa.int16()),
]  # fmt: skip
_COLUMNS: Final[dict[ExportKind, list[tuple[str, pa.DataType]]]] = {
    "seconds": [*_floats(*_SECOND_LEVELS), ("measured_ms", pa.int32()), ("flags", pa.string())],
    "minutes": [*_floats(*map(band_key, _BANDS)), ("measured_ms", pa.int32()), ("flags", pa.string())],
    "hours": [
        *_floats(*_HOUR_LEVELS, "valid_s", "valid_share", "measured_s"), ("seconds", pa.int32()),
        ("ln_from", pa.string()), ("excluded_s", pa.string()), ("revision", pa.int32()),
    ],
    "water": [
        ("volume_ml", pa.int64()), ("step_ml", pa.int32()), *_floats("flow_m3h"), ("reverse_ml", pa.int64()),
        ("serial", pa.string()), ("flags", pa.string()),
    ],
    "water-hours": [
        *_floats("volume_l"), ("readings", pa.int32()), ("flags", pa.string()), ("revision", pa.int32()),
    ],
    "events": [("kind", pa.string()), ("meter", pa.string()), ("detail", pa.string())],
}  # fmt: skip


@lru_cache(maxsize=4096)
def _noise_flags(bits: int) -> str:
    return ";".join(names(NoiseFlag(bits)))


@lru_cache(maxsize=4096)
def _water_flags(bits: int) -> str:
    return ";".join(names(WaterFlag(bits)))


def _batch(schema: pa.Schema, columns: _Columns, site: str, source: str, zone: str) -> pa.RecordBatch:
    t_us = np.array([(t - _EPOCH) // timedelta(microseconds=1) for t in columns["t"]], dtype=np.int64)
    offset_min = _offsets_min(t_us, zone)
    made: dict[str, Any] = {
        "t": t_us, "t_site": t_us + offset_min.astype(np.int64) * 60_000_000, "utc_offset_min": offset_min,
        "site": pa.repeat(site, len(t_us)), "device": pa.repeat(source, len(t_us)),
    }  # fmt: skip
    made["meter"] = made["device"]
    made.update({key: values for key, values in columns.items() if key != "t"})
    return pa.record_batch([pa.array(made[one.name], one.type) for one in schema], schema=schema)


def _offsets_min(t_us: np.ndarray, zone: str) -> np.ndarray:
    steps, which = np.unique(t_us // _OFFSET_STEP_US, return_inverse=True)
    tz = ZoneInfo(zone)
    offsets = [
        (tz.utcoffset(datetime.fromtimestamp(step * 900, tz)) or timedelta(0)) // timedelta(minutes=1)
        for step in steps.tolist()
    ]
    return np.array(offsets, dtype=np.int16)[which] if len(steps) else np.zeros(0, dtype=np.int16)
