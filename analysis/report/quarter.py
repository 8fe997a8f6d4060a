"""A month or a year of one quarter as a report. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime

from analysis.report.facts import QuarterFacts
from analysis.report.figures import PERIODS, Count, PeriodName, count, rates, valid_share, worst
from analysis.report.links import Links
from analysis.report.model import Block, Language, Paragraph, Report, Section, Sheet, Tile, Tiles
from analysis.report.noise_part import further_table, name_of, noise_section, points_table
from analysis.report.provenance_part import provenance_section
from analysis.report.rules_part import alerts_section, devices_section, rules_section
from analysis.report.water_part import loss_words, quota_words, use_words, water_section
from analysis.report.words import Words, iso, level, local
from analysis.standards import standards

_SHEETS = (
    "summary", "days", "hours", "alerts", "water", "meters", "devices", "rules", "presets", "provenance",
    "provenance_water",
)  # fmt: skip


def build_quarter(
    facts: QuarterFacts, language: Language, *, made_at: datetime, version: str, links: Links | None = None
) -> Report:
    """Return the report. ``made_at`` is the time of the wall; ``links`` know the server's address."""
    words, links = Words(language), links or Links()
    site, period = facts.site, facts.period
    name = words.label(site.label_zh, site.label_en)
    sections = (
        _summary(facts, words),
        noise_section(facts, words),
        water_section(facts, words),
        alerts_section(facts, words, links),
        devices_section(facts, words),
        rules_section(facts, words),
        provenance_section(facts, words, links),
    )
    return Report(
        kind="quarter", language=language, title=f"{name} · {words.t(f'kind.quarter.{period.kind}')}"
        if language == "en" else f"{name}{words.t(f'kind.quarter.{period.kind}')}",
        subtitle=words.period(period), subject=name, file_name=f"quietwater-{site.name}-{period.name}-{language}",
        zone=site.timezone, generated_at=made_at, version=version,
        indicative=words.t("indicative") if facts.indicative else "", head=_head(facts, words, made_at, version),
        sections=sections, sheets=sheets(words, _SHEETS),
    )  # fmt: skip


def _head(facts: QuarterFacts, words: Words, made_at: datetime, version: str) -> tuple[tuple[str, str], ...]:
    site, period = facts.site, facts.period
    zone = words.t("head.zone_class", zone=site.zone_class)
    return (
        (words.t("head.quarter"), f"{words.label(site.label_zh, site.label_en)} ({site.name})"),
        (words.t("head.period"), words.t("head.dates", first=iso(period.first), last=iso(period.last))),
        (words.t("head.zone"), zone + (f", {site.district}" if site.district else "")),
        (words.t("head.day_night"), words.t("head.hours", day=site.day_starts_h, night=site.night_starts_h)),
        (words.t("head.data_until"), f"{local(facts.data_until, site.timezone)} ({site.timezone})"),
        (words.t("head.generated"), f"{local(made_at, site.timezone)} ({site.timezone})"),
        (words.t("head.version"), f"Quietwater {version}"),
    )


def _summary(facts: QuarterFacts, words: Words) -> Section:
    blocks: list[Block] = []
    if facts.indicative:
        blocks.append(Paragraph(text=words.t("indicative"), warning=True))
    if facts.data_until < facts.clock.night_bounds(facts.period.last)[1]:
        until = local(facts.data_until, facts.site.timezone)
        blocks.append(Paragraph(text=words.t("still_running", until=until), warning=True))
    blocks.append(Tiles(items=tuple(_tiles(facts, words))))
    blocks += [Paragraph(text=text) for text in _sentences(facts, words)]
    if facts.sources:
        blocks.append(points_table(facts, words))
        further = further_table(facts, words)
        blocks += [further] if further else []
    return Section(key="summary", title=words.t("section.summary"), blocks=tuple(blocks))


def _tiles(facts: QuarterFacts, words: Words) -> Iterator[Tile]:
    found = rates([facts])
    for period in PERIODS:
        rate = found.get(("all", period))
        if rate is None:
            yield Tile(label=words.t(f"tile.{period}_rate"), value=None, format="share", mark="weak")
            continue
        more = words.t("tile.of", passed=rate.passed, measured=rate.measured)
        share = None if rate.percent is None else rate.percent / 100.0
        mark = "good" if rate.passed == rate.measured else "bad"
        yield Tile(label=words.t(f"tile.{period}_rate"), value=share, format="share", more=more, mark=mark)
    yield Tile(
        label=words.t("tile.valid"), value=valid_share(facts.sources), format="share", more=words.t("tile.valid_more")
    )  # fmt: skip
    yield from _water_tiles(facts, words)
    count_open = sum(one.state != "resolved" for one in facts.alerts)
    yield Tile(
        label=words.t("tile.alerts"), value=len(facts.alerts), format="count",
        more=words.t("tile.alerts_more", open=count_open), mark="bad" if count_open else "",
    )  # fmt: skip


def _water_tiles(facts: QuarterFacts, words: Words) -> Iterator[Tile]:
    water = facts.water
    if water is None:
        return
    verdict = water.per_head.verdict
    known = water.per_head.quota is not None
    quota = words.t("tile.quota", quota=quota_words(water, words)) if known else words.t("quota.unknown")
    yield Tile(
        label=words.t("tile.water"), value=water.per_head.litres_per_person_day, format="number", unit="L",
        more=quota,
        mark="bad" if verdict == "above" else "good" if verdict == "within" else "weak",
    )  # fmt: skip
    balance = water.loss.balance
    if balance is not None:
        yield Tile(
            label=words.t("tile.loss"), value=balance.lost_share, format="share",
            more=words.t("tile.loss_more", days=water.loss.dates, unknown=len(water.loss.unknown)),
            mark="bad" if balance.grade in ("alarm", "warn") else "",
        )  # fmt: skip


def _sentences(facts: QuarterFacts, words: Words) -> Iterator[str]:
    for source in facts.sources:
        for period in PERIODS:
            found = count(source.days, period)
            yield _verdict_sentence(name_of(source, words), found, period, words)
            if facts.period.kind == "month" and 0 < found.rate.measured < _month_days():
                yield words.t(
                    "say.few_days", name=name_of(source, words), period=words.t(f"{period}s"),
                    measured=found.rate.measured, least=_month_days(),
                )  # fmt: skip
    most = worst(facts.sources)
    if most is not None:
        yield words.t(
            "say.worst", device=name_of(most.source, words), date=iso(most.date), period=words.t(most.period),
            level=level(most.level_db), over=level(most.over_db),
        )  # fmt: skip
    if facts.water is not None:
        yield use_words(facts.water, words)
        yield from loss_words(facts.water, words)
    still = sum(one.state != "resolved" for one in facts.alerts)
    yield words.t("say.alerts", count=len(facts.alerts), open=still)


def _month_days() -> int:
    """Return how many complete days a figure of a month needs (the preset ``validity.month_days``)."""
    return round(standards().number("validity.month_days"))


def _verdict_sentence(name: str, found: Count, period: PeriodName, words: Words) -> str:
    plural = words.t(f"{period}s")
    if found.rate.percent is None:
        return words.t("say.nothing", name=name, period=plural, incomplete=found.incomplete)
    return words.t(
        "say.period", name=name, period=plural, measured=found.rate.measured, passed=found.passed,
        percent=found.rate.percent, incomplete=found.incomplete,
    )  # fmt: skip


def sheets(words: Words, keys: Sequence[str]) -> tuple[Sheet, ...]:
    """Return the sheets of a workbook."""
    return tuple(Sheet(key=key, title=words.t(f"sheet.{key}")) for key in keys)
