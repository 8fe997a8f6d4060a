"""Downloads: any range of a quarter as CSV or Parquet, in the encoding that the command line uses too."""

from __future__ import annotations

from datetime import timedelta
from typing import Annotated, Any, Final

from fastapi import APIRouter, Path, Query, Response
from fastapi.responses import StreamingResponse
from sqlalchemy.orm import Session

from api import registry_reads as reads
from api.guard import Context
from api.problems import documented, not_found
from api.times import End, Range, SiteName, Start, range_of
from store.registry.models import Site
from store.series.export import ExportKind, ExportQuery, parts, schema_of
from store.series.export_file import MEDIA_TYPES, ExportFormat, encode

router = APIRouter(tags=["exports"], prefix="/exports")

_LONGEST: Final = timedelta(days=400)
_WATER_KINDS: Final = ("water", "water-hours")
_FILE: Final[dict[int | str, dict[str, Any]]] = {
    200: {
        "description": "The file",
        "content": {
            "text/csv": {
                "schema": {"type": "string"},
                "example": "t,t_site,site,device,laeq_db\n"
                "2026-03-01T00:00:00Z,2026-03-01T08:00:00+08:00,quiet-garden,east-gate,47.31\n",
            },
            "application/vnd.apache.parquet": {"schema": {"type": "string", "format": "binary"}},
        },
    },
    **documented(401, 404, 422, 503),
}


@router.get("/{kind}", summary="Download a range", response_class=StreamingResponse, responses=_FILE)
def export_range(
    context: Context, site: SiteName,
    kind: Annotated[ExportKind, Path(description="What a row is.")],
    start: Start = None, end: End = None,
    source: Annotated[
        str | None, Query(max_length=32, description="A device, or a meter of water; without it all of the quarter.")
    ] = None,
    form: Annotated[ExportFormat, Query(alias="format", description="File format.")] = "csv",
) -> Response:  # fmt: skip
    """Return up to 400 days of a quarter as a file, however many rows: it is sent as it is read.

    Hours are the stored rows; an hour that is not over is not among them.
    """
    with context.registry.reader() as session:
        row = reads.one_site(session, site)
        sources, zone = _sources(session, row, kind, source), row.timezone
    span = range_of(start, end, context.clock.now(), usual=timedelta(days=1), longest=_LONGEST)
    query = ExportQuery(kind, span.start, span.end, sources, {site: zone})
    batches = (part.rows for part in parts(context.series, query))
    name = _file_name(kind, site, source, span)
    return StreamingResponse(
        encode(batches, schema_of(kind), form), media_type=MEDIA_TYPES[form],
        headers={"Content-Disposition": f'attachment; filename="{name}.{form}"'},
    )  # fmt: skip


def _sources(session: Session, site: Site, kind: ExportKind, wanted: str | None) -> list[tuple[str, str]]:
    if kind in _WATER_KINDS:
        known = [one.name for one in reads.meters_of(session, site.name)]
    else:
        known = [one.name for one in site.devices if kind == "events" or one.kind in reads.NOISE_KINDS]
    if wanted is None:
        return [(site.name, one) for one in known]
    if wanted not in known:
        raise not_found(f"source {wanted!r} of {kind} at {site.name!r}")
    return [(site.name, wanted)]


def _file_name(kind: str, site: str, source: str | None, span: Range) -> str:
    """Return a name made of slugs and times alone: what the registry knows is safe in a header."""
    return f"{kind}_{site}_{source or 'all'}_{span.start:%Y%m%dT%H%M}_{span.end:%Y%m%dT%H%M}"
