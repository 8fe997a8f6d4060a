"""Cells of a report's tables as people read them. Pure."""

from __future__ import annotations

from typing import Final

from analysis.report.model import Cell, CellFormat
from analysis.report.words import NONE, level, number, percent

NUMERIC: Final = frozenset[CellFormat]({"level", "share", "litres", "m3", "number", "count", "money"})
"""Formats of numbers: they stand at the right of a page's column, and are numbers in a workbook."""


def shown(value: Cell, form: CellFormat) -> str:
    """Return a cell's text; a dash where there is no value."""
    if value is None or value == "":
        return NONE
    if isinstance(value, str):
        return _time(value) if form == "time" else value
    match form:
        case "level":
            return level(value)
        case "share":
            return f"{percent(value)} %"
        case "litres" | "count":
            return number(value)
        case "m3" | "money":
            return number(value, 2)
        case "number":
            return number(value, 1)
        case _:
            return str(value)


def _time(value: str) -> str:
    """Return ``2026-10-01T14:00:00Z`` without its letters."""
    return value.replace("T", " ").removesuffix("Z").removesuffix(":00")
