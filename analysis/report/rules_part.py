"""The chapters on alerts, on instruments with their calibration, and on the rules and presets used. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from typing import Any

from analysis.report.facts import AlertFacts, InstrumentFacts, QuarterFacts
from analysis.report.links import Links
from analysis.report.model import Block, Cell, Mark, Paragraph, Section, Table
from analysis.report.noise_part import Spec, table
from analysis.report.words import NONE, Words, iso, local, params_text
from analysis.standard_rows import LimitRow, NumberRow, QuotaRow, Row, SurchargeRow, TariffRow

_MINUTE = timedelta(minutes=1)
_PRINTED_ALERTS = 60


def alerts_section(facts: QuarterFacts, words: Words, links: Links) -> Section:
    """Return the chapter on alerts: each with its length, its worst value, and who took it up when."""
    blocks: list[Block] = [Paragraph(text=words.t("alerts.lead"))]
    if not facts.alerts:
        blocks.append(Paragraph(text=words.t("alerts.none")))
    if facts.alerts_left_out:
        blocks.append(Paragraph(text=words.t("alerts.left_out", count=len(facts.alerts)), warning=True))
    blocks.append(_alerts_table(facts, words, links))
    return Section(key="alerts", title=words.t("section.alerts"), blocks=tuple(blocks))


def _alerts_table(facts: QuarterFacts, words: Words, links: Links) -> Table:
    zone = facts.site.timezone
    spec: Spec = [
        ("number", "count", 7, lambda one: one.id),
        ("kind", "text", 20, lambda one: words.alert_kind(one.kind)),
        ("source", "text", 16, lambda one: words.label(one.source_zh, one.source_en)),
        ("severity", "text", 9, lambda one: words.named("severity", one.severity)),
        ("since", "text", 16, lambda one: local(one.since, zone)),
        ("until", "text", 16, lambda one: local(one.until, zone)),
        ("minutes", "number", 9, lambda one: (one.until - one.since) / _MINUTE if one.until else None),
        ("peak", "number", 9, lambda one: one.peak),
        ("limit", "number", 9, lambda one: one.limit),
        ("state", "text", 9, lambda one: words.named("state", one.state)),
        ("taken_by", "text", 12, lambda one: one.acknowledged_by),
        ("taken_after", "number", 9, _taken_after),
        ("link", "link", 30, lambda one: links.alert(one.id)),
    ]
    marks: list[Mark] = ["" if one.state == "resolved" else "bad" for one in facts.alerts]
    return table(
        "alerts", words.t("table.alerts"), spec, facts.alerts, words, marks, unprinted=("severity", "link"),
        most_printed=_PRINTED_ALERTS if facts.alerts else 0,
    )  # fmt: skip


def _taken_after(one: AlertFacts) -> Cell:
    return (one.acknowledged_at - one.since) / _MINUTE if one.acknowledged_at else None


def devices_section(facts: QuarterFacts, words: Words) -> Section:
    """Return the chapter on instruments: kind of instrument, calibration and its age, what happened to them."""
    instruments = [*(one.device for one in facts.sources), *facts.others]
    end = facts.clock.midnight(facts.period.last + timedelta(days=1))

    def age(one: InstrumentFacts) -> Cell:
        return None if one.calibration is None else (min(end, facts.data_until) - one.calibration.t).days

    def drift(one: InstrumentFacts) -> Cell:
        return None if one.calibration is None else one.calibration.drift_db

    spec: Spec = [
        ("device", "text", 18, lambda one: words.label(one.label_zh, one.label_en)),
        ("id", "text", 14, lambda one: one.name),
        ("kind", "text", 12, lambda one: words.named("device", one.kind)),
        ("type", "text", 16, lambda one: _approved(one, words)),
        ("version", "text", 10, lambda one: one.version or NONE),
        ("calibrated", "text", 18, lambda one: _calibrated(one, facts, words)),
        ("calibration_age", "count", 9, age),
        ("drift", "number", 9, drift),
        ("calibrator", "text", 14, lambda one: one.calibration.calibrator if one.calibration else None),
        ("events", "text", 30, _events),
    ]
    marks: list[Mark] = [
        "weak" if one.kind != "gateway" and one.calibration is None else "" for one in instruments
    ]
    return Section(
        key="devices", title=words.t("section.devices"),
        blocks=(
            Paragraph(text=words.t("devices.lead")),
            table("devices", words.t("table.devices"), spec, instruments, words, marks),
        ),
    )  # fmt: skip


def _approved(one: InstrumentFacts, words: Words) -> str:
    if one.kind == "gateway":
        return NONE
    return words.t("type_approved" if one.type_approved else "devices.not_approved")


def _calibrated(one: InstrumentFacts, facts: QuarterFacts, words: Words) -> str:
    if one.kind == "gateway":
        return NONE
    if one.calibration is None:
        return words.t("devices.never")
    return local(one.calibration.t, facts.site.timezone) or NONE


def _events(one: InstrumentFacts) -> str:
    return ", ".join(f"{kind} {count}" for kind, count in sorted(one.events.items()) if count) or NONE


def rules_section(facts: QuarterFacts, words: Words) -> Section:
    """Return the chapter on what was judged by: presets with their marks, rules with their parameters."""
    rules: Spec = [
        ("kind", "text", 24, lambda one: words.alert_kind(one.kind)),
        ("id", "text", 20, lambda one: one.kind),
        ("enabled", "text", 6, lambda one: words.t("yes" if one.enabled else "no")),
        ("rule_version", "count", 8, lambda one: one.version),
        ("changes", "count", 8, lambda one: one.changes),
        ("params", "text", 60, lambda one: params_text(one.params)),
    ]
    return Section(
        key="rules", title=words.t("section.rules"),
        blocks=(
            Paragraph(text=words.t("rules.lead")),
            presets_table(facts.presets, words),
            Paragraph(text=words.t("rules.settings")),
            table("rules", words.t("table.rules"), rules, facts.rules, words, unprinted=("id",)),
        ),
    )  # fmt: skip


def presets_table(presets: Sequence[Row], words: Words) -> Table:
    """Return rows of presets with value, clause, edition, mark and source; numbers of the project's own stand out."""
    spec: Spec = [
        ("id", "text", 24, lambda row: row.id),
        ("what", "text", 36, lambda row: words.label(row.label_zh, row.label_en)),
        ("value", "text", 18, preset_value),
        ("standard", "text", 18, lambda row: row.standard),
        ("edition", "text", 9, lambda row: row.edition),
        ("clause", "text", 16, lambda row: row.clause),
        ("mark", "text", 6, lambda row: row.verified),
        ("origin", "text", 44, lambda row: row.source),
    ]
    marks: list[Mark] = ["weak" if row.verified == "K" or row.project_default else "" for row in presets]
    return table("presets", words.t("table.presets"), spec, presets, words, marks, unprinted=("id", "origin"))


def preset_value(row: Any) -> str:
    """Return a preset's value with its comparator and unit."""
    match row:
        case LimitRow():
            return f"{row.comparator.replace('<=', '≤').replace('>=', '≥')} {row.value:g} {row.unit}"
        case NumberRow():
            return f"{row.value:g} {row.unit}"
        case QuotaRow():
            lowest = f"{row.lowest_lpd:g}–" if row.lowest_lpd is not None else "≤ "
            return f"{lowest}{row.highest_lpd:g} L"
        case TariffRow():
            return " / ".join(f"{tier.price:g}" for tier in row.tiers) + f" {row.currency}/m³"
        case SurchargeRow():
            return " / ".join(f"{100 * step.rate:g} %" for step in row.steps)
    return ""


def left_out_words(facts: QuarterFacts, words: Words) -> str:
    """Return the times that were left out by hand or for the weather, by date and reason; empty without any."""
    found: dict[tuple[str, str], int] = {}
    for span in facts.left_out:
        key = (iso(facts.clock.local(span.start).date()), words.named("reason", span.reason))
        found[key] = found.get(key, 0) + 1
    return "; ".join(f"{day} {reason} ×{count}" for (day, reason), count in list(found.items())[:60])
