"""What is entered into a dossier by hand: the profile, the registers, and the local rule's thresholds."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any

from fastapi import APIRouter, Body, Path, Query
from pydantic import BaseModel, Field
from sqlalchemy.orm import Session

from analysis.dossier.entries import (
    AdoptedRule,
    Appliance,
    Complaint,
    Kind,
    Measure,
    NoiseSource,
    Profile,
    as_json,
    parse_entry,
    parse_profile,
)
from analysis.dossier.gather import overrides_of
from analysis.dossier.standard import PROGRAMMES, BadStandard, Programme, parse_overrides, standard_of
from api import registry_reads as reads
from api.audit import record
from api.guard import Context, Who
from api.problems import documented, invalid, not_found
from api.refusals import refusals
from api.routes.dossiers import ProgrammeInPath, SiteInPath
from api.schemas import Out
from store.registry import dossier as kept
from store.registry.dossier_models import DossierEntry, DossierProfile

router = APIRouter(tags=["dossier"], prefix="/sites/{site}/dossier")

EntryId = Annotated[int, Path(ge=1, le=2**31 - 1, examples=[7])]
EntryIn = Annotated[Complaint | NoiseSource | Measure | AdoptedRule | Appliance, Field(discriminator="kind")]
ExpectedVersion = Annotated[
    int | None, Query(ge=0, le=2**31 - 1, description="Refuse where somebody else changed it since.")
]
_EXAMPLES: Any = {
    "complaint": {
        "value": {
            "kind": "complaint", "topic": "noise", "received_on": "2026-02-11", "about": "夜间广场舞音响声大",
            "place": "中心花园", "handling": "与领队约定 20:30 结束", "closed_on": "2026-02-13", "satisfied": True,
        }
    },
    "source": {
        "value": {
            "kind": "source", "name": "生活水泵房", "source_kind": "equipment", "distance_m": 18.0, "hours": "全天",
            "limit_db": 45.0, "limit_basis": "GB 3096-2008 1 类夜间", "measure": "加装减振垫",
        }
    },
    "appliance": {
        "value": {
            "kind": "appliance", "appliance": "toilet", "place": "household", "total": 320, "efficient": 310,
            "basis": "水效等级 2 级",
        }
    },
}  # fmt: skip


class EntryOut(Out):
    """A line of a register; `data` has the fields of its `kind`."""

    id: int = Field(examples=[7])
    kind: Kind
    version: int
    data: EntryIn
    created_at: datetime
    created_by: str
    updated_at: datetime
    updated_by: str


class EntriesOut(Out):
    """Lines of the registers, newest first. Ask for the next page with `before_id` = `next`."""

    items: list[EntryOut]
    next: int | None


class ProfileOut(Out):
    """The quarter's profile, and what its local rule changes (by indicator, for each programme)."""

    version: int = Field(description="0 before anything was entered.")
    data: Profile
    local_rules: dict[Programme, dict[str, Any]]


class OverrideIn(BaseModel):
    """What the local rule says of an indicator; what is left out stays as it is shipped."""

    standard: str = Field(
        min_length=1, max_length=120, description="The local rule.", examples=["DB3502/T 113-2023"]
    )
    value: float | None = Field(default=None, ge=-1e6, le=1e6)
    points: float | None = Field(default=None, ge=0, le=100)
    required: bool | None = None
    applies: bool = True
    clause: str = Field(default="-", max_length=60)


class LocalRuleIn(BaseModel):
    """All departures of a programme, by indicator; they replace those before."""

    overrides: dict[str, OverrideIn] = Field(
        max_length=100, examples=[{"satisfaction": {"standard": "DB3502/T 113-2023", "value": 0.85}}]
    )


@router.get("/profile", summary="Profile and local rule", responses=documented(401, 404))
def get_dossier_profile(context: Context, site: SiteInPath) -> ProfileOut:
    """Return what holds for the quarter as a whole."""
    with context.registry.reader() as session:
        reads.one_site(session, site)
        return _profile_out(kept.profile_of(session, site))


@router.put("/profile", summary="Change the profile", responses=documented(401, 403, 404, 409, 422))
def change_dossier_profile(
    context: Context, who: Who, site: SiteInPath,
    given: Annotated[Profile, Body(examples=[{"households": 320, "persons": 930, "green_share": 0.38}])],
    expected_version: ExpectedVersion = None,
) -> ProfileOut:  # fmt: skip
    """Replace the profile."""
    return _keep(context, who.name, site, "dossier.profile", expected_version, data=as_json(given))


@router.put(
    "/local-rules/{programme}", summary="Change thresholds and points to a local rule",
    responses=documented(401, 403, 404, 409, 422),
)  # fmt: skip
def change_local_rule(
    context: Context, who: Who, site: SiteInPath, programme: ProgrammeInPath, given: Annotated[LocalRuleIn, Body()],
    expected_version: ExpectedVersion = None,
) -> ProfileOut:  # fmt: skip
    """Replace what the site's local rule changes of a programme; every figure then names that rule as its origin."""
    raw = {key: one.model_dump(exclude_none=True) for key, one in given.overrides.items()}
    try:
        parse_overrides(raw, standard_of(programme))
    except BadStandard as error:
        raise invalid("body.overrides", str(error)) from None
    return _keep(context, who.name, site, "dossier.local_rule", expected_version, rule=(programme, raw))


@router.get("/entries", summary="Lines of the registers", responses=documented(401, 404, 422))
def list_dossier_entries(
    context: Context, site: SiteInPath, kind: Annotated[Kind | None, Query(description="Register.")] = None,
    before_id: Annotated[int | None, Query(ge=1, le=2**31 - 1)] = None,
    limit: Annotated[int, Query(ge=1, le=200)] = 100,
) -> EntriesOut:  # fmt: skip
    """Return complaints, noise sources, measures, rules and fittings."""
    with context.registry.reader() as session:
        reads.one_site(session, site)
        rows = kept.entries_of(session, site, kind, before_id=before_id, limit=limit + 1)
        items = [_entry_out(one) for one in rows[:limit]]
        return EntriesOut(items=items, next=items[-1].id if len(rows) > limit else None)


@router.post(
    "/entries",
    status_code=201,
    summary="Add a line to a register",
    responses=documented(401, 403, 404, 409, 422),
)
def add_dossier_entry(
    context: Context, who: Who, site: SiteInPath, given: Annotated[EntryIn, Body(openapi_examples=_EXAMPLES)]
) -> EntryOut:
    """Enter a complaint, noise source, measure, rule or fitting. Do not write names of residents."""
    with context.registry.session() as session:
        reads.one_site(session, site)
        with refusals():
            row = kept.add_entry(
                session, site, given.kind, as_json(given), who=who.name, now=context.clock.now()
            )
        detail = {"kind": row.kind, **row.data}
        record(session, who.name, "dossier.entry.add", f"{site}/entry:{row.id}", context.wall.now(), detail)
        return _entry_out(row)


@router.put("/entries/{entry_id}", summary="Change a line", responses=documented(401, 403, 404, 409, 422))
def change_dossier_entry(
    context: Context, who: Who, site: SiteInPath, entry_id: EntryId,
    given: Annotated[EntryIn, Body(openapi_examples=_EXAMPLES)], expected_version: ExpectedVersion = None,
) -> EntryOut:  # fmt: skip
    """Replace a line; its kind stays."""
    with context.registry.session() as session:
        row = _entry(session, site, entry_id)
        if given.kind != row.kind:
            raise invalid("body.kind", f"this line is a {row.kind}; make a new one for another kind")
        with refusals():
            kept.change_entry(
                session, row, as_json(given), who=who.name, now=context.clock.now(), expected_version=expected_version
            )  # fmt: skip
        record(
            session, who.name, "dossier.entry.change", f"{site}/entry:{row.id}", context.wall.now(), row.data
        )
        return _entry_out(row)


@router.delete(
    "/entries/{entry_id}", status_code=204, summary="Remove a line", responses=documented(401, 403, 404)
)
def remove_dossier_entry(context: Context, who: Who, site: SiteInPath, entry_id: EntryId) -> None:
    """Take a line out of its register; versions frozen before keep it."""
    with context.registry.session() as session:
        row = _entry(session, site, entry_id)
        row.removed_at = context.clock.now()
        record(session, who.name, "dossier.entry.remove", f"{site}/entry:{row.id}", context.wall.now())


def _keep(
    context: Context, who: str, site: str, action: str, expected_version: int | None, *,
    data: dict[str, Any] | None = None, rule: tuple[Programme, dict[str, Any]] | None = None,
) -> ProfileOut:  # fmt: skip
    with context.registry.session() as session:
        reads.one_site(session, site)
        before = kept.profile_of(session, site)
        others = dict(before.overrides) if before else {}
        overrides = {**others, rule[0]: rule[1]} if rule else None
        with refusals():
            row = kept.keep_profile(
                session, site, who=who, now=context.clock.now(), data=data, overrides=overrides,
                expected_version=expected_version,
            )  # fmt: skip
        record(session, who, action, site, context.wall.now(), data if rule is None else {rule[0]: rule[1]})
        return _profile_out(row)


def _entry(session: Session, site: str, entry_id: int) -> DossierEntry:
    reads.one_site(session, site)
    row = kept.find_entry(session, site, entry_id)
    if row is None:
        raise not_found(f"entry {entry_id} at {site!r}")
    return row


def _profile_out(row: DossierProfile | None) -> ProfileOut:
    if row is None:
        return ProfileOut(version=0, data=Profile(), local_rules={})
    rules: dict[Programme, dict[str, Any]] = {}
    for programme in PROGRAMMES:
        known = overrides_of(row.overrides, standard_of(programme))
        if known:
            rules[programme] = {key: row.overrides[programme][key] for key in known}
    return ProfileOut(version=row.version, data=parse_profile(row.data), local_rules=rules)


def _entry_out(row: DossierEntry) -> EntryOut:
    return EntryOut(
        id=row.id, kind=row.kind, version=row.version, data=parse_entry(row.kind, row.data),  # type: ignore[arg-type]
        created_at=row.created_at, created_by=row.created_by, updated_at=row.updated_at, updated_by=row.updated_by,
    )  # fmt: skip
