"""Export files: record batches of :mod:`store.series.export` to CSV or Parquet, piece by piece."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final, Literal, get_args

import numpy as np
import pyarrow as pa
from pyarrow import csv, parquet

ExportFormat = Literal["csv", "parquet"]
FORMATS: Final[tuple[ExportFormat, ...]] = get_args(ExportFormat)
MEDIA_TYPES: Final[Mapping[ExportFormat, str]] = {
    "csv": "text/csv; charset=utf-8", "parquet": "application/vnd.apache.parquet",
}  # fmt: skip
_ROW_GROUP: Final = 131_072
_SPECIAL: Final = re.compile('[",\\r\\n]')


def encode(batches: Iterable[pa.RecordBatch], schema: pa.Schema, form: ExportFormat) -> Iterator[bytes]:
    """Yield the bytes of a file as they are ready; together they are one whole file, with a header if nothing else.

    In CSV ``t`` is ``2026-03-01T00:00:00Z`` and ``t_site`` ``2026-03-01T08:00:00+08:00``, so ``utc_offset_min`` is
    left out; what is not known is empty. Parquet is compressed with zstd.
    """
    return _csv(batches, schema) if form == "csv" else _parquet(batches, schema)


class _Sink:
    """A file that is only written, and gives away what it got."""

    closed = False

    def __init__(self) -> None:
        self._pieces: list[bytes] = []

    def write(self, data: Any) -> int:
        self._pieces.append(bytes(data))
        return len(data)

    def flush(self) -> None:
        """Nothing waits."""

    def taken(self) -> bytes:
        data, self._pieces = b"".join(self._pieces), []
        return data


def _csv(batches: Iterable[pa.RecordBatch], schema: pa.Schema) -> Iterator[bytes]:
    text = pa.schema([_as_text(one) for one in schema if one.name != "utc_offset_min"])
    yield (",".join(text.names) + "\n").encode()
    for batch in batches:
        if batch.num_rows:
            rows = _with_text_times(batch, text)
            # Arrow quotes either every text or none.
            style = "needed" if any(map(_has_special, rows.columns)) else "none"
            sink = pa.BufferOutputStream()
            csv.write_csv(rows, sink, csv.WriteOptions(include_header=False, quoting_style=style))
            yield sink.getvalue().to_pybytes()


def _has_special(column: pa.Array) -> bool:
    if not pa.types.is_string(column.type):
        return False
    return any(_SPECIAL.search(text) for text in column.unique().to_pylist() if text)


def _as_text(column: pa.Field) -> pa.Field:
    return pa.field(column.name, pa.string()) if column.name in ("t", "t_site") else column


def _with_text_times(batch: pa.RecordBatch, schema: pa.Schema) -> pa.RecordBatch:
    t, wall = (batch.column(key).cast(pa.int64()).to_numpy() for key in ("t", "t_site"))
    unit = "s" if not (t % 1_000_000).any() else "us"
    offsets, which = np.unique(batch.column("utc_offset_min").to_numpy(), return_inverse=True)
    zones = np.array([_offset_text(one) for one in offsets.tolist()])
    texts = {"t": np.char.add(_iso(t, unit), "Z"), "t_site": np.char.add(_iso(wall, unit), zones[which])}
    return pa.record_batch(
        [pa.array(texts[one.name]) if one.name in texts else batch.column(one.name) for one in schema],
        schema=schema,
    )


def _iso(t_us: np.ndarray, unit: Literal["s", "us"]) -> np.ndarray:
    return np.datetime_as_string(t_us.astype("datetime64[us]"), unit=unit)


def _offset_text(minutes: int) -> str:
    hours, rest = divmod(abs(minutes), 60)
    return f"{'-' if minutes < 0 else '+'}{hours:02}:{rest:02}"


def _parquet(batches: Iterable[pa.RecordBatch], schema: pa.Schema) -> Iterator[bytes]:
    sink = _Sink()
    with parquet.ParquetWriter(pa.PythonFile(sink, mode="w"), schema, compression="zstd") as writer:
        for table in _row_groups(batches, schema):
            writer.write_table(table, row_group_size=_ROW_GROUP)
            yield sink.taken()
    yield sink.taken()


def _row_groups(batches: Iterable[pa.RecordBatch], schema: pa.Schema) -> Iterator[pa.Table]:
    waiting: list[pa.RecordBatch] = []
    rows = 0
    for batch in batches:
        waiting.append(batch)
        rows += batch.num_rows
        if rows >= _ROW_GROUP:
            yield pa.Table.from_batches(waiting, schema)
            waiting, rows = [], 0
    if rows:
        yield pa.Table.from_batches(waiting, schema)
