"""Hour rows in InfluxDB: a revision is a point of its own, a nanosecond after the one before it; the last counts."""

# ruff: noqa: S608  InfluxQL is put together from this package's own names and from quoted texts

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, TypeVar

import msgspec

from store.series import influx_lines as lines
from store.series.influx_http import InfluxHttp, Row
from store.series.influx_ql import S, as_int, ask, utc, where
from store.series.interface import NoiseHour, WaterHour
from store.series.packed_ints import PackedInts

_HOUR_NS: Final = 3600 * S
_NOISE_FIELDS: Final = (
    *lines.HOUR_LEVELS, *lines.HOUR_SHARES, "seconds", "ln_from", "laf_bins", "laf_counts", "excluded_s",
)  # fmt: skip
_WATER_FIELDS: Final = ("volume_l", "readings", "flags")
_R = TypeVar("_R", NoiseHour, WaterHour)


@dataclass(frozen=True, slots=True)
class Knowledge:
    """How much a row knows of its hour: a rank of fields that only grow while data comes in."""

    fields: tuple[str, ...]
    rank: Callable[[Mapping[str, Any]], tuple[float, ...]]


NOISE_KNOWS: Final = Knowledge(
    ("measured_s", "seconds"), lambda row: (round(row["measured_s"], 3), row.get("seconds") or 0)
)
"""Of the same time measured, seconds know more than minutes."""
WATER_KNOWS: Final = Knowledge(
    ("readings", "volume_l"), lambda row: (row["readings"], row.get("volume_l") is not None)
)


def next_revisions(
    http: InfluxHttp, rows: Sequence[_R], measurement: str, knows: Knowledge
) -> list[tuple[_R, int]]:
    """Return the rows to be stored with their revision; one that knows less than the stored one is left out.

    Late data must not replace a row whose readings retention has deleted since.
    """
    statements = []
    for row in rows:
        t_ns = int(row.t.timestamp()) * S
        chosen = where(site=row.site, source=row.source, start_ns=t_ns, end_ns=t_ns + _HOUR_NS)
        fields = ", ".join(knows.fields)
        statements.append(f"SELECT {fields} FROM {measurement}{chosen} ORDER BY time DESC LIMIT 1")
    result: list[tuple[_R, int]] = []
    for row, answer in zip(rows, ask(http, http.address.lasting, statements), strict=True):
        if not answer or not answer[0].values:
            result.append((row, 0))
            continue
        stored = dict(zip(answer[0].columns, answer[0].values[0], strict=True))
        offered = {key: getattr(row, key) for key in knows.fields}
        if knows.rank(offered) >= knows.rank(stored):
            result.append((row, stored["time"] % _HOUR_NS + 1))
    return result


def noise(
    http: InfluxHttp, start_ns: int, end_ns: int, site: str | None, source: str | None
) -> list[NoiseHour]:
    """Return the newest revision of each hour row of a range."""
    found = _newest(_read(http, lines.NOISE_HOUR, _NOISE_FIELDS, start_ns, end_ns, site, source))
    return [_noise_hour(name, t, revision, row) for name, t, revision, row in found]


def water(
    http: InfluxHttp, start_ns: int, end_ns: int, site: str | None, source: str | None
) -> list[WaterHour]:
    """Return the newest revision of each hour row of a range."""
    found = _newest(_read(http, lines.WATER_HOUR, _WATER_FIELDS, start_ns, end_ns, site, source))
    return [
        WaterHour(*name, utc(t), row[0], as_int(row[1]), as_int(row[2]), revision)
        for name, t, revision, row in found
    ]


def noise_values(
    http: InfluxHttp, start_ns: int, end_ns: int, site: str | None, source: str | None
) -> list[tuple[tuple[str, str], int, list[Any]]]:
    """Return (series, hour, [laeq_db, lafmax_db, valid_s, valid_share]) of each hour row's newest revision."""
    fields = ("laeq_db", "lafmax_db", "valid_s", "valid_share")
    answer = _read(http, lines.NOISE_HOUR, fields, start_ns, end_ns, site, source)
    return [(name, t, row) for name, t, _, row in _newest(answer)]


def _read(
    http: InfluxHttp, measurement: str, fields: Sequence[str], start_ns: int, end_ns: int, site: str | None,
    source: str | None,
) -> list[Row]:  # fmt: skip
    # Revisions lie within the nanoseconds after the hour: the range is widened to whole hours to hold them all.
    first, after = -(-start_ns // _HOUR_NS) * _HOUR_NS, -(-end_ns // _HOUR_NS) * _HOUR_NS
    chosen = where(site=site, source=source, start_ns=first, end_ns=after)
    statement = f"SELECT {', '.join(fields)} FROM {measurement}{chosen} GROUP BY site, source"
    (answer,) = ask(http, http.address.lasting, [statement])
    for row in answer:
        if len(row.columns) != len(fields) + 1:
            at = {column: n for n, column in enumerate(row.columns)}
            order = [at.get(key) for key in ("time", *fields)]
            row.values = [[None if n is None else one[n] for n in order] for one in row.values]
    return answer


def _newest(answer: Iterable[Row]) -> list[tuple[tuple[str, str], int, int, list[Any]]]:
    found: list[tuple[tuple[str, str], int, int, list[Any]]] = []
    for one in answer:
        name = (one.tags["site"], one.tags["source"])
        last: dict[int, list[Any]] = {
            row[0] // _HOUR_NS: row for row in one.values
        }  # ascending: the last stays
        found += [(name, hour * _HOUR_NS, row[0] % _HOUR_NS, row[1:]) for hour, row in last.items()]
    found.sort(key=lambda row: row[1])
    return found


def _noise_hour(name: tuple[str, str], t: int, revision: int, row: list[Any]) -> NoiseHour:
    (laeq, l5, l10, l50, l90, l95, top, bottom, sd, valid_s, valid_share, measured_s,
     seconds, ln_from, bins, counts, excluded) = row  # fmt: skip
    site, source = name
    return NoiseHour(
        site, source, utc(t), laeq, l5, l10, l50, l90, l95, top, bottom, sd, valid_s, valid_share, measured_s,
        as_int(seconds), ln_from,
        PackedInts.of(msgspec.json.decode(bins)) if bins else PackedInts(),
        PackedInts.of(msgspec.json.decode(counts)) if counts else PackedInts(),
        msgspec.json.decode(excluded) if excluded else {}, revision,
    )  # fmt: skip
