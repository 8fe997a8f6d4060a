"""Dossiers: a quarter judged by a programme, and the versions that were frozen."""

from __future__ import annotations

from datetime import date, datetime
from typing import Annotated, Literal

import msgspec
from fastapi import APIRouter, Body, Path, Query, Request, Response
from pydantic import BaseModel, Field
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from analysis.dossier import gather, snapshot
from analysis.dossier.facts import Fact
from analysis.dossier.standard import Programme, Standard, Topic, shipped, standard_of
from analysis.dossier.tree import Dossier
from api import registry_reads as reads
from api.audit import record
from api.cache import caches_of
from api.context import ApiContext
from api.guard import Context, Who
from api.problems import ApiProblem, documented, not_found
from api.refusals import refusals
from api.schemas import Label, Out
from api.times import Day, FirstDay, LastDay, dates_of
from store.registry import dossier as kept
from store.registry.dossier_models import DossierVersion
from store.registry.models import Site

router = APIRouter(tags=["dossier"])

SiteInPath = Annotated[str, Path(max_length=32, description="Quarter.", examples=["quiet-garden"])]
ProgrammeInPath = Annotated[
    Programme, Path(description="What the quarter applies for.", examples=["quiet-2002"])
]
Number = Annotated[int, Path(ge=1, le=2**31 - 1, examples=[1])]


class IndicatorOut(Out):
    """An indicator as it is shipped. `verified`: V checked against a source, C computed, K from knowledge."""

    id: str = Field(examples=["area_night"])
    group: str
    label: Label
    what: Label = Field(description="How it is computed, or where it is entered.")
    measured: bool
    required: bool
    unit: str = Field(examples=["dB"])
    comparator: str = Field(examples=["<"])
    value: float | None = Field(
        description="Null where the threshold is the site's, or there are several.", examples=[45.0]
    )
    points: float
    standard: str
    edition: str
    clause: str
    source: str
    verified: Literal["V", "C", "K"]
    project_default: bool = Field(description="The threshold is this project's own and no standard's.")


class ProgrammeOut(Out):
    """What a quarter can apply for."""

    id: Programme
    topic: Topic
    title: Label
    note: Label
    pass_score: float
    indicators: list[IndicatorOut]


class ProgrammesOut(Out):
    """All programmes."""

    items: list[ProgrammeOut]


class VersionOut(Out):
    """A frozen version. `sha256` is over the version before, a line feed and the document."""

    number: int = Field(examples=[1])
    frozen_at: datetime
    frozen_by: str
    note: str
    score: float
    passed: bool
    sha256: str
    previous_sha256: str


class VersionsOut(Out):
    """Frozen versions, newest first. Ask for the next page with `before` = `next`."""

    items: list[VersionOut]
    next: int | None


class FreezeIn(BaseModel):
    """Which period to freeze; the usual one without it."""

    first: Day | None = Field(default=None, examples=["2026-02-01"])
    last: Day | None = Field(default=None, examples=["2026-02-28"])
    note: str = Field(default="", max_length=200, examples=["申报稿"])


class ChangeOut(Out):
    """One difference; `before` or `after` is null for what was not there."""

    part: Literal["summary", "indicator", "profile", "register", "survey", "attachment"]
    id: str
    label: Label
    change: Literal["added", "removed", "changed"]
    before: Label | None
    after: Label | None


class ChangesOut(Out):
    """What differs between two versions; `after` is null for the present state."""

    before: int
    after: int | None
    items: list[ChangeOut]


@router.get("/dossier-programmes", summary="Programmes and their indicators", responses=documented(401))
def list_dossier_programmes() -> ProgrammesOut:
    """Return what a quarter can apply for, with the origin of every threshold."""
    return ProgrammesOut(items=[_programme_out(one) for one in shipped().values()])


@router.get(
    "/sites/{site}/dossiers/{programme}", summary="A quarter's dossier now", response_model=Dossier,
    responses=documented(401, 404, 422, 503),
)  # fmt: skip
def get_dossier(
    request: Request, context: Context, site: SiteInPath, programme: ProgrammeInPath, first: FirstDay = None,
    last: LastDay = None,
) -> Response:  # fmt: skip
    """Return indicators with values, evidence and outcome, the score, and what would close each gap."""
    return _tree(_present(request, context, site, programme, first, last))


@router.get(
    "/sites/{site}/dossiers/{programme}/versions",
    summary="Frozen versions",
    responses=documented(401, 404, 422),
)
def list_dossier_versions(
    context: Context, site: SiteInPath, programme: ProgrammeInPath,
    before: Annotated[int | None, Query(ge=1, le=2**31 - 1)] = None,
    limit: Annotated[int, Query(ge=1, le=200)] = 50,
) -> VersionsOut:  # fmt: skip
    """Return the versions that were frozen, without their documents."""
    with context.registry.reader() as session:
        reads.one_site(session, site)
        rows = kept.versions_of(session, site, programme, before=before, limit=limit + 1)
        shown = rows[:limit]
        return VersionsOut(
            items=[_version_out(one) for one in shown],
            next=shown[-1].number if len(rows) > limit else None,
        )


@router.post(
    "/sites/{site}/dossiers/{programme}/versions", status_code=201, summary="Freeze the dossier",
    responses=documented(401, 403, 404, 409, 422, 503),
)  # fmt: skip
def freeze_dossier(
    context: Context, who: Who, site: SiteInPath, programme: ProgrammeInPath,
    given: Annotated[FreezeIn | None, Body()] = None,
) -> VersionOut:  # fmt: skip
    """Keep the dossier as it is now, for ever: at application. Later changes make a new version."""
    asked = given or FreezeIn()
    present = _present(None, context, site, programme, asked.first, asked.last)
    try:
        with context.registry.session() as session:
            with refusals():
                row = gather.freeze(
                    session, present, note=asked.note.strip(), who=who.name, now=present.made_at
                )
            detail = {
                "number": row.number, "sha256": row.sha256, "score": row.score, "first": str(present.first),
                "last": str(present.last),
            }  # fmt: skip
            record(session, who.name, "dossier.freeze", f"{site}/{programme}", context.wall.now(), detail)
            return _version_out(row)
    except IntegrityError:
        told = "somebody else froze a version at this moment; look at it first"
        raise ApiProblem(409, "changed_meanwhile", told) from None


@router.get(
    "/sites/{site}/dossiers/{programme}/versions/{number}", summary="One frozen version", response_model=Dossier,
    responses=documented(401, 404, 409, 422),
)  # fmt: skip
def get_dossier_version(
    context: Context, site: SiteInPath, programme: ProgrammeInPath, number: Number
) -> Response:
    """Return what was frozen, after its digest was checked; the exact document is what the digest is over."""
    with context.registry.reader() as session:
        row = _version(session, site, programme, number)
        _thawed(row)
        return Response(row.document, media_type="application/json", headers={"ETag": f'"{row.sha256}"'})


@router.get(
    "/sites/{site}/dossiers/{programme}/changes", summary="What changed between versions",
    responses=documented(401, 404, 409, 422, 503),
)  # fmt: skip
def compare_dossier_versions(
    request: Request, context: Context, site: SiteInPath, programme: ProgrammeInPath,
    before: Annotated[int, Query(ge=1, le=2**31 - 1, description="A frozen version.", examples=[1])],
    after: Annotated[
        int | None, Query(ge=1, le=2**31 - 1, description="A frozen version; the present state without it.")
    ] = None,
) -> ChangesOut:  # fmt: skip
    """Compare a frozen version with another one, or with the present state over the same dates."""
    with context.registry.reader() as session:
        old = _thawed(_version(session, site, programme, before))
        new = _thawed(_version(session, site, programme, after)) if after is not None else None
    if new is None:
        new = _present(request, context, site, programme, old.first, old.last)
    items = [ChangeOut.model_validate(one, from_attributes=True) for one in snapshot.diff(old, new)]
    return ChangesOut(before=before, after=after, items=items)


def _present(
    request: Request | None, context: ApiContext, site: str, programme: Programme, first: date | None,
    last: date | None,
) -> Dossier:  # fmt: skip
    """Return the dossier now; without a request nothing that was measured a moment ago is used again."""
    now = context.clock.now()
    with context.registry.reader() as session:
        row = reads.one_site(session, site)
        usual_first, usual_last = gather.usual_period(row, now)
        until = last or usual_last
        since, until = dates_of(
            first or (usual_first if last is None else None), until, usual_last,
            usual_days=gather.USUAL_DAYS, longest_days=gather.LONGEST_DAYS,
        )  # fmt: skip
        measured = None
        if request is not None:
            measured = _measured(request, context, session, row, standard_of(programme).topic, since, until)
        return gather.present_dossier(session, context.series, row, programme, since, until, now, measured)


def _measured(
    request: Request, context: ApiContext, session: Session, site: Site, topic: Topic, first: date, last: date
) -> dict[str, Fact]:
    """Return the measured facts of a period; the series are read once in a while, the registers each time."""
    cache = caches_of(request).dossiers
    row = kept.profile_of(session, site.name)
    borders = (site.day_starts_h, site.night_starts_h)
    settings = (site.zone_class, borders, repr(site.settings), row.version if row else 0)
    return cache.get(
        (site.name, topic, first, last, settings),
        lambda: gather.measured_facts(session, context.series, site, topic, first, last, context.clock.now()),
    )


def _version(session: Session, site: str, programme: Programme, number: int) -> DossierVersion:
    reads.one_site(session, site)
    row = kept.find_version(session, site, programme, number)
    if row is None:
        raise not_found(f"version {number} of the dossier {programme!r} at {site!r}")
    return row


def _thawed(row: DossierVersion) -> Dossier:
    try:
        return gather.frozen_dossier(row)
    except snapshot.BrokenSnapshot as error:
        raise ApiProblem(409, "broken_version", str(error)) from None


def _tree(one: Dossier) -> Response:
    return Response(msgspec.json.encode(one), media_type="application/json")


def _label(zh: str, en: str) -> Label:
    return Label(zh=zh, en=en)


def _programme_out(one: Standard) -> ProgrammeOut:
    return ProgrammeOut(
        id=one.id, topic=one.topic, title=_label(one.title_zh, one.title_en), note=_label(one.note_zh, one.note_en),
        pass_score=one.pass_score,
        indicators=[
            IndicatorOut(
                id=each.id, group=each.group, label=_label(each.label_zh, each.label_en),
                what=_label(each.what_zh, each.what_en), measured=each.measured, required=each.required,
                unit=each.unit, comparator=each.comparator, value=each.value, points=each.points,
                standard=each.standard, edition=each.edition, clause=each.clause, source=each.source,
                verified=each.verified, project_default=each.project_default,
            )
            for each in one.indicators
        ],
    )  # fmt: skip


def _version_out(row: DossierVersion) -> VersionOut:
    return VersionOut.model_validate(row, from_attributes=True)
