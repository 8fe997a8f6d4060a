"""Whether the process is alive and whether it can do its work."""

from __future__ import annotations

import structlog
from fastapi import APIRouter, Response
from pydantic import Field
from sqlalchemy import text

from api.context import ApiContext
from api.guard import Context
from api.schemas import Out
from api.version import VERSION

log = structlog.get_logger(__name__)
router = APIRouter(tags=["health"])


class HealthOut(Out):
    """Alive: every loop goes round. Where one does not, the status is 503, and a restart of the process is the cure."""

    status: str = Field(examples=["ok"])
    version: str = Field(examples=["0.1.0"])
    stuck: list[str] = Field(default=[], description="Parts whose loop does not go round.")


class ReadyOut(Out):
    """Each part and whether it works; the answer's status is 503 where one does not."""

    ready: bool
    parts: dict[str, bool] = Field(examples=[{"registry": True, "series": True}])


@router.get(
    "/healthz", summary="Alive", responses={503: {"model": HealthOut, "description": "A part is stuck"}}
)
def healthz(context: Context, response: Response) -> HealthOut:
    """Ask every part whether its loop goes round."""
    stuck = [name for name, probe in context.alive.items() if not _works(lambda _c, p=probe: p(), context)]
    if stuck:
        response.status_code = 503
    return HealthOut(status="stuck" if stuck else "ok", version=VERSION, stuck=stuck)


@router.get(
    "/readyz", summary="Ready", responses={503: {"model": ReadyOut, "description": "A part does not work"}}
)
def readyz(context: Context, response: Response) -> ReadyOut:
    """Ask every part whether it works."""
    parts = {"registry": _works(_registry, context), "series": _works(_series, context)}
    for name, probe in context.ready.items():
        parts[name] = _works(lambda _context, probe=probe: probe(), context)
    ready = all(parts.values())
    if not ready:
        response.status_code = 503
    return ReadyOut(ready=ready, parts=parts)


def _registry(context: ApiContext) -> bool:
    with context.registry.reader() as session:
        return session.scalar(text("SELECT 1")) == 1


def _series(context: ApiContext) -> bool:
    context.series.newest()
    return True


def _works(probe: object, context: ApiContext) -> bool:
    assert callable(probe)
    try:
        return bool(probe(context))
    except Exception as error:  # whatever a part raises, it is not ready
        log.warning("a part is not ready", cause=f"{type(error).__name__}: {error}")
        return False
