"""Presets of the standards: typed rows with their origin, read from ``analysis/presets/*.toml``.

A row says where its number comes from (standard, edition, clause, source), from when to when it holds, and how far
it was checked: ``V`` against a source, ``C`` computed, ``K`` from knowledge. A number that no standard could be found
for is a ``project_default`` and says so; it is never shown as the standard's.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import date
from functools import cache
from importlib import resources
from pathlib import Path
from typing import Any, Final, TypeVar

import msgspec

from analysis.standard_rows import (
    PROJECT_DEFAULT,
    BandLimitRow,
    Comparator,
    CorrectionRow,
    GradeRow,
    LimitRow,
    NumberRow,
    Period,
    QuotaRow,
    Row,
    SurchargeRow,
    TariffRow,
    Verdict,
    Verified,
    meets,
    round_to,
)

__all__ = [
    "PROJECT_DEFAULT", "BadPreset", "Comparator", "LimitRow", "Period", "Row", "Standards", "Verdict", "Verified",
    "load", "meets", "round_to", "standards",
]  # fmt: skip

_RowT = TypeVar("_RowT", bound=Row)

_TABLES: Final[dict[str, type[Row]]] = {
    "limit": LimitRow,
    "band_limit": BandLimitRow,
    "correction": CorrectionRow,
    "grade": GradeRow,
    "quota": QuotaRow,
    "tariff": TariffRow,
    "surcharge": SurchargeRow,
    "number": NumberRow,
}
"""Name of a table in the files, and the kind of its rows."""


class BadPreset(ValueError):
    """A preset file cannot be read; the message names the file, the row and the cure."""


class Standards:
    """All rows, by identity and by family."""

    def __init__(self, rows: Iterable[Row]) -> None:
        self._rows = {row.id: row for row in rows}

    def get(self, row_id: str, kind: type[_RowT]) -> _RowT:
        """Return one row. Raises ``KeyError`` that names it where there is none of that kind."""
        row = self._rows.get(row_id)
        if not isinstance(row, kind):
            raise KeyError(f"no preset row of kind {kind.__name__} is called {row_id!r}")
        return row

    def limit(self, row_id: str) -> LimitRow:
        """Return one limit. Raises ``KeyError`` that names it."""
        return self.get(row_id, LimitRow)

    def number(self, row_id: str) -> float:
        """Return the value of one number. Raises ``KeyError`` that names it."""
        return self.get(row_id, NumberRow).value

    def rows(self, kind: type[_RowT], prefix: str = "", on: date | None = None) -> list[_RowT]:
        """Return the rows of a kind whose identity begins with ``prefix``, those in force ``on`` a day if given."""
        return [
            row for row in self._rows.values()
            if isinstance(row, kind) and row.id.startswith(prefix) and (on is None or row.holds_on(on))
        ]  # fmt: skip

    def limits(self, prefix: str = "", on: date | None = None) -> list[LimitRow]:
        """Return the limits whose identity begins with ``prefix``, in the order of the files."""
        return self.rows(LimitRow, prefix, on)


@cache
def standards() -> Standards:
    """Return the presets that the product ships."""
    return load(Path(str(resources.files("analysis.presets"))))


def load(folder: Path) -> Standards:
    """Read the presets of a folder. Raises :class:`BadPreset` for a row that does not validate or occurs twice."""
    rows: dict[str, Row] = {}
    for path in sorted(folder.glob("*.toml")):
        for row in _read(path):
            if row.id in rows:
                raise BadPreset(f"{path.name}: the row {row.id!r} occurs twice; give one of them another id")
            rows[row.id] = row
    return Standards(rows.values())


def _read(path: Path) -> Iterator[Row]:
    try:
        tables: dict[str, Any] = msgspec.toml.decode(path.read_bytes())
    except msgspec.DecodeError as error:
        raise BadPreset(f"{path.name}: not TOML: {error}") from error
    shared = tables.pop("document", {})
    for name, raws in tables.items():
        kind = _TABLES.get(name)
        if kind is None:
            raise BadPreset(f"{path.name}: no table {name!r} is known; use one of {', '.join(_TABLES)}")
        # What the file says once for all holds for the kinds of rows that have such a field.
        common = {key: value for key, value in shared.items() if key in kind.__struct_fields__}
        for raw in raws:
            yield _row(path, kind, {**common, **raw})


def _row(path: Path, kind: type[Row], raw: dict[str, Any]) -> Row:
    unsaid = [name for name in kind.must_say if name not in raw]
    if unsaid:
        raise BadPreset(f"{path.name}: row {raw.get('id', '?')!r}: say its {' and '.join(unsaid)}")
    try:
        return msgspec.convert(raw, kind)
    except msgspec.ValidationError as error:
        raise BadPreset(f"{path.name}: row {raw.get('id', '?')!r}: {error}") from error
