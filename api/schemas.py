"""Shapes that several answers share."""

from __future__ import annotations

from datetime import datetime
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from analysis.limits import Limit
from analysis.standards import LimitRow, Row
from store.registry.models import Device, Meter, Site

INDICATIVE = "Not a type-approved meter: the figures are indicative, not for enforcement."


class Out(BaseModel):
    """Base of all answers."""

    model_config = ConfigDict(frozen=True)


class Label(Out):
    """A name in both languages."""

    zh: str = Field(examples=["静园小区"])
    en: str = Field(examples=["Quiet Garden"])


def label_of(row: Site | Device | Meter) -> Label:
    """Return a row's name in both languages."""
    return Label.model_construct(zh=row.label_zh, en=row.label_en)


class LimitOut(Out):
    """A limit on LAeq with its origin. `verified`: V checked against a source, C computed, K from knowledge."""

    value_db: float = Field(examples=[55.0])
    period: Literal["day", "night"]
    since: datetime
    until: datetime
    standard: str = Field(examples=["GB 3096-2008"])
    clause: str = Field(examples=["5.1, table 1"])
    verified: Literal["V", "C", "K"]
    quiet: Label | None = Field(default=None, description="The quiet period that lowers the limit just now.")


class RowOut(Out):
    """Where a number comes from: any row of a preset. `project_default`: this project's own number, no standard's."""

    id: str = Field(examples=["gbt50331.zone3"])
    label: Label
    standard: str = Field(examples=["GB/T 50331-2002"])
    edition: str
    title: Label
    clause: str
    valid_from: str
    valid_to: str | None = Field(description="The last day on which it held; null for still.")
    source: str
    verified: Literal["V", "C", "K"] = Field(
        description="V checked against the source, C computed, K from knowledge, not checked."
    )
    comparator: str
    rounding: float
    project_default: bool
    note: Label


class LimitRowOut(RowOut):
    """A limit of a standard's preset."""

    applies_to: str = Field(examples=["1"])
    period: str = Field(examples=["day"])
    quantity: str = Field(examples=["ld_db"])
    value: float = Field(examples=[55.0])
    unit: str = Field(examples=["dB"])


def limit_out(limit: Limit) -> LimitOut:
    """Render a limit of a moment."""
    return LimitOut(
        value_db=limit.value_db, period=limit.period, since=limit.since, until=limit.until,
        standard=limit.standard, clause=limit.clause, verified=limit.verified,
        quiet=Label(zh=limit.quiet_zh, en=limit.quiet_en) if limit.quiet_zh else None,
    )  # fmt: skip


def limit_row_out(row: LimitRow) -> LimitRowOut:
    """Render a preset's row."""
    return LimitRowOut(
        **dict(row_out(row)), applies_to=row.applies_to, period=row.period, quantity=row.quantity, value=row.value,
        unit=row.unit,
    )  # fmt: skip


def row_out(row: Row) -> RowOut:
    """Render where a row comes from."""
    return RowOut(
        id=row.id, label=Label(zh=row.label_zh, en=row.label_en), standard=row.standard, edition=row.edition,
        title=Label(zh=row.title_zh, en=row.title_en), clause=row.clause, valid_from=row.valid_from.isoformat(),
        valid_to=row.valid_to.isoformat() if row.valid_to else None, source=row.source, verified=row.verified,
        comparator=row.comparator, rounding=row.rounding, project_default=row.project_default,
        note=Label(zh=row.note_zh, en=row.note_en),
    )  # fmt: skip
