"""All that an InfluxDB server holds of ours as files of line protocol, and back: over HTTP alone, with any generation.

The server's own backup needs its files' side (a port that is closed by default, or its program); this needs the login
that Quietwater has. Points are immutable, so what is read while others are written is whole; what is settled is read
before what it settles, so that a mark of an hour is never gone without its row.
"""

# ruff: noqa: S608  InfluxQL is put together from this package's own names and from quoted texts

from __future__ import annotations

import gzip
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, BinaryIO, Final, cast

from store.series import influx_lines as lines
from store.series.address import InfluxAddress
from store.series.influx_http import InfluxHttp, Refused, Row
from store.series.influx_ql import S, ask
from store.series.interface import StoreUnavailable

Progress = Callable[[float], None]

_FIRST: Final = (lines.SETTLED, lines.WATERMARK, lines.NOISE_HOUR, lines.WATER_HOUR)
_DAY_NS: Final = 86_400 * S
_PARTS: Final = ("seconds", "minutes", "lasting")
_SHORTEST_NS: Final = 10 * S
_LONGEST_NS: Final = 30 * _DAY_NS
_FIRST_NS: Final = 60 * S
_POINTS_AT_A_TIME: Final = 50_000
"""About so many points are read at a time: the span of a read grows and shrinks with what the last one brought."""
_LINES_AT_A_TIME: Final = 5000


def dump(address: InfluxAddress, folder: Path, progress: Progress) -> dict[str, int]:
    """Write a file of every measurement into ``folder``; return the points of each. Raises ``StoreUnavailable``."""
    folder.mkdir(parents=True, mode=0o700)
    http = InfluxHttp(address)
    try:
        work = sorted(_measurements(http), key=lambda one: _rank(one[1]))
        counts: dict[str, int] = {}
        for n, (part, name) in enumerate(work):
            with gzip.open(folder / f"{part}.{name}.lp.gz", "wb", compresslevel=1) as file:
                counts[f"{part}.{name}"] = _dump_one(
                    http,
                    part,
                    name,
                    cast(BinaryIO, file),
                    lambda share, n=n: progress((n + share) / len(work)),
                )
        return counts
    finally:
        http.close()


def load(address: InfluxAddress, folder: Path, progress: Progress, *, force: bool) -> None:
    """Write the points of a dump into the databases of ``address``, which are there and hold nothing.

    With ``force`` they may hold something: points of the same identity become those of the dump. Raises
    ``StoreUnavailable``.
    """
    http = InfluxHttp(address)
    try:
        for part in _PARTS:
            (found,) = ask(http, getattr(address, part), ["SHOW MEASUREMENTS"])
            if found and found[0].values and not force:
                raise StoreUnavailable(
                    f"the database {getattr(address, part)} of {address.url} is not empty; restore into another one "
                    f"(--store '{address.url}?db=NAME'), or add to it with --force"
                )
        files = sorted(folder.glob("*.lp.gz"))
        for n, path in enumerate(files):
            database = getattr(address, path.name.split(".", 1)[0])
            for body in _bodies(path):
                _write(http, database, body)
            progress((n + 1) / len(files))
    finally:
        http.close()


def _rank(name: str) -> int:
    return _FIRST.index(name) if name in _FIRST else len(_FIRST)


def _measurements(http: InfluxHttp) -> Iterator[tuple[str, str]]:
    for part in _PARTS:
        (found,) = ask(http, getattr(http.address, part), ["SHOW MEASUREMENTS"])
        yield from ((part, row[0]) for one in found for row in one.values)


def _dump_one(http: InfluxHttp, part: str, name: str, file: BinaryIO, progress: Progress) -> int:
    database = getattr(http.address, part)
    integers = _integer_fields(http, database, name)
    ends = ask(
        http, database, [f'SELECT * FROM "{name}" ORDER BY time {way} LIMIT 1' for way in ("ASC", "DESC")]
    )
    if not all(ends):
        return 0
    first, last = (cast(int, answer[0].values[0][0]) for answer in ends)
    count, begin, span = 0, first, _FIRST_NS
    while begin <= last:
        where = f"WHERE time >= {begin} AND time < {begin + span}"
        (answer,) = ask(http, database, [f'SELECT * FROM "{name}" {where} GROUP BY *'])
        points = sum(len(one.values) for one in answer)
        for one in answer:
            file.writelines(_lines(one, integers))
        count, begin = count + points, begin + span
        if points > _POINTS_AT_A_TIME:
            span = max(span // 2, _SHORTEST_NS)
        elif points < _POINTS_AT_A_TIME // 4:
            span = min(span * 2, _LONGEST_NS)
        progress(min(1.0, (begin - first) / (last + 1 - first)))
    return count


def _integer_fields(http: InfluxHttp, database: str, name: str) -> frozenset[str]:
    (found,) = ask(http, database, [f'SHOW FIELD KEYS FROM "{name}"'])
    return frozenset(row[0] for one in found for row in one.values if row[1] == "integer")


def _lines(one: Row, integers: frozenset[str]) -> Iterator[bytes]:
    head = _escaped(one.name) + "".join(
        f",{_escaped(key)}={_escaped(value)}" for key, value in sorted(one.tags.items()) if value
    )
    keys = one.columns[1:]
    for t, *values in one.values:
        fields = ",".join(
            f"{_escaped(key)}={_field(value, key in integers)}"
            for key, value in zip(keys, values, strict=True)
            if value is not None
        )
        yield f"{head} {fields} {t}\n".encode()


def _escaped(text: str) -> str:
    return text.replace("\\", "\\\\").replace(",", "\\,").replace(" ", "\\ ").replace("=", "\\=")


def _field(value: Any, integer: bool) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        return '"' + value.replace("\\", "\\\\").replace('"', '\\"') + '"'
    return f"{int(value)}i" if integer else repr(float(value))


def _bodies(path: Path) -> Iterator[bytes]:
    waiting: list[bytes] = []
    with gzip.open(path, "rb") as file:
        for line in file:
            waiting.append(line)
            if len(waiting) == _LINES_AT_A_TIME:
                yield b"".join(waiting)
                waiting = []
    if waiting:
        yield b"".join(waiting)


def _write(http: InfluxHttp, database: str, body: bytes) -> None:
    try:
        http.write(database, body)
    except Refused as error:
        raise StoreUnavailable(
            f"{http.address.url} refuses points of the backup: {error}; are they older than its retention? "
            "`quietwater admin init-store --keep-seconds 0` keeps everything until they are in"
        ) from error
