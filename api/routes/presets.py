"""Every number that is judged by, with its origin and how far it was checked."""

from __future__ import annotations

from datetime import date
from typing import Annotated, Any, Final

import msgspec
from fastapi import APIRouter, Query
from pydantic import Field

from analysis.standards import Row, standards
from api.guard import Context
from api.problems import documented
from api.schemas import Out, RowOut, row_out
from api.times import Day

router = APIRouter(tags=["standards"])

_ORIGIN: Final = frozenset(Row.__struct_fields__)


class PresetOut(RowOut):
    """A row of any kind: where it comes from, and its numbers."""

    kind: str = Field(
        description="`limit`, `band_limit`, `correction`, `grade`, `quota`, `tariff`, `surcharge` or `number`."
    )
    in_force: bool = Field(description="Whether it holds on the date that was asked for.")
    numbers: dict[str, Any] = Field(examples=[{"value": 55.0, "unit": "dB", "period": "day"}])


class PresetsOut(Out):
    """All rows of the presets, in the order of the files."""

    on: date
    items: list[PresetOut]


@router.get("/standards", summary="Every preset with its origin", responses=documented(401))
def list_presets(
    context: Context,
    prefix: Annotated[str, Query(max_length=40, examples=["gbt50331."])] = "",
    on: Annotated[Day | None, Query(description="Date for `in_force`; without it today.")] = None,
) -> PresetsOut:
    """Return limits, tables, quotas, tariffs and numbers with standard, edition, clause, dates, source and mark.

    `verified`: V checked against the source, C computed, K from knowledge, not checked. `project_default`: chosen by
    this project because no standard's number was to be had.
    """
    day = on or context.clock.now().date()
    return PresetsOut(on=day, items=[_preset_out(row, day) for row in standards().rows(Row, prefix)])


def _preset_out(row: Row, day: date) -> PresetOut:
    numbers = {key: value for key, value in msgspec.to_builtins(row).items() if key not in _ORIGIN}
    return PresetOut(
        **row_out(row).model_dump(), kind=_kind(row), in_force=row.holds_on(day), numbers=numbers
    )


def _kind(row: Row) -> str:
    name = type(row).__name__.removesuffix("Row")
    return "".join(f"_{letter.lower()}" if letter.isupper() else letter for letter in name).removeprefix("_")
