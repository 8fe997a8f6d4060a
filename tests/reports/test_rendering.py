"""PDF and XLSX as they come out: text that can be read, fonts that are inside, numbers that are numbers."""

from __future__ import annotations

import io
import re
import socket
import string
import subprocess
import sys
from datetime import datetime
from pathlib import Path
from xml.etree import ElementTree

import msgspec
import openpyxl
import pypdfium2
import pytest
from fontTools.fontBuilder import FontBuilder
from fontTools.pens.ttGlyphPen import TTGlyphPen
from pypdf import PdfReader

from analysis.report.model import (
    BarsChart,
    CalendarChart,
    Column,
    DatePoint,
    Paragraph,
    Report,
    Section,
    Sheet,
    Table,
)
from analysis.report.texts import TEXTS
from api.reports.cells import shown
from api.reports.html import report_html
from api.reports.pdf import PdfImpossible, html_pdf, report_pdf
from api.reports.svg import chart_svg
from api.reports.worker import check_pdf
from api.reports.xlsx import report_xlsx
from store.registry.database import Registry
from store.series.duckdb_store import DuckDbStore
from tests.api import seeding
from tests.reports.test_figures import quarter

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="session")
def made() -> dict[str, bytes]:
    return {}


@pytest.fixture
def pdf(made: dict[str, bytes], series: DuckDbStore, registry: Registry, pango: None):
    """Return a function that gives the month's PDF in a language; each is made once."""

    def of(language: str) -> bytes:
        if language not in made:
            made[language] = report_pdf(quarter(series, registry, language=language))
        return made[language]

    return of


def fonts_of(reader: PdfReader) -> set[str]:
    found: set[str] = set()
    for page in reader.pages:
        for font in page["/Resources"]["/Font"].values():
            row = font.get_object()
            below = row["/DescendantFonts"][0].get_object()
            assert any(key in below["/FontDescriptor"] for key in ("/FontFile", "/FontFile2", "/FontFile3"))
            found.add(str(row["/BaseFont"]))
    return found


def test_a_chinese_pdf_has_its_text_and_its_fonts_inside(pdf) -> None:
    reader = PdfReader(io.BytesIO(pdf("zh")))
    text = "\n".join(page.extract_text() for page in reader.pages)
    for words in (
        "静园小区月度监测报告",
        "2026年3月",
        "仅供参考",
        "东门",
        "数据溯源",
        "核实",
        "总表",
        "达标",
    ):
        assert words in text, words
    assert any("CJK" in name for name in fonts_of(reader)), fonts_of(reader)
    assert "\ufffd" not in text and "□" not in text
    assert "第 1 页" in text


def test_an_english_pdf_reads_in_english(pdf) -> None:
    reader = PdfReader(io.BytesIO(pdf("en")))
    text = "\n".join(page.extract_text() for page in reader.pages)
    for words in (
        "Quiet Garden · Monthly report",
        "indicative, not for enforcement",
        "East gate",
        "page 1 of",
    ):
        assert words in text, words
    assert reader.metadata is not None and "Quiet Garden" in str(reader.metadata.title)


def test_chinese_is_drawn_and_not_boxes(pdf) -> None:
    """An empty box is the same picture for every letter: those of a title must differ."""
    page = pypdfium2.PdfDocument(pdf("zh"))[0]
    text = page.get_textpage()
    found = text.search("静园小区月度监测报告")
    index, count = found.get_next()
    drawn = page.render(scale=4).to_pil().convert("L")
    height = page.get_height()
    pictures = set()
    for n in range(index, index + count):
        left, bottom, right, top = text.get_charbox(n)
        box = drawn.crop(tuple(round(4 * x) for x in (left, height - top, right, height - bottom)))
        assert box.getextrema()[0] < 200, "a letter is not drawn"
        pictures.add(box.resize((24, 24)).tobytes())
    assert len(pictures) == 10


def test_a_workbook_holds_numbers_dates_and_frozen_heads(series: DuckDbStore, registry: Registry) -> None:
    book = openpyxl.load_workbook(io.BytesIO(report_xlsx(quarter(series, registry))))
    assert book.sheetnames == [
        "概要", "昼夜", "小时", "告警", "用水", "水表", "仪器", "规则", "限值与口径", "溯源", "用水溯源",
    ]  # fmt: skip
    assert all(sheet.freeze_panes == "A2" for sheet in book)
    hours = book["小时"]
    heads = [cell.value for cell in hours[1]]
    row = next(row for row in hours.iter_rows(min_row=2) if row[heads.index("LAeq dB")].value is not None)
    cell = row[heads.index("LAeq dB")]
    assert isinstance(cell.value, float) and cell.number_format == "0.0"
    assert isinstance(row[heads.index("时刻（UTC）")].value, datetime)
    assert row[heads.index("有效比例")].number_format == "0.0%"
    assert isinstance(row[heads.index("秒数")].value, int)
    assert hours.auto_filter.ref is not None and hours.auto_filter.ref.startswith("A1:")


def small(text: str = "x", language="en") -> Report:
    table = Table(sheet="summary", title="T", columns=(Column(title="c"), Column(title="n", format="level")),
                  rows=((text, 54.75), ("=1+1", None)))  # fmt: skip
    return Report(
        kind="quarter", language=language, title="R", subtitle="S", subject="Q", file_name="r", zone="Asia/Shanghai",
        generated_at=seeding.NOW, version="1", indicative="", head=(("k", "v"),),
        sections=(Section(key="summary", title="One", blocks=(Paragraph(text=text), table)),),
        sheets=(Sheet(key="summary", title="Summary"),),
    )  # fmt: skip


def test_a_text_is_never_a_formula_and_never_markup() -> None:
    nasty = "<script>alert(1)</script>\"'};body{display:none}"
    book = openpyxl.load_workbook(io.BytesIO(report_xlsx(small("=cmd|' /C calc'!A0"))))
    assert all(cell.data_type != "f" for row in book["Summary"].iter_rows() for cell in row)
    page = report_html(small(nasty))
    assert "<script" not in page and "&lt;script&gt;" in page


def test_a_subject_cannot_end_the_style() -> None:
    report = small()
    page = report_html(msgspec.structs.replace(report, subject='a"; } </style><img src=x>', version='1"'))
    assert "<img" not in page
    assert page.count("</style>") == 1


def test_a_report_fetches_nothing(pango: None) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.setblocking(False)
        address = f"http://127.0.0.1:{server.getsockname()[1]}/x.png"
        pdf = html_pdf(
            f'<img src="{address}"><img src="file:///etc/passwd"><link rel="stylesheet" href="{address}"><p>x'
        )
        assert pdf.startswith(b"%PDF") and b"root:" not in pdf
        with pytest.raises(BlockingIOError):
            server.accept()


# -- a machine that lacks something ----------------------------------------------------------------------------


def config(folder: Path, fonts: Path) -> str:
    text = f'<?xml version="1.0"?><fontconfig><dir>{fonts}</dir><cachedir>{folder / "cache"}</cachedir></fontconfig>'
    path = folder / "fonts.conf"
    path.write_text(text)
    return str(path)


def latin_font(path: Path) -> None:
    """Write a font that has Latin letters and no Chinese."""
    letters = string.ascii_letters + string.digits + string.punctuation + " ·≤³"
    names = [f"g{ord(one):04x}" for one in letters]
    builder = FontBuilder(1000, isTTF=True)
    builder.setupGlyphOrder([".notdef", *names])
    builder.setupCharacterMap(dict(zip(map(ord, letters), names, strict=True)))
    pen = TTGlyphPen(None)
    pen.moveTo((0, 0))
    for corner in ((0, 700), (500, 700), (500, 0)):
        pen.lineTo(corner)
    pen.closePath()
    glyph = pen.glyph()
    builder.setupGlyf(dict.fromkeys([".notdef", *names], glyph))
    builder.setupHorizontalMetrics(dict.fromkeys([".notdef", *names], (600, 0)))
    builder.setupHorizontalHeader(ascent=800, descent=-200)
    builder.setupNameTable({"familyName": "Only Latin", "styleName": "Regular"})
    builder.setupOS2(sTypoAscender=800, usWinAscent=800, usWinDescent=200)
    builder.setupPost()
    builder.save(path)


def test_fonts_without_chinese_are_an_error_that_names_the_package(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, pango: None
) -> None:
    (tmp_path / "fonts").mkdir()
    latin_font(tmp_path / "fonts" / "latin.ttf")
    monkeypatch.setenv("FONTCONFIG_FILE", config(tmp_path, tmp_path / "fonts"))
    with pytest.raises(
        PdfImpossible, match=r"no installed font has the characters .*静.*apt-get install fonts-noto-cjk"
    ):
        check_pdf()


def test_no_font_at_all_is_an_error_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, pango: None) -> None:
    (tmp_path / "fonts").mkdir()
    monkeypatch.setenv("FONTCONFIG_FILE", config(tmp_path, tmp_path / "fonts"))
    with pytest.raises(PdfImpossible, match=r"no font is installed.*fonts-noto-cjk"):
        check_pdf()


def test_without_pango_the_packages_are_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "weasyprint"
    folder.mkdir()
    (folder / "__init__.py").write_text("raise OSError(\"cannot load library 'libpango-1.0-0'\")")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    with pytest.raises(
        PdfImpossible, match=r"libpango-1.0-0.*apt-get install libpango-1.0-0 libpangoft2-1.0-0"
    ):
        check_pdf()


def test_the_server_starts_without_weasyprint_and_xlsxwriter() -> None:
    code = (
        "import sys, api.app, app.cli; print([m for m in ('weasyprint', 'xlsxwriter') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT)
    assert done.stdout.strip() == "[]"


def test_a_sign_that_no_font_has_costs_no_report(pango: None) -> None:
    pdf = html_pdf("<p style='font-family: Noto Sans CJK SC'>pipe \U0010fffd mended</p>")
    assert "[U+10FFFD]" in PdfReader(io.BytesIO(pdf)).pages[0].extract_text()


# -- texts, cells, charts --------------------------------------------------------------------------------------


def test_both_languages_have_the_same_places_and_every_key_is_used() -> None:
    sources = "\n".join(
        path.read_text()
        for folder in ("analysis/report", "api/reports")
        for path in (ROOT / folder).iterdir()
        if path.suffix in (".py", ".html")
    )
    used = set(re.findall(r'\bt\(\s*"([a-z_.0-9]+)"', sources))
    assert len(used) > 80
    assert used <= set(TEXTS), used - set(TEXTS)
    for key, (zh, en) in TEXTS.items():
        assert zh and en
        names = [sorted(set(re.findall(r"\{(\w+)\}", one))) for one in (zh, en)]
        assert names[0] == [one for one in names[1] if one != "month_name"] or key == "period.month", key
        assert not re.search(r"[\u4e00-\u9fff][,;:()]", zh), f"{key}: Chinese punctuation is wide"


@pytest.mark.parametrize(
    ("value", "form", "words"),
    [
        (54.65, "level", "54.6"), (54.75, "level", "54.8"), (None, "level", "–"), (0.875, "share", "87.5 %"),
        (12345.6, "litres", "12,346"), (1234.5, "m3", "1,234.50"), (3, "count", "3"), ("", "text", "–"),
        ("2026-03-01T14:00:00Z", "time", "2026-03-01 14:00"), ("2026-03-01", "date", "2026-03-01"),
    ],
)  # fmt: skip
def test_cells_as_people_read_them(value, form, words) -> None:
    assert shown(value, form) == words


def test_charts_are_well_formed_and_escape_their_texts(series: DuckDbStore, registry: Registry) -> None:
    charts = [
        block
        for period in ("2026-03", "2026")
        for section in quarter(series, registry, period).sections
        for block in section.blocks
        if not isinstance(block, (Table, Paragraph)) and block.__class__.__name__.endswith("Chart")
    ]
    assert {one.__class__.__name__ for one in charts} == {
        "DaysChart", "ProfileChart", "CalendarChart", "BarsChart",
    }  # fmt: skip
    charts.append(
        BarsChart(
            title="<b>&",
            unit="%",
            labels=("a<", "b"),
            values=(1.0, None),
            line=2.0,
            line_label="x",
            lying=True,
        )
    )
    charts.append(BarsChart(title="t", unit="m³", labels=("1",), values=(0.0,)))
    for one in charts:
        root = ElementTree.fromstring(chart_svg(one))
        assert root.tag.endswith("svg") and "nan" not in chart_svg(one)


def test_a_calendar_colours_by_the_margin() -> None:
    def colours(*margins: tuple[float | None, bool]) -> list[str]:
        points = tuple(
            DatePoint(date=f"2026-01-{n + 1:02}", value=value, complete=complete)
            for n, (value, complete) in enumerate(margins)
        )
        chart = CalendarChart(
            title="t",
            weekdays=tuple("1234567"),
            months=tuple("123456789abc"),
            legend=tuple("abcd"),
            margins=points,
        )
        return re.findall(r'fill="(#\w+)"/>', chart_svg(chart))[-len(margins) :]

    assert colours((-6.0, True), (-5.0, True), (0.0, True), (0.1, True), (9.0, False), (None, True)) == [
        "#1b6e45", "#9fd3b2", "#9fd3b2", "#b3261e", "#e3e7e4", "#e3e7e4",
    ]  # fmt: skip


def test_a_table_with_a_row_too_short_is_refused() -> None:
    with pytest.raises(ValueError, match="more or fewer cells"):
        Table(sheet="s", title="t", columns=(Column(title="a"),), rows=(("x", "y"),))
