"""Reading CSV tables of readings, tolerant in the order of columns and strict in their meaning."""

from __future__ import annotations

import csv
import gzip
import io
import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Final, NamedTuple, TextIO

_GZIP: Final = b"\x1f\x8b"


class BadTable(Exception):
    """A file that cannot be read as what it should be; the text names file, line, column and cause."""


class Row(NamedTuple):
    """One line of a table, its fields by column name, all of them text."""

    path: Path
    line: int
    fields: dict[str, str]

    def bad(self, column: str, cause: str) -> BadTable:
        """Return the error that a field of this line makes."""
        return BadTable(f"{self.path}, line {self.line}, column '{column}': {cause}")

    def text(self, column: str) -> str:
        """Return a field that must not be empty."""
        if not self.fields[column]:
            raise self.bad(column, "it is empty")
        return self.fields[column]

    def time(self, column: str = "t") -> datetime:
        """Return a time as written: with its offset, or without one where it has none."""
        text = self.text(column)
        try:
            return datetime.fromisoformat(text)
        except ValueError:
            raise self.bad(
                column, f"'{text}' is not a time such as 2026-03-01T02:00:00 or 2026-03-01 02:00:00+08:00"
            ) from None

    def number(self, column: str) -> float | None:
        """Return a number, or ``None`` where the field is empty or says NaN."""
        text = self.fields[column]
        if not text:
            return None
        try:
            value = float(text)
        except ValueError:
            raise self.bad(column, f"'{text}' is not a number") from None
        if math.isinf(value):
            raise self.bad(column, "an infinite value is not a reading")
        return None if math.isnan(value) else value


class Table(NamedTuple):
    """A table that is being read: its columns, and its rows as they come."""

    path: Path
    columns: list[str]
    rows: Iterator[Row]

    def need(self, *columns: str) -> None:
        """Raise ``BadTable`` where a column is missing."""
        missing = [name for name in columns if name not in self.columns]
        if missing:
            raise BadTable(
                f"{self.path}, line 1: no column {', '.join(map(repr, missing))}; there are "
                f"{', '.join(self.columns[:12])}{', …' if len(self.columns) > 12 else ''}"
            )


@contextmanager
def open_table(path: Path) -> Iterator[Table]:
    """Open a CSV file, gzipped or not, with commas, semicolons or tabs. Raises ``BadTable``."""
    try:
        with _open(path) as file:
            yield _table(path, file)
    except UnicodeDecodeError as error:
        raise BadTable(f"{path}: not UTF-8 text ({error.reason}); save it as CSV in UTF-8") from error
    except (OSError, EOFError) as error:
        cause = error.strerror if isinstance(error, OSError) and error.strerror else error
        raise BadTable(f"{path}: cannot be read: {cause}") from error
    except csv.Error as error:
        raise BadTable(f"{path}: not a CSV table: {error}") from error


@contextmanager
def _open(path: Path) -> Iterator[TextIO]:
    with path.open("rb") as raw:
        # A pipe cannot be wound back.
        binary = gzip.GzipFile(fileobj=raw) if raw.peek(2)[:2] == _GZIP else raw
        with io.TextIOWrapper(binary, encoding="utf-8-sig", newline="") as text:
            yield text


def _table(path: Path, file: TextIO) -> Table:
    head = file.readline()
    if not head.strip():
        raise BadTable(f"{path}: empty, or without a first line that names the columns")
    delimiter = max(",;\t", key=head.count)
    columns = [name.strip() for name in next(csv.reader([head], delimiter=delimiter))]
    repeated = sorted({name for name in columns if columns.count(name) > 1})
    if repeated:
        raise BadTable(f"{path}, line 1: two columns are called {', '.join(map(repr, repeated))}")
    return Table(path, columns, _rows(path, columns, csv.reader(file, delimiter=delimiter)))


def _rows(path: Path, columns: Sequence[str], lines: Iterator[list[str]]) -> Iterator[Row]:
    for number, fields in enumerate(lines, start=2):
        if not any(field.strip() for field in fields):
            continue
        if len(fields) != len(columns):
            raise BadTable(
                f"{path}, line {number}: {len(fields)} fields where there are {len(columns)} columns"
            )
        yield Row(path, number, {name: field.strip() for name, field in zip(columns, fields, strict=True)})
