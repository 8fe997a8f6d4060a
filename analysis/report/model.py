"""The tree of a report: what renderers take, and all that they take. Plain data that travels as JSON.

A table's cells are values, never formatted texts: ``Column.format`` says what they are, so that a page shows
``54.7 dB`` and a workbook holds the number.
"""

from __future__ import annotations

from datetime import datetime
from typing import Literal

import msgspec

Language = Literal["zh", "en"]
Cell = str | int | float | None
CellFormat = Literal[
    "text", "level", "share", "litres", "m3", "number", "count", "money", "date", "time", "link"
]
"""``level`` is dB with one decimal, ``share`` 0 to 1, ``date`` an ISO date, ``time`` ISO 8601 UTC, ``link`` a URL."""
Mark = Literal["", "good", "bad", "weak"]
"""How a row is to be seen: a limit met, a limit broken, not enough data."""


class Node(msgspec.Struct, frozen=True, kw_only=True):
    """Base of everything in the tree."""


class Column(Node, frozen=True, kw_only=True):
    """One column of a table. ``width`` is in characters; ``printed`` says whether a page shows it as well."""

    title: str
    format: CellFormat = "text"
    width: int = 12
    printed: bool = True


class Table(Node, frozen=True, kw_only=True, tag="table"):
    """Rows of cells, as many as there are columns.

    ``sheet`` is the workbook's sheet that it goes to; ``marks`` has one mark a row, or is empty. A page shows the first
    ``most_printed`` rows and says how many more the workbook has; 0 leaves the table to the workbook.
    """

    sheet: str
    title: str
    columns: tuple[Column, ...]
    rows: tuple[tuple[Cell, ...], ...]
    marks: tuple[Mark, ...] = ()
    note: str = ""
    most_printed: int = 10_000

    def __post_init__(self) -> None:
        if any(len(row) != len(self.columns) for row in self.rows):
            raise ValueError(f"table {self.title!r}: a row has more or fewer cells than there are columns")
        if self.marks and len(self.marks) != len(self.rows):
            raise ValueError(f"table {self.title!r}: there must be one mark for each row")


class Paragraph(Node, frozen=True, kw_only=True, tag="paragraph"):
    """A paragraph; ``warning`` ones stand out."""

    text: str
    warning: bool = False


class Tile(Node, frozen=True, kw_only=True):
    """One figure of a summary with what it is compared with."""

    label: str
    value: Cell
    format: CellFormat
    unit: str = ""
    more: str = ""
    mark: Mark = ""


class Tiles(Node, frozen=True, kw_only=True, tag="tiles"):
    """The figures that come first."""

    items: tuple[Tile, ...]


class DatePoint(Node, frozen=True, kw_only=True):
    """A value of one date; ``complete`` is false for what was not measured enough to be judged."""

    date: str
    value: float | None
    complete: bool = True


class DaysChart(Node, frozen=True, kw_only=True, tag="days_chart"):
    """Ld and Ln of each date against their limits, dB."""

    title: str
    day_label: str
    night_label: str
    limit_label: str
    incomplete_label: str
    day: tuple[DatePoint, ...]
    night: tuple[DatePoint, ...]
    day_limit: float
    night_limit: float


class CalendarChart(Node, frozen=True, kw_only=True, tag="calendar_chart"):
    """A cell for each date of a year, coloured by its margin to the limit, dB (negative: below)."""

    title: str
    weekdays: tuple[str, ...]
    months: tuple[str, ...]
    legend: tuple[str, ...]
    """Words for: far below, just below, above, not enough data."""
    margins: tuple[DatePoint, ...]


class ProfilePoint(Node, frozen=True, kw_only=True):
    """One hour of the mean day, dB."""

    hour: int
    laeq_db: float | None
    l10_db: float | None
    l90_db: float | None


class ProfileChart(Node, frozen=True, kw_only=True, tag="profile_chart"):
    """The mean day hour by hour: LAeq of working days and days of rest, with the L90 to L10 band of the former."""

    title: str
    workdays_label: str
    restdays_label: str
    band_label: str
    limit_label: str
    workdays: tuple[ProfilePoint, ...]
    restdays: tuple[ProfilePoint, ...]
    day_limit: float
    night_limit: float
    day_starts_h: int
    night_starts_h: int


class BarsChart(Node, frozen=True, kw_only=True, tag="bars_chart"):
    """A bar for each date or name, in ``unit``, with one line to compare with."""

    title: str
    unit: str
    labels: tuple[str, ...]
    values: tuple[float | None, ...]
    line: float | None = None
    line_label: str = ""
    lying: bool = False
    """Bars lie, with their names at the left."""


Chart = DaysChart | CalendarChart | ProfileChart | BarsChart
Block = Table | Paragraph | Tiles | DaysChart | CalendarChart | ProfileChart | BarsChart


class Section(Node, frozen=True, kw_only=True):
    """A chapter. ``break_before`` begins a new page."""

    key: str
    title: str
    blocks: tuple[Block, ...]
    break_before: bool = False


class Sheet(Node, frozen=True, kw_only=True):
    """A sheet of the workbook."""

    key: str
    title: str


class Report(Node, frozen=True, kw_only=True):
    """A whole report in one language. Times are UTC; ``zone`` is what people read them in."""

    kind: Literal["quarter", "city", "dossier"]
    language: Language
    title: str
    subtitle: str
    subject: str
    """Whom it is about: the quarter, or all quarters."""
    file_name: str
    """Without its ending."""
    zone: str
    generated_at: datetime
    version: str
    indicative: str
    """The sentence that says so, or empty where every instrument is type approved."""
    head: tuple[tuple[str, str], ...]
    """Label and value of what stands below the title."""
    sections: tuple[Section, ...]
    sheets: tuple[Sheet, ...]


def encode(report: Report) -> bytes:
    """Return a report as JSON."""
    return msgspec.json.encode(report)


def decode(raw: bytes) -> Report:
    """Read a report. Raises ``msgspec.DecodeError`` for what is none."""
    return msgspec.json.decode(raw, type=Report)
