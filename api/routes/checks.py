"""Source checks: a suspect source on and off at one point, and the record that a case file needs."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Body, Path, Query
from pydantic import BaseModel, Field
from sqlalchemy import select

from analysis.source_check import CheckImpossible
from analysis.source_record import CheckRequest, run_check
from api import registry_reads as reads
from api.audit import record
from api.guard import Context, Who
from api.problems import documented, invalid, not_found
from api.schemas import INDICATIVE, Label, Out
from api.times import Instant, SiteName
from store.registry.models import Site, SourceCheck

router = APIRouter(tags=["noise"], prefix="/noise")

CheckId = Annotated[int, Path(ge=1, le=2**53)]


class WindowIn(BaseModel):
    """A time of measuring, half open."""

    start: Instant
    end: Instant


Windows = Annotated[list[WindowIn], Field(min_length=1, max_length=20)]


class CheckIn(BaseModel):
    """When the source was on and off, and what it is judged by. All times lie in the day, or all in the night."""

    device: str = Field(max_length=32, examples=["east-gate"])
    suspect: str = Field(min_length=1, max_length=200, examples=["东侧商铺空调外机"])
    on: Windows
    off: Windows
    standard: Literal["gb22337", "gb12348"]
    zone_class: Literal["0", "1", "2", "3", "4"] = Field(description="Class of the area outside.")
    where: Literal["boundary", "indoors_instead", "room_a", "room_b"] = Field(
        default="boundary",
        description="`indoors_instead`: the boundary is less than 1 m from a sensitive building, limits 10 dB lower. "
        "`room_a` (for sleep), `room_b` (used by day): sound that the building carries, with its octave bands.",
    )
    night_noise: Literal["frequent", "occasional", "fluctuating"] | None = Field(
        default=None, description="Judge the night's highest level too; `fluctuating` in rooms."
    )
    note: str = Field(default="", max_length=1000)


class CheckOut(Out):
    """The record of a source check. It is never changed.

    `result` holds every step: levels on and off, difference, correction and the table it comes from, the corrected and
    rounded level, the limit with standard, edition, clause and how far it was checked, the verdict (`pass`, `fail` or
    `not_usable`), octave bands in rooms, valid time, and the last calibration before it.
    """

    id: int
    site: str
    site_label: Label
    device: str
    device_label: Label
    made_at: datetime
    made_by: str
    indicative: bool = Field(description=INDICATIVE)
    asked: dict[str, Any]
    result: dict[str, Any]


class ChecksOut(Out):
    """A page of source checks, newest first."""

    items: list[CheckOut]
    next: int | None


@router.post(
    "/checks", status_code=201, summary="Check a source", responses=documented(401, 403, 404, 422, 503)
)
def add_check(context: Context, who: Who, site: SiteName, given: Annotated[CheckIn, Body()]) -> CheckOut:
    """Measure from what is stored, correct for the background, judge, and keep the record."""
    asked = CheckRequest(
        site=site, device=given.device, suspect=given.suspect, standard=given.standard, zone_class=given.zone_class,
        where=given.where, night_noise=given.night_noise, note=given.note,
        on=tuple((one.start, one.end) for one in given.on), off=tuple((one.start, one.end) for one in given.off),
    )  # fmt: skip
    with context.registry.session() as session:
        reads.one_site(session, site)
        reads.one_device(session, site, given.device)
        try:
            row = run_check(session, context.series, asked, who=who.name, now=context.clock.now())
        except CheckImpossible as error:
            raise invalid("body", str(error)) from None
        detail = {"site": site, "device": given.device, "verdict": row.result["verdict"]}
        record(session, who.name, "check.add", f"check:{row.id}", context.wall.now(), detail)
        return _check_out(row, *_labels(reads.one_site(session, site), given.device))


@router.get("/checks", summary="Source checks", responses=documented(401, 404))
def list_checks(
    context: Context, site: SiteName,
    before_id: Annotated[int | None, Query(ge=1, le=2**53, description="`next` of the page before.")] = None,
    limit: Annotated[int, Query(ge=1, le=100)] = 20,
) -> ChecksOut:  # fmt: skip
    """Return the source checks of a quarter."""
    query = select(SourceCheck).where(SourceCheck.site == site).order_by(SourceCheck.id.desc())
    if before_id is not None:
        query = query.where(SourceCheck.id < before_id)
    with context.registry.reader() as session:
        quarter = reads.one_site(session, site)
        rows = session.scalars(query.limit(limit + 1)).all()
        shown = rows[:limit]
        return ChecksOut(
            items=[_check_out(row, *_labels(quarter, row.device)) for row in shown],
            next=shown[-1].id if len(rows) > limit else None,
        )


@router.get("/checks/{check_id}", summary="The record of a source check", responses=documented(401, 404))
def get_check(context: Context, who: Who, check_id: CheckId) -> CheckOut:
    """Return one record, as it is put into a case file."""
    with context.registry.reader() as session:
        row = session.get(SourceCheck, check_id)
        if row is None or not who.may_see(row.site):
            raise not_found(f"source check {check_id}")
        return _check_out(row, *_labels(reads.one_site(session, row.site), row.device))


def _labels(site: Site, device: str) -> tuple[Label, Label]:
    named = next((one for one in site.devices if one.name == device), None)
    return (
        Label(zh=site.label_zh, en=site.label_en),
        Label(zh=named.label_zh, en=named.label_en) if named else Label(zh=device, en=device),
    )


def _check_out(row: SourceCheck, site_label: Label, device_label: Label) -> CheckOut:
    return CheckOut(
        id=row.id, site=row.site, site_label=site_label, device=row.device, device_label=device_label,
        made_at=row.made_at, made_by=row.made_by, indicative=bool(row.result.get("indicative", True)),
        asked=row.asked, result=row.result,
    )  # fmt: skip
