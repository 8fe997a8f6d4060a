"""What officials look into: limits and their origin, the quarantine, the audit log, events at the edge."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Annotated, Any, Final

from fastapi import APIRouter, Query
from pydantic import Field

from analysis.standards import standards
from api import audit
from api import registry_reads as reads
from api.guard import Context
from api.problems import documented
from api.schemas import Label, LimitRowOut, Out, limit_row_out
from api.times import End, Start, range_of
from contract.events import EVENT_KINDS
from store.registry import quarantine

router = APIRouter()

_PAYLOAD_SHOWN: Final = 4096
BeforeId = Annotated[int | None, Query(ge=1, le=2**53, description="`next` of the page before.")]
Limit = Annotated[int, Query(ge=1, le=200)]


class LimitsOut(Out):
    """Rows of the presets."""

    items: list[LimitRowOut]


class QuarantineCountsOut(Out):
    """Messages that did not validate, by code; `evicted` is how many had to go to make room."""

    by_code: dict[str, int] = Field(examples=[{"not_json": 12, "future": 3}])
    total: int
    evicted: int


class QuarantinedOut(Out):
    """A message, or one reading of one, that did not validate."""

    id: int
    first_at: datetime
    last_at: datetime
    times: int
    topic: str
    code: str
    reason: str
    payload: str = Field(description="Its beginning as text.")
    size_bytes: int


class QuarantineOut(Out):
    """A page of the quarantine, newest first."""

    items: list[QuarantinedOut]
    next: int | None


class AuditOut(Out):
    """One change."""

    id: int
    at: datetime
    who: str
    action: str = Field(examples=["alert.acknowledge"])
    target: str = Field(examples=["alert:17"])
    detail: dict[str, Any]


class AuditPageOut(Out):
    """A page of the audit log, newest first."""

    items: list[AuditOut]
    next: int | None


class EventOut(Out):
    """Something that happened at a device."""

    device: str
    device_label: Label
    t: datetime
    kind: str = Field(examples=["overload"])
    label: Label
    meter: str | None
    detail: dict[str, Any]


class EventsOut(Out):
    """Events of a quarter, newest first."""

    site: str
    items: list[EventOut]


@router.get(
    "/limits",
    tags=["standards"],
    summary="Limits of the standards, with their origin",
    responses=documented(401),
)
def list_limits(prefix: Annotated[str, Query(max_length=40, examples=["gb3096."])] = "gb3096.") -> LimitsOut:
    """Return the rows of the presets whose id begins with ``prefix``."""
    return LimitsOut(items=[limit_row_out(row) for row in standards().limits(prefix)])


@router.get(
    "/quarantine/counts", tags=["quarantine"], summary="Quarantine in numbers", responses=documented(401, 403)
)
def count_quarantine(context: Context) -> QuarantineCountsOut:
    """Return how many messages did not validate, by reason."""
    with context.registry.reader() as session:
        counts = quarantine.counts(session)
    evicted = counts.pop("evicted", 0)
    return QuarantineCountsOut(by_code=counts, total=sum(counts.values()), evicted=evicted)


@router.get(
    "/quarantine",
    tags=["quarantine"],
    summary="Messages that did not validate",
    responses=documented(401, 403, 422),
)
def list_quarantine(context: Context, before_id: BeforeId = None, limit: Limit = 50) -> QuarantineOut:
    """Return a page of the quarantine with reason and payload."""
    with context.registry.reader() as session:
        rows = quarantine.newest(session, limit=limit + 1, before_id=before_id)
    shown = rows[:limit]
    return QuarantineOut(
        items=[
            QuarantinedOut(
                id=row.id, first_at=row.first_at, last_at=row.last_at, times=row.times, topic=row.topic,
                code=row.code, reason=row.reason, size_bytes=row.size_bytes,
                payload=row.payload[:_PAYLOAD_SHOWN].decode("utf-8", "replace"),
            )
            for row in shown
        ],
        next=shown[-1].id if len(rows) > limit else None,
    )  # fmt: skip


@router.get(
    "/audit", tags=["audit"], summary="Changes and who made them", responses=documented(401, 403, 422)
)
def list_audit(context: Context, before_id: BeforeId = None, limit: Limit = 50) -> AuditPageOut:
    """Return a page of the audit log."""
    with context.registry.reader() as session:
        rows = audit.newest(session, limit=limit + 1, before_id=before_id)
    shown = rows[:limit]
    return AuditPageOut(
        items=[
            AuditOut(
                id=row.id, at=row.at, who=row.who, action=row.action, target=row.target, detail=row.detail
            )
            for row in shown
        ],
        next=shown[-1].id if len(rows) > limit else None,
    )


@router.get(
    "/sites/{site}/events",
    tags=["sites"],
    summary="Events at the devices of a quarter",
    responses=documented(401, 404, 422, 503),
)
def list_events(
    context: Context, site: str, start: Start = None, end: End = None,
    device: Annotated[str | None, Query(max_length=32)] = None,
    kind: Annotated[str | None, Query(max_length=40)] = None,
    limit: Annotated[int, Query(ge=1, le=1000)] = 100,
) -> EventsOut:  # fmt: skip
    """Return what happened at the edge: calibrations, overloads, restarts, meters that fell silent …"""
    with context.registry.reader() as session:
        row = reads.one_site(session, site)
        names = {one.name: Label(zh=one.label_zh, en=one.label_en) for one in row.devices}
    span = range_of(start, end, context.clock.now(), usual=timedelta(days=7), longest=timedelta(days=400))
    found = context.series.events(span.start, span.end, site=site, device=device, kind=kind, limit=limit)
    return EventsOut(
        site=site,
        items=[
            EventOut(
                device=one.device, device_label=names.get(one.device, Label(zh=one.device, en=one.device)), t=one.t,
                kind=one.kind, label=_kind_label(one.kind), meter=one.meter, detail=dict(one.detail),
            )
            for one in found
        ],
    )  # fmt: skip


def _kind_label(kind: str) -> Label:
    known = EVENT_KINDS.get(kind)
    return Label(zh=known.zh, en=known.en) if known else Label(zh=kind, en=kind)
