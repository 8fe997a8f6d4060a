"""Files attached to a dossier: sent whole, known by their content, and only ever downloaded, never shown."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any
from urllib.parse import quote

from fastapi import APIRouter, Body, Path, Query, Response
from pydantic import Field
from sqlalchemy.orm import Session

from analysis.dossier.standard import shipped
from api import registry_reads as reads
from api.attached_files import files_of
from api.audit import record
from api.guard import Context, Who
from api.problems import ApiProblem, documented, invalid, not_found
from api.routes.dossiers import SiteInPath
from api.schemas import Out
from store.registry import dossier as kept
from store.registry.attached_files import (
    MOST_BYTES,
    MOST_BYTES_OF_SITE,
    MOST_FILES,
    BadFile,
    media_type,
    safe_name,
)
from store.registry.dossier_models import DossierAttachment

router = APIRouter(tags=["dossier"], prefix="/sites/{site}/dossier/attachments")

AttachmentId = Annotated[int, Path(ge=1, le=2**31 - 1, examples=[3])]
_FILE: dict[int | str, dict[str, Any]] = {
    200: {
        "description": "The file",
        "content": {"application/octet-stream": {"schema": {"type": "string", "format": "binary"}}},
    },
    **documented(401, 404),
}


class AttachmentOut(Out):
    """A file; `indicator` or `entry` is what it belongs to."""

    id: int = Field(examples=[3])
    name: str = Field(examples=["居民公约.pdf"])
    media_type: str = Field(examples=["application/pdf"])
    size_bytes: int = Field(examples=[18234])
    sha256: str
    indicator: str | None
    entry: int | None
    created_at: datetime
    created_by: str


class AttachmentsOut(Out):
    """A quarter's files, oldest first."""

    items: list[AttachmentOut]


@router.get("", summary="Files of a dossier", responses=documented(401, 404))
def list_dossier_attachments(context: Context, site: SiteInPath) -> AttachmentsOut:
    """Return the files of a quarter (500 at most)."""
    with context.registry.reader() as session:
        reads.one_site(session, site)
        return AttachmentsOut(items=[_out(one) for one in kept.attachments_of(session, site)])


@router.post(
    "", status_code=201, summary="Attach a file", responses=documented(401, 403, 404, 409, 413, 422, 503)
)
def add_dossier_attachment(
    context: Context, who: Who, site: SiteInPath,
    content: Annotated[bytes, Body(media_type="application/octet-stream", description="The file itself.")],
    name: Annotated[str, Query(min_length=1, max_length=200, examples=["居民公约.pdf"])],
    indicator: Annotated[str | None, Query(max_length=40, examples=["pact"])] = None,
    entry: Annotated[int | None, Query(ge=1, le=2**31 - 1)] = None,
) -> AttachmentOut:  # fmt: skip
    """Attach a PDF, photo (PNG, JPEG, WebP), Word document or Excel sheet of 8 MiB at most.

    What a file is is told by its content. A name is made safe.
    """
    folder = files_of(context)
    found = _demand_file(content)
    if indicator is not None and all(one.indicator(indicator) is None for one in shipped().values()):
        raise invalid("query.indicator", f"there is no indicator {indicator!r}")
    with context.registry.reader() as session:
        _demand_place(session, site, entry, len(content))
    sha256 = folder.keep(content)
    with context.registry.session() as session:
        _demand_place(session, site, entry, len(content))
        row = DossierAttachment(
            site=site, entry_id=entry, indicator=indicator, name=safe_name(name, found), media_type=found,
            size_bytes=len(content), sha256=sha256, created_at=context.clock.now(), created_by=who.name,
        )  # fmt: skip
        session.add(row)
        session.flush()
        detail = {"name": row.name, "sha256": sha256, "size_bytes": row.size_bytes}
        record(session, who.name, "dossier.file.add", f"{site}/file:{row.id}", context.wall.now(), detail)
        return _out(row)


@router.get("/{attachment_id}", summary="Download a file", response_class=Response, responses=_FILE)
def get_dossier_attachment(context: Context, site: SiteInPath, attachment_id: AttachmentId) -> Response:
    """Return a file to be saved; a removed one too, since a frozen version may name it."""
    with context.registry.reader() as session:
        row = _attachment(session, site, attachment_id)
    content = files_of(context).read(row.sha256)
    if content is None:
        raise not_found(f"file {attachment_id} (its bytes are lost)")
    ascii_name = row.name.encode("ascii", "replace").decode().replace("?", "_")
    disposition = f"attachment; filename=\"{ascii_name}\"; filename*=UTF-8''{quote(row.name, safe='')}"
    headers = {
        "Content-Disposition": disposition, "ETag": f'"{row.sha256}"', "Cache-Control": "private, no-cache",
        "Content-Security-Policy": "default-src 'none'; sandbox",
    }  # fmt: skip
    return Response(content, media_type=row.media_type, headers=headers)


@router.delete(
    "/{attachment_id}", status_code=204, summary="Remove a file", responses=documented(401, 403, 404)
)
def remove_dossier_attachment(
    context: Context, who: Who, site: SiteInPath, attachment_id: AttachmentId
) -> None:
    """Take a file out of the dossier; versions frozen before keep it."""
    with context.registry.session() as session:
        row = _attachment(session, site, attachment_id)
        if row.removed_at is None:
            row.removed_at = context.clock.now()
            record(session, who.name, "dossier.file.remove", f"{site}/file:{row.id}", context.wall.now())


def _demand_file(content: bytes) -> str:
    if len(content) > MOST_BYTES:
        raise ApiProblem(413, "too_large", f"a file may have {MOST_BYTES >> 20} MiB at most")
    try:
        return media_type(content)
    except BadFile as error:
        raise invalid("body", str(error)) from None


def _demand_place(session: Session, site: str, entry: int | None, size: int) -> None:
    reads.one_site(session, site)
    if entry is not None and kept.find_entry(session, site, entry) is None:
        raise invalid("query.entry", f"there is no entry {entry} at {site!r}")
    count, kept_bytes = kept.attached_bytes(session, site)
    if count >= MOST_FILES or kept_bytes + size > MOST_BYTES_OF_SITE:
        told = f"a quarter may have {MOST_FILES} files and {MOST_BYTES_OF_SITE >> 20} MiB in all"
        raise ApiProblem(409, "not_possible", told)


def _attachment(session: Session, site: str, attachment_id: int) -> DossierAttachment:
    reads.one_site(session, site)
    row = kept.find_attachment(session, site, attachment_id)
    if row is None:
        raise not_found(f"file {attachment_id} at {site!r}")
    return row


def _out(row: DossierAttachment) -> AttachmentOut:
    return AttachmentOut(
        id=row.id, name=row.name, media_type=row.media_type, size_bytes=row.size_bytes, sha256=row.sha256,
        indicator=row.indicator, entry=row.entry_id, created_at=row.created_at, created_by=row.created_by,
    )  # fmt: skip
