"""A month or a year of all quarters as one report. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from analysis.report.facts import QuarterFacts
from analysis.report.figures import Count, count, rates, valid_share, worst
from analysis.report.links import Links
from analysis.report.model import (
    BarsChart,
    Block,
    Language,
    Mark,
    Paragraph,
    Report,
    Section,
    Table,
    Tile,
    Tiles,
)
from analysis.report.noise_part import Spec, name_of, table
from analysis.report.period import Period
from analysis.report.quarter import sheets
from analysis.report.rules_part import presets_table
from analysis.report.words import Words, iso, local, utc
from analysis.standard_rows import Row

_SHEETS = ("summary", "quarters", "hit_rates", "presets", "provenance")
_MOST_BARS = 60


@dataclass(frozen=True, slots=True)
class CityFacts:
    """All quarters of a report, by name, each without its hour rows."""

    quarters: tuple[QuarterFacts, ...]
    period: Period
    data_until: datetime
    zone: str


@dataclass(frozen=True, slots=True)
class _Line:
    facts: QuarterFacts
    day: Count
    night: Count


def build_city(
    city: CityFacts, language: Language, *, made_at: datetime, version: str, links: Links | None = None
) -> Report:
    """Return the report. ``made_at`` is the time of the wall."""
    words, links = Words(language), links or Links()
    lines = [_line(facts) for facts in city.quarters]
    indicative = any(facts.indicative for facts in city.quarters)
    kind = words.t(f"kind.city.{city.period.kind}")
    return Report(
        kind="city", language=language, title=kind, subtitle=words.period(city.period), subject=words.t("all_quarters"),
        file_name=f"quietwater-all-{city.period.name}-{language}", zone=city.zone, generated_at=made_at,
        version=version, indicative=words.t("indicative") if indicative else "",
        head=(
            (words.t("head.quarters"), str(len(lines))),
            (words.t("head.period"), words.t("head.dates", first=iso(city.period.first), last=iso(city.period.last))),
            (words.t("head.data_until"), f"{local(city.data_until, city.zone)} ({city.zone})"),
            (words.t("head.generated"), f"{local(made_at, city.zone)} ({city.zone})"),
            (words.t("head.version"), f"Quietwater {version}"),
        ),
        sections=(
            _summary(city, lines, indicative, words), _rates(city, lines, words), _rules(city, words),
            _provenance(city, words, links),
        ),
        sheets=sheets(words, _SHEETS),
    )  # fmt: skip


def _line(facts: QuarterFacts) -> _Line:
    days = [day for source in facts.sources for day in source.days]
    return _Line(facts, count(days, "day"), count(days, "night"))


def _summary(city: CityFacts, lines: Sequence[_Line], indicative: bool, words: Words) -> Section:
    blocks: list[Block] = [Paragraph(text=words.t("indicative"), warning=True)] if indicative else []
    latest = max((one.clock.night_bounds(city.period.last)[1] for one in city.quarters), default=None)
    if latest is not None and city.data_until < latest:
        until = local(city.data_until, city.zone)
        blocks.append(Paragraph(text=words.t("still_running", until=until), warning=True))
    blocks.append(_tiles(city, words))
    blocks.append(Paragraph(text=words.t("city.lead" if lines else "city.none")))
    blocks.append(_quarters_table(lines, words))
    return Section(key="summary", title=words.t("section.city"), blocks=tuple(blocks))


def _tiles(city: CityFacts, words: Words) -> Tiles:
    found = rates(city.quarters)
    items = [
        Tile(
            label=words.t("tile.quarters"), value=len(city.quarters), format="count",
            more=words.t("tile.devices", count=sum(len(one.sources) for one in city.quarters)),
        )
    ]  # fmt: skip
    for period in ("day", "night"):
        rate = found.get(("all", period))
        percent = rate.percent if rate else None
        items.append(
            Tile(
                label=words.t(f"tile.{period}_rate"), value=None if percent is None else percent / 100.0,
                format="share", more=words.t("tile.of", passed=rate.passed, measured=rate.measured) if rate else "",
            )
        )  # fmt: skip
    sources = [source for one in city.quarters for source in one.sources]
    items.append(
        Tile(
            label=words.t("tile.valid"),
            value=valid_share(sources),
            format="share",
            more=words.t("tile.valid_more"),
        )
    )
    alerts = [one for facts in city.quarters for one in facts.alerts]
    still = sum(one.state != "resolved" for one in alerts)
    items.append(
        Tile(
            label=words.t("tile.alerts"),
            value=len(alerts),
            format="count",
            more=words.t("tile.alerts_more", open=still),
        )
    )
    return Tiles(items=tuple(items))


def _quarters_table(lines: Sequence[_Line], words: Words) -> Table:
    def over(one: _Line) -> float | None:
        found = worst(one.facts.sources)
        return found.over_db if found else None

    def head(one: _Line) -> float | None:
        return one.facts.water.per_head.litres_per_person_day if one.facts.water else None

    def loss(one: _Line) -> float | None:
        water = one.facts.water
        return water.loss.balance.lost_share if water and water.loss.balance else None

    spec: Spec = [
        ("quarter", "text", 20, lambda one: words.label(one.facts.site.label_zh, one.facts.site.label_en)),
        ("id", "text", 14, lambda one: one.facts.site.name),
        ("district", "text", 12, lambda one: one.facts.site.district or None),
        ("zone", "text", 7, lambda one: one.facts.site.zone_class),
        ("devices", "count", 7, lambda one: len(one.facts.sources)),
        ("days_passed", "count", 8, lambda one: one.day.passed),
        ("days_failed", "count", 8, lambda one: one.day.failed),
        ("days_incomplete", "count", 8, lambda one: one.day.incomplete),
        ("day_rate", "share", 9, lambda one: one.day.share),
        ("nights_passed", "count", 8, lambda one: one.night.passed),
        ("nights_failed", "count", 8, lambda one: one.night.failed),
        ("nights_incomplete", "count", 8, lambda one: one.night.incomplete),
        ("night_rate", "share", 9, lambda one: one.night.share),
        ("worst", "level", 9, over),
        ("valid", "share", 9, lambda one: valid_share(one.facts.sources)),
        ("per_head", "number", 9, head),
        ("loss", "share", 9, loss),
        ("alerts", "count", 7, lambda one: len(one.facts.alerts)),
    ]
    hidden = (
        "id",
        "district",
        "days_passed",
        "days_incomplete",
        "nights_passed",
        "nights_incomplete",
    )
    return table(
        "quarters", words.t("table.quarters"), spec, lines, words, [_mark(one) for one in lines], unprinted=hidden,
        most_printed=400,
    )  # fmt: skip


def _mark(one: _Line) -> Mark:
    if one.day.failed or one.night.failed:
        return "bad"
    return "" if one.day.passed and one.night.passed else "weak"


def _rates(city: CityFacts, lines: Sequence[_Line], words: Words) -> Section:
    found = rates(city.quarters)
    spec: Spec = [
        ("zone", "text", 10, lambda one: words.t("zone.all") if one[0][0] == "all" else one[0][0]),
        ("period", "text", 10, lambda one: words.t(one[0][1])),
        ("passed", "count", 10, lambda one: one[1].passed),
        ("measured", "count", 10, lambda one: one[1].measured),
        ("rate", "share", 10, lambda one: None if one[1].percent is None else one[1].percent / 100.0),
    ]
    blocks: list[Block] = [table("hit_rates", words.t("table.hit_rates"), spec, sorted(found.items()), words)]
    measured = sorted(
        (one for one in lines if one.night.share is not None), key=lambda one: one.night.share or 0.0
    )
    if measured:
        shown = measured[:_MOST_BARS]
        blocks.append(
            BarsChart(
                title=words.t("chart.night_rates"), unit="%", lying=True, line=100.0,
                labels=tuple(words.label(one.facts.site.label_zh, one.facts.site.label_en) for one in shown),
                values=tuple(100.0 * (one.night.share or 0.0) for one in shown),
            )
        )  # fmt: skip
    return Section(key="rates", title=words.t("section.city_rates"), blocks=tuple(blocks))


def _rules(city: CityFacts, words: Words) -> Section:
    rows: dict[str, Row] = {}
    for facts in city.quarters:
        for row in facts.presets:
            rows.setdefault(row.id if not row.id.startswith("own.") else f"{facts.site.name}/{row.id}", row)
    return Section(
        key="rules", title=words.t("section.city_rules"),
        blocks=(Paragraph(text=words.t("rules.lead")), presets_table(list(rows.values()), words)),
    )  # fmt: skip


def _provenance(city: CityFacts, words: Words, links: Links) -> Section:
    first, last = city.period.first, city.period.last
    rows = [(facts, source) for facts in city.quarters for source in facts.sources]
    spec: Spec = [
        ("quarter", "text", 18, lambda one: words.label(one[0].site.label_zh, one[0].site.label_en)),
        ("device", "text", 16, lambda one: name_of(one[1], words)),
        ("from", "time", 17, lambda one: utc(one[0].clock.day_bounds(first)[0])),
        ("to", "time", 17, lambda one: utc(one[0].clock.night_bounds(last)[1])),
        ("seconds", "count", 11, lambda one: one[1].seconds),
        ("valid", "share", 9, lambda one: valid_share([one[1]])),
        ("revision", "count", 8, lambda one: one[1].revision),
        (
            "figure_link",
            "link",
            8,
            lambda one: links.noise_days(one[0].site.name, one[1].device.name, first, last),
        ),
    ]
    return Section(
        key="provenance", title=words.t("section.city_provenance"),
        blocks=(
            Paragraph(text=words.t("city.provenance")),
            table("provenance", words.t("table.provenance"), spec, rows, words, most_printed=400),
        ),
    )  # fmt: skip
