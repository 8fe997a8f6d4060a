"""The stream of what happens now (server-sent events)."""

from __future__ import annotations

import json
import time
from collections.abc import AsyncIterator
from typing import Annotated, Final

from anyio import to_thread
from fastapi import APIRouter, Header, Query
from sse_starlette import EventSourceResponse, ServerSentEvent

from api.access import Identity
from api.context import ApiContext
from api.guard import Context, Who, identify_again
from api.live_hub import Subscription, TooManyClients, frame
from api.problems import ApiProblem, documented, not_found
from api.routes.session import clock_out
from store.registry.models import Site

router = APIRouter(tags=["live"])

_HEARTBEAT_S: Final = 10
_RECHECK_S: Final = 20.0
_SEND_TIMEOUT_S: Final = 30.0

_STREAM = {
    200: {
        "description": "Events: `levels` (newest second of devices), `water` (newest readings of meters), `alert`, "
        "`device`, `edge_event`, `clock` (heartbeat), `resync` (something was missed: load anew), `bye` (the "
        "session is over).",
        "content": {
            "text/event-stream": {
                "schema": {"type": "string"},
                "example": 'event: levels\ndata: {"levels":[{"site":"quiet-garden","device":"east-gate",'
                '"t":"2026-03-01T12:00:00Z","laeq_db":47.3,"lafmax_db":52.1,"valid":true}]}\n\n',
            }
        },
    }
}


@router.get(
    "/live", summary="What happens now (server-sent events)", response_class=EventSourceResponse,
    responses={**_STREAM, **documented(401, 404, 422, 503)},
)  # fmt: skip
async def stream_live(
    context: Context, who: Who,
    site: Annotated[str | None, Query(max_length=32, description="One quarter; without it all you may see.")] = None,
    last_event_id: Annotated[str, Header(max_length=64)] = "",
) -> EventSourceResponse:  # fmt: skip
    """Push levels within a moment of their arrival, and alerts and states of devices with an id for resuming."""
    if site is not None and not await to_thread.run_sync(_exists, context, site):
        raise not_found(f"site {site!r}")
    wanted = who.sites if site is None else frozenset({site})
    try:
        page = context.live.subscribe(wanted, last_event_id)
    except TooManyClients:
        raise ApiProblem(
            503, "too_many_streams", "this server has no room for another open page; try again later",
            headers={"Retry-After": "30"},
        ) from None  # fmt: skip
    return EventSourceResponse(
        _frames(context, who, page),
        ping=_HEARTBEAT_S,
        ping_message_factory=lambda: ServerSentEvent(_clock(context), event="clock", sep="\n"),
        send_timeout=_SEND_TIMEOUT_S,
        sep="\n",
    )


async def _frames(context: ApiContext, who: Identity, page: Subscription) -> AsyncIterator[bytes]:
    checked = time.monotonic()
    try:
        yield frame("clock", _clock(context).encode())
        async for one in page.frames():
            if time.monotonic() - checked > _RECHECK_S:
                checked = time.monotonic()
                if not await to_thread.run_sync(_still_valid, context, who):
                    yield frame("bye", b"{}")
                    return
            yield one
    finally:
        context.live.unsubscribe(page)


def _still_valid(context: ApiContext, who: Identity) -> bool:
    now = identify_again(who, context)
    return now is not None and (now.sites, now.role, now.scopes) == (who.sites, who.role, who.scopes)


def _exists(context: ApiContext, site: str) -> bool:
    with context.registry.reader() as session:
        return session.get(Site, site) is not None


def _clock(context: ApiContext) -> str:
    return json.dumps(clock_out(context).model_dump())
