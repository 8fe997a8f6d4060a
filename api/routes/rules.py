"""Rules of alerts, and times in which alerts are not told."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Body, Path, Query
from pydantic import BaseModel, Field
from sqlalchemy import or_, select
from sqlalchemy.orm import Session

from analysis.alerts import silences
from analysis.rules.catalog import new_kinds
from analysis.rules.edit import BadRule, ChangedMeanwhile, change_rule, effective, history, schema
from analysis.rules.kinds import kind_of, parse_params
from api import registry_reads as reads
from api.access import Identity
from api.audit import record
from api.guard import Context, Who
from api.problems import ApiProblem, documented, invalid, not_found
from api.schemas import Out
from api.times import Instant
from store.registry.models import Rule, Silence

router = APIRouter(tags=["rules"])

RuleId = Annotated[int, Path(ge=1, le=2**53)]


class RuleOut(Out):
    """A rule of a quarter with all its parameters, and the JSON Schema of them."""

    id: int
    site: str
    kind: str = Field(examples=["noise_window"])
    enabled: bool
    version: int
    params: dict[str, Any] = Field(examples=[{"window_s": 600, "margin_db": 0.0}])
    changed: list[str] = Field(description="Parameters that differ from the default.")
    params_schema: dict[str, Any]
    updated_at: datetime


class RulesOut(Out):
    """The rules of a quarter."""

    items: list[RuleOut]


class RuleChangeIn(BaseModel):
    """What is to be different. `expected_version` guards against a change that somebody else made meanwhile."""

    enabled: bool | None = None
    params: dict[str, Any] | None = None
    note: str = Field(default="", max_length=200)
    expected_version: int | None = Field(default=None, ge=1)


class RuleVersionOut(Out):
    """What a rule was from a time on, who made it so, and why."""

    version: int
    enabled: bool
    params: dict[str, Any]
    at: datetime
    who: str
    note: str


class RuleHistoryOut(Out):
    """Every version, oldest first."""

    items: list[RuleVersionOut]


class SilenceOut(Out):
    """A time in which alerts that match are not told, or do not begin (maintenance). Null matches anything."""

    id: int
    kind: Literal["silence", "maintenance"]
    site: str | None
    rule_kind: str | None
    source: str | None
    starts_at: datetime
    ends_at: datetime
    repeat: Literal["once", "daily", "weekly"]
    repeat_until: datetime | None
    reason: str
    created_by: str
    created_at: datetime


class SilencesOut(Out):
    """Silences that are not over."""

    items: list[SilenceOut]


class SilenceIn(BaseModel):
    """A new silence. Managers name a quarter of theirs."""

    kind: Literal["silence", "maintenance"] = "silence"
    site: str | None = Field(default=None, max_length=32)
    rule_kind: str | None = Field(default=None, max_length=32)
    source: str | None = Field(default=None, max_length=32)
    starts_at: Instant
    ends_at: Instant
    repeat: Literal["once", "daily", "weekly"] = "once"
    repeat_until: Instant | None = None
    reason: str = Field(min_length=1, max_length=200, examples=["道路施工，已告知居民"])


@router.get("/rules", summary="Rules of a quarter", responses=documented(401, 404, 422))
def list_rules(context: Context, site: Annotated[str, Query(max_length=32)]) -> RulesOut:
    """Return the rules of a quarter."""
    with context.registry.reader() as session:
        reads.one_site(session, site)
        rows = session.scalars(select(Rule).where(Rule.site == site).order_by(Rule.id))
        return RulesOut(items=[_rule_out(row) for row in rows])


@router.patch("/rules/{rule_id}", summary="Change a rule", responses=documented(401, 403, 404, 409, 422))
def change_rule_of_site(
    context: Context, who: Who, rule_id: RuleId, given: Annotated[RuleChangeIn, Body()]
) -> RuleOut:
    """Change parameters or switch a rule; every version is kept."""
    now = context.wall.now()
    with context.registry.session() as session:
        before = _visible_rule(session, who, rule_id).version
        try:
            row = change_rule(
                session, rule_id, who=who.name, now=now, params=given.params, enabled=given.enabled, note=given.note,
                expected_version=given.expected_version,
            )  # fmt: skip
        except ChangedMeanwhile as error:
            raise ApiProblem(409, "changed_meanwhile", str(error)) from None
        except BadRule as error:
            raise invalid("body.params", str(error)) from None
        if row.version != before:
            detail = {"site": row.site, "kind": row.kind, "enabled": row.enabled, "params": row.params}
            record(session, who.name, "rule.change", f"rule:{rule_id}", now, detail)
        return _rule_out(row)


@router.get("/rules/{rule_id}/history", summary="Versions of a rule", responses=documented(401, 404))
def get_rule_history(context: Context, who: Who, rule_id: RuleId) -> RuleHistoryOut:
    """Return every version of a rule."""
    with context.registry.reader() as session:
        _visible_rule(session, who, rule_id)
        items = [
            RuleVersionOut.model_validate(row, from_attributes=True) for row in history(session, rule_id)
        ]
        return RuleHistoryOut(items=items)


@router.get("/silences", summary="Silences that are not over", responses=documented(401, 404))
def list_silences(
    context: Context, who: Who, site: Annotated[str | None, Query(max_length=32)] = None
) -> SilencesOut:
    """Return silences that concern what you may see."""
    now = context.clock.now()
    query = select(Silence).where(
        Silence.lifted_at.is_(None), or_(Silence.ends_at > now, Silence.repeat != "once")
    )
    if site is not None:
        query = query.where(or_(Silence.site == site, Silence.site.is_(None)))
    elif who.sites is not None:
        query = query.where(or_(Silence.site.in_(who.sites), Silence.site.is_(None)))
    with context.registry.reader() as session:
        rows = session.scalars(query.order_by(Silence.starts_at, Silence.id))
        return SilencesOut(items=[SilenceOut.model_validate(row, from_attributes=True) for row in rows])


@router.post(
    "/silences",
    status_code=201,
    summary="Silence alerts for a time",
    responses=documented(401, 403, 404, 422),
)
def add_silence(context: Context, who: Who, given: Annotated[SilenceIn, Body()]) -> SilenceOut:
    """Keep matching alerts from being told for a time."""
    if given.site is None and who.sites is not None:
        raise invalid("body.site", "name one of your quarters")
    if given.site is not None and not who.may_see(given.site):
        raise not_found(f"site {given.site!r}")
    with context.registry.session() as session:
        try:
            row = silences.make(session, **given.model_dump(), who=who.name, now=context.clock.now())
        except silences.BadSilence as error:
            raise invalid("body", str(error)) from None
        detail = given.model_dump(mode="json")
        record(session, who.name, "silence.add", f"silence:{row.id}", context.wall.now(), detail)
        return SilenceOut.model_validate(row, from_attributes=True)


@router.delete(
    "/silences/{silence_id}", status_code=204, summary="End a silence", responses=documented(401, 403, 404)
)
def lift_silence(context: Context, who: Who, silence_id: RuleId) -> None:
    """End a silence before its time."""
    with context.registry.session() as session:
        row = session.get(Silence, silence_id)
        mine = row is not None and (who.sites is None or (row.site is not None and who.may_see(row.site)))
        if row is None or not mine:
            raise not_found(f"silence {silence_id}")
        silences.lift(session, silence_id, context.clock.now())
        record(session, who.name, "silence.lift", f"silence:{silence_id}", context.wall.now())


def _visible_rule(session: Session, who: Identity, rule_id: int) -> Rule:
    row = session.get(Rule, rule_id)
    if row is None or not who.may_see(row.site):
        raise not_found(f"rule {rule_id}")
    return row


def _rule_out(row: Rule) -> RuleOut:
    try:
        known = kind_of(new_kinds(), row.kind, f"rule {row.id}")
        params, shape = effective(parse_params(known, row.params, f"rule {row.id}")), schema(row.kind)
    except ValueError:  # a rule of a kind that this version does not know is shown as it is kept
        params, shape = dict(row.params), {}
    return RuleOut(
        id=row.id, site=row.site, kind=row.kind, enabled=row.enabled, version=row.version, params=params,
        changed=sorted(row.params), params_schema=shape, updated_at=row.updated_at,
    )  # fmt: skip
