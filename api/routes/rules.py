"""Rules of alerts, and times in which alerts are not told."""

from __future__ import annotations

import threading
from datetime import datetime, timedelta
from typing import Annotated, Any, Final, Literal

from fastapi import APIRouter, Body, Path, Query
from pydantic import BaseModel, Field
from sqlalchemy import or_, select
from sqlalchemy.orm import Session

from analysis.alerts import silences
from analysis.rules.backtest import MOST_DAYS, NotReplayable, Replayable
from analysis.rules.catalog import new_kinds
from analysis.rules.edit import BadRule, add_rule, change_rule, effective, history, schema
from analysis.rules.kinds import kind_of, parse_params
from analysis.rules.trial import try_rule
from api import registry_reads as reads
from api.access import Identity
from api.audit import record
from api.guard import Context, Who
from api.problems import ApiProblem, documented, invalid, not_found
from api.refusals import refusals
from api.schemas import Out
from api.times import Instant
from store.registry.models import Rule, Silence

router = APIRouter(tags=["rules"])

_TRIALS: Final = threading.Lock()
"""A trial reads months of seconds: one at a time."""
_TRIAL_SHOWN: Final = 100

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
    can_be_tried: bool = Field(description="Whether `POST /rules/trial` can run this kind over the past.")
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


class RuleIn(BaseModel):
    """A new rule; parameters that are left out take the kind's default."""

    site: str = Field(max_length=32)
    kind: str = Field(max_length=32, examples=["noise_window"])
    enabled: bool = True
    params: dict[str, Any] = {}
    note: str = Field(default="", max_length=200)


class TrialIn(BaseModel):
    """A rule to be tried on the past. It need not exist; nothing is stored and nobody is told."""

    site: str = Field(max_length=32)
    kind: str = Field(max_length=32, examples=["noise_window"])
    params: dict[str, Any] = Field(default={}, examples=[{"margin_db": 3.0, "hold_s": 300}])
    days: int = Field(default=90, ge=1, le=MOST_DAYS)


class TrialAlertOut(Out):
    """An alert that there would have been. `resolved_at` is null for one that would still be open."""

    source: str
    firing_at: datetime
    resolved_at: datetime | None
    worst: float | None
    limit: float | None


class TrialOut(Out):
    """What a rule would have done: "with this rule, how many alerts in the last 90 days?"."""

    start: datetime
    end: datetime
    alerts: int
    per_source: dict[str, int] = Field(description="Alerts of each source that the rule looks at.")
    known_share: float = Field(description="Share of the rule's looks that found data.")
    newest: list[TrialAlertOut] = Field(description="The newest hundred.")


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
        with refusals("body.params"):
            row = change_rule(
                session, rule_id, who=who.name, now=now, params=given.params, enabled=given.enabled, note=given.note,
                expected_version=given.expected_version,
            )  # fmt: skip
        if row.version != before:
            detail = {"site": row.site, "kind": row.kind, "enabled": row.enabled, "params": row.params}
            record(session, who.name, "rule.change", f"rule:{rule_id}", now, detail)
        return _rule_out(row)


@router.post("/rules", status_code=201, summary="Add a rule", responses=documented(401, 403, 404, 422))
def add_rule_of_site(context: Context, who: Who, given: Annotated[RuleIn, Body()]) -> RuleOut:
    """Give a quarter one more rule, such as a second threshold with another severity."""
    now = context.wall.now()
    with context.registry.session() as session:
        _visible_site(session, who, given.site)
        with refusals():
            row = add_rule(
                session, given.site, given.kind, given.params, who=who.name, now=now, enabled=given.enabled,
                note=given.note,
            )  # fmt: skip
        record(session, who.name, "rule.add", f"rule:{row.id}", now, given.model_dump())
        return _rule_out(row)


@router.post(
    "/rules/trial", summary="Try a rule on the past", responses=documented(401, 403, 404, 409, 422, 503)
)
def try_rule_of_site(context: Context, who: Who, given: Annotated[TrialIn, Body()]) -> TrialOut:
    """Say how many alerts a rule would have raised: the same judging and the same alert machine, over what is stored.

    One trial runs at a time; another meanwhile is answered with `not_possible`.
    """
    now = context.clock.now()
    if not _TRIALS.acquire(blocking=False):
        raise ApiProblem(409, "not_possible", "another trial is running; try again in a moment")
    try:
        with context.registry.reader() as session:
            _visible_site(session, who, given.site)
            found = try_rule(session, context.series, now=now, **given.model_dump())
    except (BadRule, NotReplayable) as error:
        raise invalid("body", str(error)) from None
    finally:
        _TRIALS.release()
    newest = sorted(found.alerts, key=lambda one: one.firing_at, reverse=True)[:_TRIAL_SHOWN]
    return TrialOut(
        start=now - timedelta(days=given.days), end=now, alerts=len(found.alerts), per_source=dict(found.per_source),
        known_share=found.known_share,
        newest=[TrialAlertOut.model_validate(one, from_attributes=True) for one in newest],
    )  # fmt: skip


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


def _visible_site(session: Session, who: Identity, site: str) -> None:
    if not who.may_see(site):
        raise not_found(f"site {site!r}")
    reads.one_site(session, site)


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
        changed=sorted(row.params), params_schema=shape,
        can_be_tried=isinstance(new_kinds().get(row.kind), Replayable), updated_at=row.updated_at,
    )  # fmt: skip
