"""The chapter on water, and its sheets: days and meters. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import date

from analysis.report.facts import MeterFacts, QuarterFacts, QuarterWaterDay, WaterFacts
from analysis.report.model import BarsChart, Block, Paragraph, Section, Table
from analysis.report.noise_part import Spec, table
from analysis.report.words import Words, iso, number, percent
from analysis.standard_rows import Tier

_LEAK_KINDS = ("water_continuous", "water_leak", "water_quarter_loss")


def water_section(facts: QuarterFacts, words: Words) -> Section:
    """Return the chapter: days, use per person against the quota, balance, plan, tiers, meters."""
    water = facts.water
    blocks: list[Block] = (
        [Paragraph(text=words.t("water.none"))] if water is None else list(_blocks(facts, water, words))
    )
    return Section(
        key="water", title=words.t("section.water"), blocks=tuple(blocks), break_before=water is not None
    )


def quota_words(water: WaterFacts, words: Words) -> str:
    """Return the quota as it is compared with, such as ``120–180 L``."""
    row = water.per_head.quota
    if row is None:
        return words.t("quota.unknown")
    lowest = f"{number(row.lowest_lpd)}–" if row.lowest_lpd is not None else ""
    return f"{lowest}{number(row.highest_lpd)} L"


def use_words(water: WaterFacts, words: Words) -> str:
    """Return the use per person and day with its verdict, in a sentence."""
    use = water.per_head.litres_per_person_day
    if not water.known_days:
        return words.t("water.no_readings")
    if use is None:
        litres = sum(one.volume_l or 0.0 for one in _counted(water))
        return words.t("say.water_no_persons", volume=number(litres / 1000.0, 1), days=water.known_days)
    verdict = words.t(f"quota.{water.per_head.verdict}")
    if water.per_head.quota is not None:
        verdict += f" ({quota_words(water, words)}, {water.per_head.quota.standard}, {water.per_head.quota.verified})"
    return words.t("say.water", use=number(use, 1), days=water.known_days, verdict=verdict)


def loss_words(water: WaterFacts, words: Words) -> Iterator[str]:
    """Give the share that is not found at the sub-meters, in a sentence; nothing without a balance."""
    loss = water.loss
    if loss.balance is not None:
        share = percent(loss.balance.lost_share)
        yield words.t("say.balance", share=share, days=loss.dates, unknown=len(loss.unknown))


def _counted(water: WaterFacts) -> list[MeterFacts]:
    role = "master" if water.measured_by == "master" else "household"
    return [one for one in water.meters if one.role == role]


def _blocks(facts: QuarterFacts, water: WaterFacts, words: Words) -> Iterator[Block]:
    if not water.known_days and all(one.volume_l is None for one in water.meters):
        yield Paragraph(text=words.t("water.no_readings"))
        return
    yield Paragraph(text=words.t("water.measured_by", by=words.t(f"by.{water.measured_by}")))
    yield Paragraph(text=use_words(water, words))
    for sentence in loss_words(water, words):
        yield Paragraph(text=sentence)
    leaks = sum(one.kind in _LEAK_KINDS for one in facts.alerts)
    if leaks:
        yield Paragraph(text=words.t("water.leaks", count=leaks))
    yield _chart(facts, water, words)
    yield from _plan(water, words)
    yield from _tiers(water, words)
    yield _meters_table(water, words)
    yield _days_table(facts, water, words)


def _chart(facts: QuarterFacts, water: WaterFacts, words: Words) -> BarsChart:
    line = None
    quota = water.per_head.quota
    if facts.period.kind == "month":
        if quota is not None and water.persons:
            line = quota.highest_lpd * water.persons / 1000.0
        return BarsChart(
            title=words.t("chart.water"), unit="m³", labels=tuple(str(day.date.day) for day in water.days),
            values=tuple(_m3(_volume(water, day)) for day in water.days), line=line,
            line_label=words.t("chart.quota_line") if line else "",
        )  # fmt: skip
    months: dict[date, list[float]] = {}
    for day in water.days:
        volume = _volume(water, day)
        months.setdefault(day.date.replace(day=1), []).extend([] if volume is None else [volume])
    return BarsChart(
        title=words.t("chart.water_months"), unit="m³", labels=words.months(),
        values=tuple(_m3(sum(volumes)) if volumes else None for volumes in months.values()),
    )  # fmt: skip


def _volume(water: WaterFacts, day: QuarterWaterDay) -> float | None:
    return day.master_l if water.measured_by == "master" else day.subs_l


def _m3(litres: float | None) -> float | None:
    return None if litres is None else litres / 1000.0


def _plan(water: WaterFacts, words: Words) -> Iterator[Block]:
    year = water.year
    if year.plan_m3 is None or year.over_plan is None:
        yield Paragraph(text=words.t("water.no_plan", year=water.year_until.year))
    else:
        yield Paragraph(
            text=words.t(
                "water.plan", year=water.year_until.year, plan=number(year.plan_m3), until=iso(water.year_until),
                used=number(year.used_m3, 1), known=percent(year.known_share),
                surcharge=f"{year.over_plan.surcharge} {water.tariff.currency}",
            )
        )  # fmt: skip
    if year.forecast is not None and water.year_until != year.year.last:
        found = year.forecast
        yield Paragraph(
            text=words.t(
                "water.forecast", likely=number(found.likely_m3), low=number(found.low_m3), high=number(found.high_m3)
            )
        )  # fmt: skip


def _tiers(water: WaterFacts, words: Words) -> Iterator[Block]:
    if not any(one.households for one in water.tiers):
        return
    prices: Sequence[Tier] = water.tariff.tiers
    spec: Spec = [
        ("tier", "count", 8, lambda one: one.tier),
        ("price", "money", 10, lambda one: prices[one.tier - 1].price),
        ("households", "count", 10, lambda one: one.households),
        ("volume", "m3", 12, lambda one: one.volume_m3),
        ("amount", "money", 12, lambda one: one.amount),
    ]
    title = words.t("table.tiers", first=iso(water.tariff_first), until=iso(water.year_until))
    note = words.t(
        "water.tariff", label=words.label(water.tariff.label_zh, water.tariff.label_en),
        standard=water.tariff.standard, mark=water.tariff.verified,
    )  # fmt: skip
    yield table("summary", title, spec, water.tiers, words, note=note)


def _meters_table(water: WaterFacts, words: Words) -> Table:
    spec: Spec = [
        ("meter", "text", 18, lambda one: words.label(one.label_zh, one.label_en)),
        ("id", "text", 14, lambda one: one.name),
        ("role", "text", 10, lambda one: words.named("role", one.role)),
        ("persons", "count", 8, lambda one: one.persons),
        ("volume", "m3", 12, lambda one: _m3(one.volume_l)),
        ("known_days", "count", 9, lambda one: one.known_days),
        (
            "per_day",
            "litres",
            10,
            lambda one: one.volume_l / one.known_days if one.volume_l is not None else None,
        ),
    ]
    order = {"master": 0, "public": 1}
    meters = sorted(water.meters, key=lambda one: (order.get(one.role, 2), one.name))
    return table("meters", words.t("table.meters"), spec, meters, words, most_printed=40)


def _days_table(facts: QuarterFacts, water: WaterFacts, words: Words) -> Table:
    persons = water.persons

    def head(day: QuarterWaterDay) -> float | None:
        volume = _volume(water, day)
        return volume / persons if persons and volume is not None else None

    def difference(day: QuarterWaterDay) -> float | None:
        whole = day.master_share >= 1.0 and day.subs_share >= 1.0
        return (
            day.master_l - day.subs_l
            if whole and day.master_l is not None and day.subs_l is not None
            else None
        )

    spec: Spec = [
        ("date", "date", 11, lambda day: iso(day.date)),
        ("master", "litres", 12, lambda day: day.master_l),
        ("known", "share", 9, lambda day: day.master_share),
        ("subs", "litres", 12, lambda day: day.subs_l),
        ("known", "share", 9, lambda day: day.subs_share),
        ("difference", "litres", 12, difference),
        ("per_head", "number", 10, head),
    ]
    printed = 40 if facts.period.kind == "month" else 0
    return table("water", words.t("table.water_days"), spec, water.days, words, most_printed=printed)
