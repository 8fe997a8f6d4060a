"""How an alert was handled: notes, photos, "done"."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Body, Path, Response
from pydantic import BaseModel, Field

from api.attached_files import files_of
from api.audit import record
from api.guard import Context, Who
from api.problems import ApiProblem, documented, invalid, not_found
from api.refusals import refusals
from api.routes.alerts import AlertId, visible_alert
from api.schemas import Out
from store.registry.attached_files import MOST_BYTES, BadFile, media_type
from store.registry.handling import (
    MOST_TEXT,
    PHOTO_TYPES,
    AlertHandling,
    add_handling,
    demand_room,
    handling_of,
)

router = APIRouter(tags=["alerts"], prefix="/alerts/{alert_id}")

_PHOTO: dict[int | str, dict[str, Any]] = {
    200: {
        "description": "The photo",
        "content": {one: {"schema": {"type": "string", "format": "binary"}} for one in PHOTO_TYPES},
    },
    **documented(401, 404),
}


class HandlingOut(Out):
    """One line about how an alert was handled. That of a photo is at `/alerts/{alert_id}/photos/{id}`."""

    id: int = Field(examples=[5])
    at: datetime
    who: str = Field(examples=["li.wei"])
    kind: Literal["note", "photo", "done"]
    text: str = Field(examples=["阀门已更换"])


class HandlingsOut(Out):
    """All lines about an alert, oldest first (200 at most)."""

    items: list[HandlingOut]


class NoteIn(BaseModel):
    """A note, and whether it says that the work is done. An alert still ends by its measurement alone."""

    text: str = Field(max_length=MOST_TEXT, examples=["阀门已更换"])
    done: bool = False


@router.get("/handling", summary="How an alert was handled", responses=documented(401, 404))
def list_handling(context: Context, who: Who, alert_id: AlertId) -> HandlingsOut:
    """Return notes, photos and "done", oldest first."""
    with context.registry.reader() as session:
        visible_alert(session, who, alert_id)
        return HandlingsOut(items=[_out(one) for one in handling_of(session, alert_id)])


@router.post(
    "/notes", status_code=201, summary='A note, or "done"', responses=documented(401, 403, 404, 409, 422)
)
def add_alert_note(context: Context, who: Who, alert_id: AlertId, given: NoteIn) -> HandlingOut:
    """Write down what was found or done. Nothing is changed or removed afterwards."""
    if not given.text.strip() and not given.done:
        raise invalid("body.text", "the note is empty")
    kind: Literal["done", "note"] = "done" if given.done else "note"
    with context.registry.session() as session:
        visible_alert(session, who, alert_id)
        with refusals():
            row = add_handling(
                session, alert_id, kind, who=who.name, now=context.clock.now(), text=given.text
            )
        record(
            session, who.name, f"alert.{kind}", f"alert:{alert_id}", context.wall.now(), {"text": row.text}
        )
        return _out(row)


@router.post(
    "/photos", status_code=201, summary="A photo", responses=documented(401, 403, 404, 409, 413, 422, 503)
)
def add_alert_photo(
    context: Context, who: Who, alert_id: AlertId,
    content: Annotated[bytes, Body(media_type="application/octet-stream", description="The file itself.")],
) -> HandlingOut:  # fmt: skip
    """Add a photo (JPEG, PNG or WebP, told by its content) of 8 MiB at most."""
    folder = files_of(context)
    found = _demand_photo(content)
    with context.registry.reader() as session:
        visible_alert(session, who, alert_id)
        with refusals():
            demand_room(session, alert_id, "photo")
    sha256 = folder.keep(content)
    with context.registry.session() as session:
        with refusals():
            row = add_handling(
                session, alert_id, "photo", who=who.name, now=context.clock.now(), photo=(sha256, found)
            )
        detail = {"sha256": sha256, "size_bytes": len(content)}
        record(session, who.name, "alert.photo", f"alert:{alert_id}", context.wall.now(), detail)
        return _out(row)


@router.get("/photos/{entry_id}", summary="Show a photo", response_class=Response, responses=_PHOTO)
def get_alert_photo(
    context: Context, who: Who, alert_id: AlertId, entry_id: Annotated[int, Path(ge=1, le=2**31 - 1)]
) -> Response:
    """Return a photo as it was sent."""
    with context.registry.reader() as session:
        visible_alert(session, who, alert_id)
        row = session.get(AlertHandling, entry_id)
    if row is None or row.alert_id != alert_id or row.photo_sha256 is None:
        raise not_found(f"photo {entry_id} of alert {alert_id}")
    content = files_of(context).read(row.photo_sha256)
    if content is None:
        raise not_found(f"photo {entry_id} (its bytes are lost)")
    headers = {
        "ETag": f'"{row.photo_sha256}"', "Cache-Control": "private, no-cache", "Content-Disposition": "inline",
        "Content-Security-Policy": "default-src 'none'; sandbox",
    }  # fmt: skip
    return Response(content, media_type=row.photo_type, headers=headers)


def _demand_photo(content: bytes) -> str:
    if len(content) > MOST_BYTES:
        raise ApiProblem(413, "too_large", f"a photo may have {MOST_BYTES >> 20} MiB at most")
    try:
        found = media_type(content)
    except BadFile:
        found = ""
    if found not in PHOTO_TYPES:
        raise invalid("body", "a photo is a JPEG, PNG or WebP file")
    return found


def _out(row: AlertHandling) -> HandlingOut:
    return HandlingOut(id=row.id, at=row.at, who=row.who, kind=row.kind, text=row.text)
