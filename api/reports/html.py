"""A report as one HTML page: the template, with every text escaped and charts as inline SVG."""

from __future__ import annotations

from functools import cache
from typing import Final

from jinja2 import Environment, PackageLoader, StrictUndefined, select_autoescape
from markupsafe import Markup

from analysis.report.model import Chart, Paragraph, Report, Table, Tiles
from analysis.report.words import Words, local
from api.reports.cells import NUMERIC, shown
from api.reports.svg import chart_svg

_TAGS: Final = {"zh": "zh-CN", "en": "en"}


def report_html(report: Report) -> str:
    """Render a report; what is printed and what is read in a browser is the same page."""
    words = Words(report.language)
    return _environment().get_template("report.html").render(
        report=report, lang=_TAGS[report.language], shown=shown, right=NUMERIC, kind=_kind, svg=_svg, printed=_printed,
        more=_more, widths=_widths, t=words.t, made=local(report.generated_at, report.zone), page_of=_page_of(words),
    )  # fmt: skip


@cache
def _environment() -> Environment:
    made = Environment(
        loader=PackageLoader("api.reports", "."), autoescape=select_autoescape(default=True),
        undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True,
    )  # fmt: skip
    made.filters["css"] = _css_text
    return made


def _css_text(text: str) -> Markup:
    """Return a text for a CSS string: every character that could end it is written as its number."""
    plain = "".join(
        one if one.isalnum() or one in " .-_:·，、,()（）" else f"\\{ord(one):x} " for one in text
    )
    return Markup(plain)  # noqa: S704  only letters, digits and harmless signs are left


def _kind(block: object) -> str:
    match block:
        case Table():
            return "table"
        case Paragraph():
            return "paragraph"
        case Tiles():
            return "tiles"
    return "chart"


def _svg(chart: Chart) -> Markup:
    return Markup(chart_svg(chart))  # noqa: S704  the functions of api.reports.svg escape every text


def _printed(table: Table) -> list[tuple[str, list[object]]]:
    """Return the rows that a page shows: each with its mark and its printed cells."""
    marks = table.marks or ("",) * len(table.rows)
    places = [n for n, column in enumerate(table.columns) if column.printed]
    return [
        (mark, [row[n] for n in places])
        for mark, row in zip(marks[: table.most_printed], table.rows[: table.most_printed], strict=True)
    ]


def _widths(table: Table) -> list[str]:
    """Return the printed columns' widths in per cent: given ones spare the layout a look at every cell."""
    wanted = [column.width for column in table.columns if column.printed]
    return [f"{100.0 * width / sum(wanted):.2f}" for width in wanted]


def _more(table: Table) -> int:
    return max(0, len(table.rows) - table.most_printed)


def _page_of(words: Words) -> str:
    """Return the foot's text as CSS content: page and pages are counters."""
    before, rest = words.t("page.of").split("{page}")
    between, after = rest.split("{pages}")
    return f'"{before}" counter(page) "{between}" counter(pages) "{after}"'
