"""Presets of the standards: typed rows with their origin, read from ``analysis/presets/*.toml``.

A row says where its number comes from (standard, edition, clause, source), from when to when it holds, and how far
it was checked: ``V`` against a source, ``C`` computed, ``K`` from knowledge. A number that no standard could be found
for is a ``project_default`` and says so; it is never shown as the standard's.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import date
from decimal import ROUND_HALF_EVEN, Decimal
from functools import cache
from importlib import resources
from pathlib import Path
from typing import Any, Final, Literal

import msgspec

Verified = Literal["V", "C", "K"]
Comparator = Literal["<=", "<", ">=", ">"]
Period = Literal["day", "night", "evening", "quiet", "any"]
Verdict = Literal["pass", "fail"]

PROJECT_DEFAULT: Final = "project default"
"""``standard`` of a row that this project chose because no standard's number was to be had."""


class BadPreset(ValueError):
    """A preset file cannot be read; the message names the file, the row and the cure."""


class Row(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What every row of a preset carries. ``valid_to`` is the last day on which it held; ``None`` for still."""

    id: str
    standard: str
    edition: str
    title_zh: str
    title_en: str
    clause: str
    valid_from: date
    source: str
    verified: Verified
    valid_to: date | None = None
    note_zh: str = ""
    note_en: str = ""

    @property
    def project_default(self) -> bool:
        """Whether the number is this project's own and no standard's."""
        return self.standard == PROJECT_DEFAULT

    def holds_on(self, day: date) -> bool:
        """Whether the row was in force on ``day``."""
        return self.valid_from <= day and (self.valid_to is None or day <= self.valid_to)


class LimitRow(Row, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A limit on one quantity.

    ``applies_to`` is what the standard tells apart: a zone class, a kind of room. A measured value is rounded to
    ``rounding`` (half to even, GB/T 8170; 0 for not at all) before it is compared.
    """

    applies_to: str
    label_zh: str
    label_en: str
    period: Period
    quantity: str
    value: float
    unit: str
    comparator: Comparator
    rounding: float

    def rounded(self, measured: float) -> float:
        """Return ``measured`` as it is compared and shown."""
        return round_to(measured, self.rounding)

    def judge(self, measured: float) -> Verdict:
        """Say whether a measured value meets the limit."""
        return "pass" if meets(self.rounded(measured), self.comparator, self.value) else "fail"


class Standards:
    """All rows, by identity and by family."""

    def __init__(self, limits: Mapping[str, LimitRow]) -> None:
        self._limits = dict(limits)

    def limit(self, row_id: str) -> LimitRow:
        """Return one limit. Raises ``KeyError`` that names it."""
        try:
            return self._limits[row_id]
        except KeyError:
            raise KeyError(f"no preset row is called {row_id!r}") from None

    def limits(self, prefix: str = "") -> list[LimitRow]:
        """Return the limits whose identity begins with ``prefix``, in the order of the files."""
        return [row for row in self._limits.values() if row.id.startswith(prefix)]


def meets(measured: float, comparator: Comparator, value: float) -> bool:
    """Compare as the preset says: ``<=`` passes at the limit, ``<`` does not."""
    match comparator:
        case "<=":
            return measured <= value
        case "<":
            return measured < value
        case ">=":
            return measured >= value
        case ">":
            return measured > value


def round_to(measured: float, step: float) -> float:
    """Round to a multiple of ``step``, half to even as GB/T 8170 wants; ``step`` 0 leaves it as it is."""
    if step == 0.0:
        return measured
    unit = Decimal(str(step))
    return float((Decimal(str(measured)) / unit).quantize(Decimal(1), ROUND_HALF_EVEN) * unit)


@cache
def standards() -> Standards:
    """Return the presets that the product ships."""
    return load(Path(str(resources.files("analysis.presets"))))


def load(folder: Path) -> Standards:
    """Read the presets of a folder. Raises :class:`BadPreset` for a row that does not validate or occurs twice."""
    limits: dict[str, LimitRow] = {}
    for path in sorted(folder.glob("*.toml")):
        for row in _limit_rows(path):
            if row.id in limits:
                raise BadPreset(f"{path.name}: the row {row.id!r} occurs twice; give one of them another id")
            limits[row.id] = row
    return Standards(limits)


def _limit_rows(path: Path) -> Iterator[LimitRow]:
    try:
        tables: dict[str, Any] = msgspec.toml.decode(path.read_bytes())
    except msgspec.DecodeError as error:
        raise BadPreset(f"{path.name}: not TOML: {error}") from error
    shared = tables.get("document", {})
    for raw in tables.get("limit", ()):
        try:
            yield msgspec.convert({**shared, **raw}, LimitRow)
        except msgspec.ValidationError as error:
            raise BadPreset(f"{path.name}: row {raw.get('id', '?')!r}: {error}") from error
