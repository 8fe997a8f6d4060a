"""A report as a workbook; the one file that imports XlsxWriter.

Cells hold numbers with number formats, dates as dates, times as times: what stands in the page as ``54.7`` is here the
full figure. Every sheet has its header row frozen. A text is never a formula, whatever it begins with.
"""

from __future__ import annotations

import io
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any, Final

import xlsxwriter
from xlsxwriter.format import Format
from xlsxwriter.worksheet import Worksheet

from analysis.report.model import Block, Cell, CellFormat, Paragraph, Report, Table, Tiles
from api.reports.cells import NUMERIC

_FORMATS: Final[dict[CellFormat, str]] = {
    "level": "0.0", "share": "0.0%", "litres": "#,##0", "m3": "#,##0.00", "number": "#,##0.0", "count": "#,##0",
    "money": "#,##0.00", "date": "yyyy-mm-dd", "time": 'yyyy-mm-dd hh:mm:ss"Z"', "text": "@", "link": "General",
}  # fmt: skip
_FILLS: Final = {"": None, "good": "#E1F1E7", "bad": "#FCE6E3", "weak": "#F3F1EA"}
_FONT: Final = "Noto Sans CJK SC"
_LONGEST: Final = 32_000
"""Characters that a cell may hold in Excel, less a little."""


def report_xlsx(report: Report) -> bytes:
    """Return a report as an XLSX file: the summary first, then one sheet for each kind of table."""
    file = io.BytesIO()
    book = xlsxwriter.Workbook(
        file,
        {
            "in_memory": True,
            "strings_to_formulas": False,
            "strings_to_numbers": False,
            "strings_to_urls": False,
        },
    )
    book.set_properties(
        {"title": f"{report.title} {report.subtitle}", "author": f"Quietwater {report.version}",
         "created": report.generated_at.astimezone(UTC).replace(tzinfo=None)}
    )  # fmt: skip
    styles = _Styles(book)
    tables = [one for one in _blocks(report) if isinstance(one, Table) and one.sheet]
    for sheet in report.sheets:
        if sheet.key == "summary":
            _summary(
                book.add_worksheet(sheet.title), report, [t for t in tables if t.sheet == "summary"], styles
            )
            continue
        for number, one in enumerate(table for table in tables if table.sheet == sheet.key):
            _table_sheet(
                book.add_worksheet(sheet.title if not number else f"{sheet.title} {number + 1}"), one, styles
            )
    book.close()
    return file.getvalue()


class _Styles:
    """Formats of a workbook, each made once."""

    def __init__(self, book: xlsxwriter.Workbook) -> None:
        self._book = book
        self._made: dict[tuple[str, str], Format] = {}
        base: dict[str, Any] = {"font_name": _FONT, "font_size": 10}
        self.title = book.add_format({**base, "bold": True, "font_size": 15, "font_color": "#0A544C"})
        self.bold = book.add_format({**base, "bold": True})
        self.plain = book.add_format({**base, "valign": "top"})
        self.warning = book.add_format({**base, "bg_color": "#FBEED2", "bold": True})
        self.head = book.add_format(
            {**base, "bold": True, "text_wrap": True, "valign": "top", "bottom": 1, "bg_color": "#EEF1EE"}
        )

    def cell(self, form: CellFormat, mark: str) -> Format:
        key = (form, mark)
        if key not in self._made:
            wanted: dict[str, Any] = {"font_name": _FONT, "font_size": 10, "num_format": _FORMATS[form]}
            if _FILLS[mark]:
                wanted["bg_color"] = _FILLS[mark]
            self._made[key] = self._book.add_format(wanted)
        return self._made[key]


def _blocks(report: Report) -> Iterator[Block]:
    for section in report.sections:
        yield from section.blocks


def _summary(sheet: Worksheet, report: Report, tables: list[Table], styles: _Styles) -> None:
    """Write title, facts, sentences and figures, then the summary's tables below one another."""
    sheet.set_column(0, 0, 26)
    sheet.set_column(1, 20, 14)
    sheet.write_string(0, 0, f"{report.title} {report.subtitle}", styles.title)
    sheet.freeze_panes(1, 0)
    row = 1
    for label, value in report.head:
        sheet.write_string(row, 0, label, styles.bold)
        sheet.write_string(row, 1, value, styles.plain)
        row += 1
    for block in report.sections[0].blocks if report.sections else ():
        if isinstance(block, Paragraph):
            sheet.write_string(
                row, 0, block.text[:_LONGEST], styles.warning if block.warning else styles.plain
            )
            row += 1
        elif isinstance(block, Tiles):
            for tile in block.items:
                sheet.write_string(row, 0, tile.label, styles.bold)
                _write(sheet, row, 1, tile.value, tile.format, styles.cell(tile.format, ""))
                sheet.write_string(
                    row, 2, " ".join(part for part in (tile.unit, tile.more) if part), styles.plain
                )
                row += 1
    for table in tables:
        row += 1
        sheet.write_string(row, 0, table.title, styles.bold)
        if table.note:
            row += 1
            sheet.write_string(row, 0, table.note, styles.plain)
        row = _table(sheet, table, row + 1, styles)


def _table_sheet(sheet: Worksheet, table: Table, styles: _Styles) -> None:
    """Write one table from the first row on, its head frozen and filterable."""
    for number, column in enumerate(table.columns):
        sheet.set_column(number, number, column.width + 2)
    last = _table(sheet, table, 0, styles)
    sheet.freeze_panes(1, 0)
    if table.rows:
        sheet.autofilter(0, 0, last - 1, len(table.columns) - 1)
    sheet.set_landscape()
    sheet.repeat_rows(0)
    sheet.fit_to_pages(1, 0)


def _table(sheet: Worksheet, table: Table, top: int, styles: _Styles) -> int:
    """Write head and rows; return the row after the last."""
    for number, column in enumerate(table.columns):
        sheet.write_string(top, number, column.title, styles.head)
    marks = table.marks or ("",) * len(table.rows)
    for line, (mark, cells) in enumerate(zip(marks, table.rows, strict=True), start=top + 1):
        for number, (cell, column) in enumerate(zip(cells, table.columns, strict=True)):
            _write(sheet, line, number, cell, column.format, styles.cell(column.format, mark))
    return top + 1 + len(table.rows)


def _write(sheet: Worksheet, row: int, column: int, value: Cell, form: CellFormat, style: Format) -> None:
    if value is None or value == "":
        sheet.write_blank(row, column, None, style)
    elif isinstance(value, int | float) and form in NUMERIC:
        sheet.write_number(row, column, value, style)
    elif form == "date" and isinstance(value, str):
        sheet.write_datetime(row, column, datetime.fromisoformat(value), style)
    elif form == "time" and isinstance(value, str):
        sheet.write_datetime(row, column, datetime.fromisoformat(value).replace(tzinfo=None), style)
    else:
        sheet.write_string(row, column, str(value)[:_LONGEST], style)
