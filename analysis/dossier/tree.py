"""The dossier as one tree of plain values: what a page, a report and a frozen version show. Pure.

Everything is a dataclass of texts in both languages, numbers, dates and lists, so that ``msgspec`` writes it as JSON
and reads it back. A reader needs no other source: each line carries value, unit, threshold, period, completeness,
origin with its mark, and where the evidence is.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Literal

from analysis.dossier.assess import Assessment, Judged, Outcome, Reason
from analysis.dossier.facts import Evidence
from analysis.dossier.registers import Register
from analysis.dossier.standard import Group, Programme, Standard, Topic
from analysis.dossier.survey import SurveyResult
from analysis.dossier.text import Text, same, shown

SCHEMA = 1


@dataclass(frozen=True, slots=True)
class Origin:
    """Where a threshold comes from. ``verified``: V checked against ``source``, C computed, K from knowledge.

    ``project_default`` says that it is this project's own and no standard's; ``changed`` that a local rule of the site
    took its place.
    """

    standard: str
    edition: str
    clause: str
    source: str
    verified: str
    project_default: bool
    changed: bool


@dataclass(frozen=True, slots=True)
class IndicatorLine:
    """One indicator with its outcome.

    ``value`` has full precision and ``value_text`` is what people read. ``completeness`` is the share (0 to 1) of the
    period that the value covers, ``counted`` the days or answers in it. ``missing`` is by how much the threshold is
    missed. ``closing`` says what would close the gap.
    """

    id: str
    group: Group
    label: Text
    what: Text
    measured: bool
    required: bool
    outcome: Outcome
    reason: Reason
    reason_text: Text
    value: float | None
    value_text: Text
    unit: str
    comparator: str
    threshold: float | None
    threshold_text: Text
    missing: float | None
    points: float
    gained: float
    first: date | None
    last: date | None
    completeness: float | None
    completeness_text: Text
    counted: int | None
    indicative: bool
    note: Text | None
    evidence: tuple[Evidence, ...]
    attachments: tuple[int, ...]
    origin: Origin
    closing: Text | None


@dataclass(frozen=True, slots=True)
class GapLine:
    """What is open, the most important first."""

    indicator: str
    label: Text
    required: bool
    points: float
    reason_text: Text
    closing: Text


@dataclass(frozen=True, slots=True)
class SurveyLine:
    """A survey with its result. ``state`` is of the moment at which the dossier was made."""

    id: int
    title: Text
    opened_at: datetime
    closes_at: datetime
    state: Literal["open", "closed"]
    result: SurveyResult


@dataclass(frozen=True, slots=True)
class AttachmentLine:
    """A file; ``indicator`` or ``entry`` is what it belongs to."""

    id: int
    name: str
    media_type: str
    size_bytes: int
    sha256: str
    indicator: str | None
    entry: int | None


@dataclass(frozen=True, slots=True)
class Dossier:
    """The dossier of a quarter for a programme over a period (dates of the site, both included)."""

    schema: int
    programme: Programme
    topic: Topic
    title: Text
    note: Text
    site: str
    site_label: Text
    district: str
    zone_class: str
    first: date
    last: date
    made_at: datetime
    score: float
    pass_score: float
    gained: float
    possible: float
    passed: bool
    indicative: bool
    indicators: tuple[IndicatorLine, ...]
    gaps: tuple[GapLine, ...]
    profile: tuple[tuple[Text, Text], ...]
    registers: tuple[Register, ...]
    surveys: tuple[SurveyLine, ...]
    attachments: tuple[AttachmentLine, ...]


@dataclass(frozen=True, slots=True)
class Place:
    """The quarter as the dossier names it."""

    site: str
    label: Text
    district: str
    zone_class: str


@dataclass(frozen=True, slots=True)
class Contents:
    """What is shown beside the indicators."""

    profile: tuple[tuple[Text, Text], ...] = ()
    registers: tuple[Register, ...] = ()
    surveys: tuple[SurveyLine, ...] = ()
    attachments: tuple[AttachmentLine, ...] = ()


def dossier(
    place: Place, assessment: Assessment, contents: Contents, first: date, last: date, made_at: datetime
) -> Dossier:
    """Put the tree together."""
    standard: Standard = assessment.standard
    files: Mapping[str, Sequence[int]] = {
        one.id: [file.id for file in contents.attachments if file.indicator == one.id]
        for one in standard.indicators
    }
    lines = tuple(_line(one, files[one.indicator.id]) for one in assessment.judged)
    return Dossier(
        schema=SCHEMA, programme=standard.id, topic=standard.topic,
        title=Text(standard.title_zh, standard.title_en), note=Text(standard.note_zh, standard.note_en),
        site=place.site, site_label=place.label, district=place.district, zone_class=place.zone_class,
        first=first, last=last, made_at=made_at, score=assessment.score, pass_score=standard.pass_score,
        gained=assessment.gained, possible=assessment.possible, passed=assessment.passed,
        indicative=any(one.indicative for one in lines), indicators=lines,
        gaps=tuple(_gap(one) for one in assessment.gaps), profile=contents.profile, registers=contents.registers,
        surveys=contents.surveys, attachments=contents.attachments,
    )  # fmt: skip


def _line(one: Judged, attachments: Sequence[int]) -> IndicatorLine:
    indicator, fact = one.indicator, one.fact
    return IndicatorLine(
        id=indicator.id, group=indicator.group, label=Text(indicator.label_zh, indicator.label_en),
        what=Text(indicator.what_zh, indicator.what_en), measured=indicator.measured, required=indicator.required,
        outcome=one.outcome, reason=one.reason, reason_text=one.reason_text, value=fact.value,
        value_text=shown(fact.value, fact.unit), unit=fact.unit, comparator=indicator.comparator,
        threshold=one.threshold, threshold_text=one.threshold_text, missing=one.missing, points=indicator.points,
        gained=one.gained, first=fact.first, last=fact.last, completeness=fact.completeness,
        completeness_text=same("–") if fact.completeness is None else shown(fact.completeness, "share"),
        counted=fact.counted, indicative=fact.indicative, note=fact.note, evidence=fact.evidence,
        attachments=tuple(attachments), origin=_origin(one), closing=one.closing,
    )  # fmt: skip


def _origin(one: Judged) -> Origin:
    from_site, indicator = one.fact.threshold, one.indicator
    if indicator.from_site and from_site is not None:
        return Origin(
            from_site.standard, from_site.edition, from_site.clause, from_site.source, from_site.verified,
            project_default=False, changed=one.changed,
        )  # fmt: skip
    return Origin(
        indicator.standard, indicator.edition, indicator.clause, indicator.source, indicator.verified,
        indicator.project_default, one.changed,
    )  # fmt: skip


def _gap(one: Judged) -> GapLine:
    assert one.closing is not None
    indicator = one.indicator
    return GapLine(
        indicator.id, Text(indicator.label_zh, indicator.label_en), indicator.required, indicator.points,
        one.reason_text, one.closing,
    )  # fmt: skip
