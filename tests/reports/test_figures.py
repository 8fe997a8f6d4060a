"""The figures: one number followed from the report through the API to the store, and what is said beside it."""

from __future__ import annotations

import io
import math
from datetime import date, datetime, timedelta
from urllib.parse import parse_qsl, urlsplit

import openpyxl
import pytest

from analysis.days import water_days
from analysis.dossier.measured_water import WaterPeriod, water_facts
from analysis.limits import site_clock
from analysis.report.gather import gather_quarter
from analysis.report.links import Links
from analysis.report.model import Report, Table, Tiles, decode, encode
from analysis.report.period import parse
from analysis.report.quarter import build_quarter
from analysis.report.words import level
from api import registry_reads as reads
from api.app import create_app
from api.context import ApiContext
from api.reports.html import report_html
from api.reports.xlsx import report_xlsx
from contract.flags import NOISE_EXCLUDED
from store.registry.database import Registry
from store.registry.models import Site
from store.series.duckdb_store import DuckDbStore
from tests.api import seeding
from tests.api.conftest import Person
from tests.reports.conftest import DATE, MONTH


def quarter(
    series: DuckDbStore, registry: Registry, period: str = MONTH, language="zh", site="jing-yuan"
) -> Report:
    with registry.reader() as session:
        row = session.get_one(Site, site)
        facts = gather_quarter(series, session, row, parse(period), seeding.NOW)
    return build_quarter(facts, language, made_at=seeding.NOW, version="1.2.3", links=Links())


def tables(report: Report) -> dict[str, Table]:
    found = {}
    for section in report.sections:
        for block in section.blocks:
            if isinstance(block, Table):
                found.setdefault(block.sheet or block.title, block)
    return found


def workbook(report: Report):
    return openpyxl.load_workbook(io.BytesIO(report_xlsx(report)))


def rows_of(sheet) -> list[dict]:
    lines = list(sheet.iter_rows(values_only=True))
    return [dict(zip(lines[0], line, strict=True)) for line in lines[1:]]


def test_one_number_is_the_same_in_report_api_and_store(
    series: DuckDbStore, registry: Registry, context: ApiContext
) -> None:
    report = quarter(series, registry)
    book = workbook(report)
    (origin,) = [
        row for row in rows_of(book["溯源"]) if row["数据项"] == f"Ld {DATE}" and row["监测点"] == "东门"
    ]
    days = {(row["监测点"], row["日期"].date().isoformat()): row for row in rows_of(book["昼夜"])}
    shown = days["东门", DATE]["Ld dB"]
    assert origin["数值"] == shown and shown > 30.0
    # The printed page shows it rounded.
    assert f">{level(shown)}<" in report_html(report)

    # The API's figure, by the link that the report gives.
    who = Person(create_app(context), "viewer")
    answer = who.http.get(origin["数值接口"]).json()
    # A workbook holds 16 digits of a number.
    assert answer["days"][0]["day"]["laeq_db"] == pytest.approx(shown, rel=1e-14)
    assert answer["days"][0]["day"]["verdict"] == "pass"

    # The API's seconds, by the link that the report gives, page by page.
    address = urlsplit(origin["数据接口"])
    query = dict(parse_qsl(address.query))
    levels, stamps = [], []
    while True:
        page = who.http.get(address.path, params={**query, "limit": 20_000}).json()
        for t, laeq, flags, measured in zip(
            page["t"], page["laeq_db"], page["flags"], page["measured_ms"], strict=True
        ):
            stamps.append(t)
            if not flags & NOISE_EXCLUDED:
                levels.append((t, laeq, measured))
        if page["next"] is None:
            break
        query["start"] = page["next"]
    assert len(stamps) == origin["秒数"] == len(set(stamps))

    # The store's own count, and the figure computed anew from the seconds of the hours that count.
    start, end = (datetime.fromisoformat(dict(parse_qsl(address.query))[key]) for key in ("start", "end"))
    assert len(series.noise_seconds("jing-yuan", "dong-men", start, end).t) == origin["秒数"]
    by_hour: dict[str, list[tuple[float, int]]] = {}
    for t, laeq, measured in levels:
        by_hour.setdefault(t[:13], []).append((laeq, measured))
    counted = [
        one for hour in by_hour.values() if sum(ms for _, ms in hour) >= 0.75 * 3_600_000 for one in hour
    ]
    energy = math.fsum(ms * 10 ** (laeq / 10) for laeq, ms in counted) / sum(ms for _, ms in counted)
    assert 10 * math.log10(energy) == pytest.approx(shown, abs=0.001)
    assert origin["计入"] == sum(sum(ms for _, ms in hour) >= 0.75 * 3_600_000 for hour in by_hour.values())


def test_litres_are_those_of_the_api(series: DuckDbStore, registry: Registry, context: ApiContext) -> None:
    book = workbook(quarter(series, registry))
    (row,) = [one for one in rows_of(book["用水"]) if one["日期"].date().isoformat() == "2026-03-01"]
    who = Person(create_app(context), "viewer")
    asked = {"site": "jing-yuan", "meter": "zong-biao", "first": "2026-03-01", "last": "2026-03-01"}
    (day,) = who.get("/water/days", **asked).json()["days"]
    assert row["总表 L"] == pytest.approx(day["volume_l"], rel=1e-14) and day["volume_l"] > 100
    traced = [one for one in rows_of(book["用水溯源"]) if one["水表"] == "小区总表"]
    assert traced[1]["数值"] == row["总表 L"] and traced[1]["记录数"] == 96


def test_the_loss_of_a_month_is_one_figure_in_report_api_and_dossier(
    series: DuckDbStore, registry: Registry, context: ApiContext
) -> None:
    first, last = date(2026, 3, 1), date(2026, 3, 31)
    who = Person(create_app(context), "viewer")
    told = who.get("/water/balance", site="jing-yuan", first=str(first), last=str(last)).json()
    with registry.reader() as session:
        row = session.get_one(Site, "jing-yuan")
        reported = gather_quarter(series, session, row, parse(MONTH), seeding.NOW).water
        found = water_facts(
            WaterPeriod(
                row, reads.meters_of(session, row.name),
                water_days(series, site_clock(row), row.name, first, last), (), site_clock(row), first, last,
            )
        )  # fmt: skip
    assert reported is not None and reported.loss.balance is not None
    # Sums of the store differ in their last digit from one query to the next.
    share = pytest.approx(told["lost_share"], rel=1e-12)
    assert reported.loss.balance.lost_share == share and found["water.loss_share"].value == share
    assert told["dates"] == reported.loss.dates == found["water.loss_share"].counted >= 1
    assert reported.per_head.litres_per_person_day == pytest.approx(found["water.per_head"].value, rel=1e-12)
    blocks = quarter(series, registry, language="en").sections[0].blocks
    (tiles,) = (block for block in blocks if isinstance(block, Tiles))
    shown = {tile.label: tile.value for tile in tiles.items}
    assert shown["Between master and others"] == share


def test_the_tree_travels_as_json_and_stays_the_same(series: DuckDbStore, registry: Registry) -> None:
    report = quarter(series, registry)
    assert decode(encode(report)) == report


def test_a_month_says_what_is_incomplete_and_why(series: DuckDbStore, registry: Registry) -> None:
    page = report_html(quarter(series, registry, language="en"))
    assert "The period is not over" in page and "indicative, not for enforcement" in page
    assert "incomplete (no data)" in page and "incomplete (not over)" in page
    assert "fewer than 20" in page
    report = tables(quarter(series, registry, language="en"))
    days = {(row[0], row[1]): row for row in report["days"].rows}
    titles = [column.title for column in report["days"].columns]
    complete = days["East gate", DATE]
    assert complete[titles.index("Day hours counted")] == 16
    assert complete[titles.index("Day valid")] == 1.0


def test_calibration_rules_presets_and_marks_are_told(series: DuckDbStore, registry: Registry) -> None:
    report = quarter(series, registry, language="en")
    found = tables(report)
    gate = next(row for row in found["devices"].rows if row[1] == "dong-men")
    assert "2026-03-02 13:05" in gate and "not type approved" in gate
    presets = {row[0]: row for row in found["presets"].rows}
    assert presets["gb3096.class1.day"][2:7] == ("≤ 55 dB", "GB 3096-2008", "2008", "5.1, table 1", "V")
    assert presets["validity.hour_share"][6] == "K"
    assert any(row.startswith("gbt50331.") for row in presets)
    assert found["presets"].marks[list(presets).index("validity.hour_share")] == "weak"
    rules = {row[1]: row for row in found["rules"].rows}
    assert "window_s=600" in rules["noise_window"][5]
    assert ("Software", "Quietwater 1.2.3") in report.head


def test_alerts_of_the_period_are_listed(
    series: DuckDbStore, registry: Registry, context: ApiContext
) -> None:
    listed = tables(quarter(series, registry, language="en"))["alerts"]
    who = Person(create_app(context), "viewer")
    told = who.get("/alerts", state="all", limit=200).json()["items"]
    wanted = {one["id"] for one in told if one["state"] not in ("pending", "cancelled")}
    assert {row[0] for row in listed.rows} == wanted and wanted


def test_a_year_is_told_by_month_and_traced_by_date(series: DuckDbStore, registry: Registry) -> None:
    report = quarter(series, registry, "2026", "en")
    found = tables(report)
    assert len(found["East gate: month by month"].rows) == 12
    assert len(found["provenance"].rows) == 365 * 2 * 2
    assert {row[0] for row in found["East gate: month by month"].rows} >= {"2026-01", "2026-12"}
    assert report.title.endswith("Yearly report")


def test_a_quarter_without_devices_still_has_a_report(series: DuckDbStore, registry: Registry) -> None:
    from store.registry.provisioning import add_site

    with registry.session() as session:
        add_site(session, "empty", label_zh="空", label_en="Empty", now=seeding.NOW)
    page = report_html(quarter(series, registry, language="en", site="empty"))
    assert "no noise device" in page and "no water meter" in page


def test_periods() -> None:
    month = parse("2028-02")
    assert (month.days, month.name, parse("2026").days) == (29, "2028-02", 365)
    for wrong in ("2026-13", "26-01", "2026-1", "1999", "2026-02-01", ""):
        with pytest.raises(ValueError, match="no month and no year"):
            parse(wrong)
    assert parse("2026-12").last - parse("2026-12").first == timedelta(days=30)
