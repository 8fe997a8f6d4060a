"""A quarter's dossier for an application, as it is now or as it was frozen, as a report. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from analysis.dossier.text import Text
from analysis.dossier.tree import Dossier, IndicatorLine, SurveyLine
from analysis.report.links import Links
from analysis.report.model import (
    Block,
    Column,
    Language,
    Mark,
    Paragraph,
    Report,
    Section,
    Sheet,
    Table,
    Tile,
    Tiles,
)
from analysis.report.noise_part import Spec, table
from analysis.report.quarter import sheets
from analysis.report.words import Words, iso, local

_MARKS: Final[dict[str, Mark]] = {
    "met": "good", "not_met": "bad", "incomplete": "weak", "missing": "weak", "not_applicable": "",
}  # fmt: skip
_SHEETS: Final = ("summary", "indicators", "gaps", "surveys", "attachments", "origins", "provenance")


@dataclass(frozen=True, slots=True)
class Version:
    """Which frozen version a dossier is. ``sha256`` covers the version before it as well."""

    number: int
    frozen_at: datetime
    frozen_by: str
    sha256: str


def build_dossier(
    dossier: Dossier, language: Language, *, zone: str, made_at: datetime, version: str,
    frozen: Version | None = None, links: Links | None = None,
) -> Report:  # fmt: skip
    """Return the report. ``zone`` is the site's time zone; ``frozen`` says which version it is, ``None`` for now."""
    words, links = Words(language), links or Links()
    made = _Chapters(dossier, words, links)
    name = made.say(dossier.site_label)
    number = f"-v{frozen.number}" if frozen else ""
    return Report(
        kind="dossier", language=language,
        title=f"{name}{' · ' if language == 'en' else ''}{words.t('kind.dossier')}", subtitle=made.say(dossier.title),
        subject=name, file_name=f"quietwater-{dossier.site}-{dossier.programme}{number}-{language}", zone=zone,
        generated_at=made_at, version=version, indicative=words.t("indicative") if dossier.indicative else "",
        head=tuple(_head(dossier, words, zone, made_at, version, frozen)),
        sections=(
            made.summary(), made.indicators(), made.registers(), made.surveys(), made.attachments(), made.origins(),
            made.evidence(),
        ),
        sheets=(*sheets(words, _SHEETS), *_register_sheets(dossier, made.say)),
    )  # fmt: skip


def _head(
    dossier: Dossier, words: Words, zone: str, made_at: datetime, version: str, frozen: Version | None
) -> Iterator[tuple[str, str]]:
    label = words.label(dossier.site_label.zh, dossier.site_label.en)
    yield words.t("head.quarter"), f"{label} ({dossier.site})"
    yield words.t("head.period"), words.t("head.dates", first=iso(dossier.first), last=iso(dossier.last))
    place = words.t("head.zone_class", zone=dossier.zone_class)
    yield words.t("head.zone"), place + (f", {dossier.district}" if dossier.district else "")
    yield words.t("head.data_until"), f"{local(dossier.made_at, zone)} ({zone})"
    yield words.t("head.generated"), f"{local(made_at, zone)} ({zone})"
    yield words.t("head.version"), f"Quietwater {version}"
    if frozen is not None:
        told = words.t(
            "dossier.frozen", number=frozen.number, at=local(frozen.frozen_at, zone), by=frozen.frozen_by
        )
        yield words.t("head.dossier_version"), told
        yield "SHA-256", frozen.sha256
    else:
        yield words.t("head.dossier_version"), words.t("dossier.not_frozen")


@dataclass(frozen=True, slots=True)
class _Chapters:
    dossier: Dossier
    words: Words
    links: Links

    def say(self, text: Text | None) -> str:
        return "" if text is None else self.words.label(text.zh, text.en)

    def summary(self) -> Section:
        one, words = self.dossier, self.words
        blocks: list[Block] = [Paragraph(text=words.t("indicative"), warning=True)] if one.indicative else []
        blocks.append(Tiles(items=tuple(self._tiles())))
        key = "dossier.passed" if one.passed else "dossier.not_passed"
        blocks.append(Paragraph(text=words.t(key, score=f"{one.score:.1f}", least=f"{one.pass_score:.1f}")))
        if one.note.zh:
            blocks.append(Paragraph(text=self.say(one.note)))
        if one.gaps:
            blocks.append(self._gaps())
        return Section(key="summary", title=words.t("section.dossier"), blocks=tuple(blocks))

    def _tiles(self) -> Iterator[Tile]:
        one, words = self.dossier, self.words
        yield Tile(
            label=words.t("tile.score"), value=one.score, format="number", mark="good" if one.passed else "bad",
            more=words.t("tile.score_more", least=f"{one.pass_score:.1f}"),
        )  # fmt: skip
        counted = [line.outcome for line in one.indicators]
        for outcome in ("met", "not_met", "incomplete", "missing"):
            yield Tile(
                label=words.t(f"outcome.{outcome}"), value=counted.count(outcome), format="count",
                mark=_MARKS[outcome] if counted.count(outcome) else "",
            )  # fmt: skip

    def _gaps(self) -> Table:
        spec: Spec = [
            ("what", "text", 28, lambda gap: self.say(gap.label)),
            ("required", "text", 8, lambda gap: self.words.t("yes" if gap.required else "no")),
            ("points", "number", 7, lambda gap: gap.points),
            ("reason", "text", 30, lambda gap: self.say(gap.reason_text)),
            ("closing", "text", 44, lambda gap: self.say(gap.closing)),
        ]
        return table("gaps", self.words.t("table.gaps"), spec, self.dossier.gaps, self.words)

    def indicators(self) -> Section:
        words = self.words
        spec: Spec = [
            ("group", "text", 10, lambda line: words.named("group", line.group)),
            ("what", "text", 30, lambda line: self.say(line.label)),
            ("required", "text", 7, lambda line: words.t("yes" if line.required else "no")),
            ("value_shown", "text", 16, lambda line: self.say(line.value_text)),
            ("value_full", "number", 12, lambda line: line.value),
            ("threshold", "text", 16, lambda line: self.say(line.threshold_text)),
            ("outcome", "text", 11, lambda line: words.named("outcome", line.outcome)),
            ("gained", "number", 7, lambda line: line.gained),
            ("points", "number", 7, lambda line: line.points),
            ("completeness", "share", 9, lambda line: line.completeness),
            ("by", "text", 9, lambda line: words.t("measured" if line.measured else "entered")),
            ("mark", "text", 6, lambda line: line.origin.verified),
            ("reason", "text", 30, lambda line: self.say(line.reason_text)),
            ("note", "text", 24, self._note),
        ]
        marks: list[Mark] = [_MARKS[line.outcome] for line in self.dossier.indicators]
        found = table(
            "indicators", words.t("table.indicators"), spec, self.dossier.indicators, words, marks,
            unprinted=("value_full", "group", "reason", "note"),
        )  # fmt: skip
        return Section(
            key="indicators", title=words.t("section.indicators"), blocks=(found,), break_before=True
        )

    def _note(self, line: IndicatorLine) -> str:
        marked = self.words.t("indicative.short") if line.indicative else ""
        return "; ".join(part for part in (marked, self.say(line.note)) if part)

    def registers(self) -> Section:
        words = self.words
        profile = Table(
            sheet="", title=words.t("table.profile"),
            columns=(Column(title=words.t("col.what"), width=20), Column(title=words.t("col.value"), width=40)),
            rows=tuple((self.say(label), self.say(value)) for label, value in self.dossier.profile),
        )  # fmt: skip
        blocks: list[Block] = [profile]
        for register in self.dossier.registers:
            if not register.rows:
                blocks.append(Paragraph(text=words.t("register.empty", title=self.say(register.title))))
            blocks.append(
                Table(
                    sheet=f"register_{register.kind}", title=self.say(register.title),
                    columns=tuple(Column(title=self.say(one), width=16) for one in register.columns),
                    rows=tuple(tuple(self.say(cell) for cell in row.cells) for row in register.rows),
                )
            )  # fmt: skip
        return Section(key="registers", title=words.t("section.registers"), blocks=tuple(blocks))

    def surveys(self) -> Section:
        words = self.words
        blocks: list[Block] = []
        if not self.dossier.surveys:
            blocks.append(Paragraph(text=words.t("survey.none")))
        blocks += [Paragraph(text=self._survey_words(one)) for one in self.dossier.surveys]
        spec: Spec = [
            ("survey", "text", 24, lambda one: self.say(one[0].title)),
            ("question", "text", 40, lambda one: words.label(one[1].question.zh, one[1].question.en)),
            ("satisfied", "share", 9, lambda one: one[1].satisfied_share),
            ("mean", "number", 8, lambda one: one[1].mean),
            *((f"answer_{n}", "count", 7, _answers(n)) for n in (1, 2, 3, 4, 5, 0)),
        ]
        rows = [(survey, result) for survey in self.dossier.surveys for result in survey.result.questions]
        blocks.append(table("surveys", words.t("table.surveys"), spec, rows, words))
        return Section(key="surveys", title=words.t("section.surveys"), blocks=tuple(blocks))

    def _survey_words(self, survey: SurveyLine) -> str:
        result = survey.result
        if result.satisfied_share is None or result.low is None or result.high is None:
            return self.words.t("survey.nothing", title=self.say(survey.title), answers=result.answers)
        shares = {
            key: f"{100 * value:.1f}"
            for key, value in (
                ("share", result.satisfied_share),
                ("low", result.low),
                ("high", result.high),
            )
        }
        return self.words.t(
            "survey.words", title=self.say(survey.title), answers=result.answers, valid=result.valid, **shares
        )

    def attachments(self) -> Section:
        words = self.words
        spec: Spec = [
            ("number", "count", 7, lambda file: file.id),
            ("file", "text", 34, lambda file: file.name),
            (
                "belongs",
                "text",
                20,
                lambda file: file.indicator or (f"#{file.entry}" if file.entry else None),
            ),
            ("type", "text", 16, lambda file: file.media_type),
            ("bytes", "count", 10, lambda file: file.size_bytes),
            ("sha256", "text", 40, lambda file: file.sha256),
        ]
        files = self.dossier.attachments
        blocks: list[Block] = [] if files else [Paragraph(text=words.t("attachments.none"))]
        blocks.append(
            table("attachments", words.t("table.attachments"), spec, files, words, unprinted=("type",))
        )
        return Section(key="attachments", title=words.t("section.attachments"), blocks=tuple(blocks))

    def origins(self) -> Section:
        words = self.words
        spec: Spec = [
            ("what", "text", 28, lambda line: self.say(line.label)),
            ("threshold", "text", 16, lambda line: self.say(line.threshold_text)),
            ("standard", "text", 22, lambda line: line.origin.standard),
            ("edition", "text", 9, lambda line: line.origin.edition),
            ("clause", "text", 16, lambda line: line.origin.clause),
            ("mark", "text", 6, lambda line: line.origin.verified),
            ("local_rule", "text", 8, lambda line: words.t("yes" if line.origin.changed else "no")),
            ("origin", "text", 40, lambda line: line.origin.source),
        ]
        weak: list[Mark] = [
            "weak" if line.origin.verified == "K" or line.origin.project_default else ""
            for line in self.dossier.indicators
        ]
        found = table(
            "origins", words.t("table.origins"), spec, self.dossier.indicators, words, weak, unprinted=("origin",)
        )  # fmt: skip
        return Section(
            key="origins",
            title=words.t("section.origins"),
            blocks=(Paragraph(text=words.t("rules.lead")), found),
        )

    def evidence(self) -> Section:
        words = self.words
        rows = [(line, proof) for line in self.dossier.indicators for proof in line.evidence]
        spec: Spec = [
            ("what", "text", 28, lambda one: self.say(one[0].label)),
            ("value_shown", "text", 14, lambda one: self.say(one[0].value_text)),
            ("from", "date", 12, lambda one: iso(one[0].first) if one[0].first else None),
            ("to", "date", 12, lambda one: iso(one[0].last) if one[0].last else None),
            ("counted_days", "count", 8, lambda one: one[0].counted),
            ("proof", "text", 30, lambda one: self.say(one[1].label)),
            ("figure_link", "link", 8, lambda one: self._absolute(one[1].api)),
            ("page_link", "link", 8, lambda one: self._absolute(one[1].page)),
        ]
        return Section(
            key="provenance", title=words.t("section.evidence"),
            blocks=(
                Paragraph(text=words.t("evidence.lead")),
                table("provenance", words.t("table.evidence"), spec, rows, words),
            ),
        )  # fmt: skip

    def _absolute(self, address: str) -> str:
        return f"{self.links.base_url}{'' if address.startswith('/') else '/'}{address}"


def _answers(number: int) -> Callable[..., int]:
    return lambda one: one[1].counts[number]


def _register_sheets(dossier: Dossier, say: Callable[[Text], str]) -> Sequence[Sheet]:
    return [Sheet(key=f"register_{one.kind}", title=say(one.title)[:31]) for one in dossier.registers]
