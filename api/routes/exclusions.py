"""Times that people leave out of noise averages: rain and wind where no weather station reports them."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Annotated, Final, Literal

from fastapi import APIRouter, Body, Path, Request
from pydantic import BaseModel, Field
from sqlalchemy import select

from analysis.exclusions import Span, exclude, revoke, spans_of
from api import registry_reads as reads
from api.audit import record
from api.cache import caches_of
from api.guard import Context, Who
from api.problems import documented, not_found
from api.refusals import refusals
from api.schemas import Out
from api.times import End, Instant, SiteName, Start, range_of
from store.registry.models import Exclusion

router = APIRouter(tags=["noise"], prefix="/noise")

_DAY: Final = timedelta(days=1)
_MONTH: Final = timedelta(days=31)
ExclusionId = Annotated[int, Path(ge=1, le=2**53)]
Reason = Literal["rain", "snow", "lightning", "wind", "other"]


class ExclusionOut(Out):
    """A time that a person left out; the readings themselves stay. `source` null means every device of the quarter."""

    id: int
    site: str
    source: str | None
    starts_at: datetime
    ends_at: datetime
    reason: Reason
    note: str
    created_by: str
    created_at: datetime
    revoked_at: datetime | None = Field(
        description="When it was taken back; from then on the time counts again."
    )


class WeatherOut(Out):
    """A time that the quarter's weather station left out."""

    starts_at: datetime
    ends_at: datetime
    reason: Reason


class ExclusionsOut(Out):
    """What is left out of a range, by hand and by the weather station."""

    site: str
    by_hand: list[ExclusionOut]
    by_station: list[WeatherOut]


class ExclusionIn(BaseModel):
    """A time to leave out."""

    source: str | None = Field(
        default=None, max_length=32, description="One device; null for the whole quarter."
    )
    starts_at: Instant
    ends_at: Instant
    reason: Reason
    note: str = Field(default="", max_length=200, examples=["气象台记录:14:00–15:20 中雨"])


@router.get("/exclusions", summary="Times that are left out", responses=documented(401, 404, 422, 503))
def list_exclusions(context: Context, site: SiteName, start: Start = None, end: End = None) -> ExclusionsOut:
    """Return what is left out of a range (without one: the last 31 days), those taken back included."""
    span = range_of(start, end, context.clock.now(), usual=_MONTH, longest=400 * _DAY)
    with context.registry.reader() as session:
        reads.one_site(session, site)
        rows = session.scalars(
            select(Exclusion)
            .where(Exclusion.site == site, Exclusion.starts_at < span.end, Exclusion.ends_at > span.start)
            .order_by(Exclusion.starts_at, Exclusion.id)
        ).all()
        by_hand = {Span(row.starts_at, row.ends_at, row.reason, row.source) for row in rows}
        every = spans_of(session, context.series, site, span.start, span.end)
        return ExclusionsOut(
            site=site,
            by_hand=[ExclusionOut.model_validate(row, from_attributes=True) for row in rows],
            by_station=[
                WeatherOut.model_validate({"starts_at": one.start, "ends_at": one.end, "reason": one.reason})
                for one in every
                if one not in by_hand
            ],
        )


@router.post(
    "/exclusions", status_code=201, summary="Leave a time out", responses=documented(401, 403, 404, 422)
)
def add_exclusion(
    request: Request, context: Context, who: Who, site: SiteName, given: Annotated[ExclusionIn, Body()]
) -> ExclusionOut:
    """Leave a time out of Ld, Ln, hours and alerts, with the reason. Nothing is deleted."""
    with context.registry.session() as session, refusals():
        reads.one_site(session, site)
        row = exclude(session, site=site, **given.model_dump(), who=who.name, now=context.clock.now())
        detail = {"site": site, **given.model_dump(mode="json")}
        record(session, who.name, "exclusion.add", f"exclusion:{row.id}", context.wall.now(), detail)
        answer = ExclusionOut.model_validate(row, from_attributes=True)
    caches_of(request).forget_judged()
    return answer


@router.delete(
    "/exclusions/{exclusion_id}", status_code=204, summary="Let a time count again",
    responses=documented(401, 403, 404),
)  # fmt: skip
def revoke_exclusion(request: Request, context: Context, who: Who, exclusion_id: ExclusionId) -> None:
    """Take an exclusion back; who made it and when it was taken back stays on record."""
    with context.registry.session() as session:
        row = session.get(Exclusion, exclusion_id)
        if row is None or not who.may_see(row.site):
            raise not_found(f"exclusion {exclusion_id}")
        revoke(session, exclusion_id, context.clock.now())
        record(session, who.name, "exclusion.revoke", f"exclusion:{exclusion_id}", context.wall.now())
    caches_of(request).forget_judged()
