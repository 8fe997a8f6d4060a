"""Reports: order one, see how far it is, download it."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Final

import msgspec
from fastapi import APIRouter, Body, Path, Query, Request, Response
from fastapi.responses import FileResponse
from pydantic import BaseModel, Field, field_validator

from analysis.report.model import Language
from analysis.report.period import parse
from api import registry_reads as reads
from api.access import Identity
from api.audit import record
from api.cache import caches_of
from api.context import ApiContext
from api.guard import Context, Who
from api.problems import ApiProblem, documented, not_found
from api.reports.desk import DeskFull, Form, Kind, Order, ReportDesk, State, Ticket
from api.reports.pdf import PdfImpossible
from api.reports.worker import RenderFailed, check_pdf
from api.routes.dossiers import ProgrammeInPath, SiteInPath
from api.schemas import Out
from store.registry.dossier import find_version

router = APIRouter(tags=["reports"])

ReportId = Annotated[
    str, Path(pattern="^[0-9a-f]{16}$", description="A report's id.", examples=["9f86d081884c7d65"])
]
_MEDIA_TYPES: Final = {
    "pdf": "application/pdf",
    "xlsx": "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
}


class ReportIn(BaseModel):
    """What the report is to be."""

    period: str = Field(
        max_length=7, description="A month, `2026-10`, or a year, `2026`.", examples=["2026-10"]
    )
    language: Language = "zh"
    format: Form = "pdf"

    @field_validator("period")
    @classmethod
    def _known(cls, value: str) -> str:
        return parse(value).name


class DossierReportIn(BaseModel):
    """Which dossier the report is to show."""

    version: int | None = Field(
        default=None, ge=1, le=2**31 - 1, description="A frozen version; the dossier as it is now without it."
    )
    language: Language = "zh"
    format: Form = "pdf"


class ReportOut(Out):
    """A report and how far it is. `error_code` and `error` say why one failed."""

    id: str = Field(examples=["9f86d081884c7d65"])
    kind: Kind
    site: str | None = Field(description="null for the report on all quarters.", examples=["quiet-garden"])
    period: str = Field(description="A month, a year, or the programme of a dossier.", examples=["2026-10"])
    version: int | None = Field(description="The frozen version of a dossier; null for the present one.")
    language: Language
    format: Form
    state: State
    progress: float = Field(description="0 to 1.", examples=[0.7])
    made_by: str
    asked_at: datetime
    finished_at: datetime | None
    file_name: str = Field(examples=["quietwater-quiet-garden-2026-10-zh.pdf"])
    size_bytes: int
    sha256: str
    error_code: str = Field(examples=["", "pdf_impossible"])
    error: str


class ReportsOut(Out):
    """Reports, newest first."""

    items: list[ReportOut]


@router.post(
    "/sites/{site}/reports", status_code=202, summary="Order a report on a quarter",
    responses=documented(401, 403, 404, 422, 503),
)  # fmt: skip
def order_report(
    request: Request, context: Context, who: Who, site: str, body: Annotated[ReportIn, Body()]
) -> ReportOut:
    """Have a month or a year of a quarter made as PDF or XLSX; ask for it again by its id until it is done."""
    with context.registry.reader() as session:
        reads.one_site(session, site)
    order = Order(kind="quarter", site=site, period=body.period, language=body.language, format=body.format)
    return _ordered(request, context, who, order)


@router.post(
    "/reports", status_code=202, summary="Order a report on all quarters",
    responses=documented(401, 403, 422, 503),
)  # fmt: skip
def order_city_report(
    request: Request, context: Context, who: Who, body: Annotated[ReportIn, Body()]
) -> ReportOut:
    """Have a month or a year of all quarters made as PDF or XLSX."""
    order = Order(kind="city", site=None, period=body.period, language=body.language, format=body.format)
    return _ordered(request, context, who, order)


@router.post(
    "/sites/{site}/dossiers/{programme}/reports", status_code=202, summary="Order a dossier as a report",
    responses=documented(401, 403, 404, 422, 503),
)  # fmt: skip
def order_dossier_report(
    request: Request, context: Context, who: Who, site: SiteInPath, programme: ProgrammeInPath,
    body: Annotated[DossierReportIn, Body()],
) -> ReportOut:  # fmt: skip
    """Have the dossier, or a version that was frozen, made as PDF or XLSX to be handed in."""
    with context.registry.reader() as session:
        reads.one_site(session, site)
        if body.version is not None and find_version(session, site, programme, body.version) is None:
            raise not_found(f"version {body.version} of the dossier {programme!r} at {site!r}")
    order = Order(
        kind="dossier", site=site, period=programme, language=body.language, format=body.format, version=body.version
    )  # fmt: skip
    return _ordered(request, context, who, order)


@router.get("/reports", summary="Reports that were ordered", responses=documented(401, 404, 422))
def list_reports(
    request: Request, context: Context, who: Who,
    site: Annotated[str | None, Query(max_length=32, description="Only those on a quarter.")] = None,
    limit: Annotated[int, Query(ge=1, le=200)] = 50,
) -> ReportsOut:  # fmt: skip
    """Return the reports that you may see, newest first; the newest 200 are kept."""
    if site is not None:
        with context.registry.reader() as session:
            reads.one_site(session, site)
    shown = [
        one for one in _desk(request).tickets() if _may_see(who, one) and (site is None or one.order.site == site)
    ]  # fmt: skip
    return ReportsOut(items=[_out(one) for one in shown[:limit]])


@router.get("/reports/{report_id}", summary="How far a report is", responses=documented(401, 404, 422))
def get_report(request: Request, who: Who, report_id: ReportId) -> ReportOut:
    """Return one report's state."""
    return _out(_ticket(request, who, report_id))


@router.get(
    "/reports/{report_id}/file", summary="Download a report", response_class=FileResponse,
    responses={
        200: {"content": {media: {"schema": {"type": "string", "format": "binary"}} for media in _MEDIA_TYPES.values()},
              "description": "The file."},
        **documented(401, 404, 409, 422),
    },
)  # fmt: skip
def download_report(request: Request, who: Who, report_id: ReportId) -> Response:
    """Return the file of a report that is done."""
    ticket = _ticket(request, who, report_id)
    if not ticket.over:
        raise ApiProblem(409, "not_possible", f"the report is not ready: it is {ticket.state}; ask again")
    path = _desk(request).file(ticket)
    if path is None:
        raise not_found(f"file of the report {report_id!r}")
    return FileResponse(
        path, media_type=_MEDIA_TYPES[ticket.order.format], filename=ticket.file_name,
        headers={"ETag": f'"{ticket.sha256[:32]}"'},
    )  # fmt: skip


def _ordered(request: Request, context: ApiContext, who: Identity, order: Order) -> ReportOut:
    if order.format == "pdf":
        _demand_pdf(request)
    try:
        ticket = _desk(request).submit(order, who.name)
    except DeskFull as error:
        raise ApiProblem(503, "too_many_reports", str(error), headers={"Retry-After": "30"}) from None
    with context.registry.session() as session:
        record(
            session, who.name, "report.order", f"report:{ticket.id}", context.wall.now(),
            msgspec.to_builtins(order),
        )  # fmt: skip
    return _out(ticket)


def _demand_pdf(request: Request) -> None:
    """Refuse a PDF that this machine cannot make; what was found holds for a minute."""
    cache = caches_of(request).pdf_check
    told = cache.get("pdf", _pdf_fault)
    if told:
        raise ApiProblem(503, "pdf_impossible", told)


def _pdf_fault() -> str:
    try:
        check_pdf()
    except (PdfImpossible, RenderFailed) as error:
        return str(error)
    return ""


def _desk(request: Request) -> ReportDesk:
    desk = request.app.state.reports
    assert isinstance(desk, ReportDesk)
    return desk


def _ticket(request: Request, who: Identity, report_id: str) -> Ticket:
    ticket = _desk(request).find(report_id)
    if ticket is None or not _may_see(who, ticket):
        raise not_found(f"report {report_id!r}")
    return ticket


def _may_see(who: Identity, ticket: Ticket) -> bool:
    """A report on all quarters is for those who may see every quarter."""
    return who.sites is None if ticket.order.site is None else who.may_see(ticket.order.site)


def _out(one: Ticket) -> ReportOut:
    order = one.order
    return ReportOut(
        id=one.id, kind=order.kind, site=order.site, period=order.period, version=order.version,
        language=order.language, format=order.format, state=one.state, progress=one.progress, made_by=one.made_by,
        asked_at=one.asked_at, finished_at=one.finished_at, file_name=one.file_name, size_bytes=one.size_bytes,
        sha256=one.sha256, error_code=one.error_code, error=one.error,
    )  # fmt: skip
