"""Put the application together."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, Final

from fastapi import APIRouter, Depends, FastAPI, Request, Response
from starlette.middleware.gzip import GZipMiddleware

from api import problems
from api.access import OPERATIONS
from api.cache import Caches
from api.context import ApiContext
from api.etags import EntityTags
from api.guard import CSRF_HEADER, Who, guard
from api.headers import BodyLimit, SecurityHeaders
from api.metrics import MeasureRequests, ServerMetrics
from api.openapi import finish
from api.pages import Pages
from api.present import PresentBoard
from api.ratelimit import RateLimit
from api.reports.build import report_desk
from api.request_log import RequestLog
from api.routes import (
    alerts,
    certificates,
    checks,
    city,
    contacts,
    dossier_files,
    dossier_registers,
    dossier_surveys,
    dossiers,
    enrolment,
    exclusions,
    exports,
    fleet,
    fleet_devices,
    handling,
    health,
    judging,
    live,
    metrics,
    noise,
    noise_day,
    patterns,
    presets,
    provisioning,
    records,
    reports,
    rules,
    second_factor,
    sensorthings,
    session,
    sites,
    tokens,
    users,
    water,
    water_account,
)
from api.throttle import LoginThrottle
from api.version import VERSION
from store.registry.attached_files import MOST_BYTES

_MOST_BODY: Final = 256 << 10
_LARGER_BODIES: Final = (
    (r"/api/v1/sites/[^/]+/dossier/attachments", MOST_BYTES),
    (r"/api/v1/alerts/\d+/photos", MOST_BYTES),
)
"""Paths to which files are sent, and how large these may be."""
_PREFIX: Final = "/api/v1"
_VERSIONED: Final = (
    judging, noise_day, exclusions, checks, water_account, presets,
    dossiers, dossier_registers, dossier_files, dossier_surveys,
    session, second_factor, contacts, tokens, sites, city, provisioning, enrolment, certificates, fleet, fleet_devices,
    noise, patterns, water, exports, alerts, handling, rules, live, records, reports, users, sensorthings,
)  # fmt: skip
_DESCRIPTION: Final = f"""
How quiet residential quarters are and how carefully they use water.

Times are ISO 8601, UTC. Levels are dB re 20 µPa in full precision. Log in with `POST {_PREFIX}/login`: the session is a
cookie, and every change needs the header `{CSRF_HEADER}` with the token that `GET {_PREFIX}/me` returns. Errors are
`application/problem+json` with a stable `code`. `indicative: true` marks results of meters that are not type approved:
indicative, not for enforcement.
"""


def create_app(context: ApiContext) -> FastAPI:
    """Return the application: the API under ``/api/v1``, health, and the page at ``/``.

    Raises ``RuntimeError`` where an operation has no row in the table of access, or a row no operation.
    """
    app = FastAPI(
        title="Quietwater", version=VERSION, description=_DESCRIPTION.strip(), lifespan=_lifespan,
        openapi_url=None, docs_url=None, redoc_url=None, redirect_slashes=False,
        generate_unique_id_function=lambda route: route.name,
        license_info={"name": "Apache-2.0", "identifier": "Apache-2.0"},
    )  # fmt: skip
    app.state.context = context
    app.state.throttle = LoginThrottle()
    app.state.present = PresentBoard(context.series)
    app.state.rates = RateLimit()
    app.state.metrics = ServerMetrics(context)
    app.state.caches = Caches()
    app.state.reports = report_desk(context)
    problems.install(app)
    app.include_router(_api())
    document = finish(problems.document(app.openapi()), OPERATIONS)
    app.openapi = lambda: document
    _add_pages(app, Pages())
    app.add_middleware(EntityTags, prefix=_PREFIX)
    app.add_middleware(GZipMiddleware, minimum_size=1024, compresslevel=5)
    app.add_middleware(MeasureRequests, metrics=app.state.metrics)
    app.add_middleware(BodyLimit, most_bytes=_MOST_BODY, larger=_LARGER_BODIES)
    app.add_middleware(RequestLog, spans=context.spans)
    app.add_middleware(
        SecurityHeaders,
        secure=context.config.cookie_secure,
        images=[one.origin for one in context.config.tiles],
    )
    _demand_access_table(app)
    return app


def _api() -> APIRouter:
    guarded = APIRouter(dependencies=[Depends(guard)])
    guarded.include_router(health.router)
    guarded.include_router(metrics.router)
    versioned = APIRouter(prefix=_PREFIX)
    for module in _VERSIONED:
        versioned.include_router(module.router)
    versioned.add_api_route(
        "/openapi.json", get_openapi, methods=["GET"], tags=["health"], summary="This document",
        responses=problems.documented(401),
    )  # fmt: skip
    guarded.include_router(versioned)
    return guarded


def get_openapi(request: Request, _who: Who) -> dict[str, Any]:
    """Return the OpenAPI document."""
    return request.app.openapi()


def _add_pages(app: FastAPI, pages: Pages) -> None:
    app.state.pages = pages

    async def page(request: Request) -> Response:
        return pages.root(request, "index.html")

    async def linked_alert(request: Request) -> Response:
        return pages.root(request, "ack.html")

    async def survey(request: Request) -> Response:
        return pages.root(request, "survey.html")

    async def root_file(request: Request) -> Response:
        return pages.root(request, request.url.path.removeprefix("/"))

    async def asset(request: Request) -> Response:
        return pages.asset(request, request.path_params["digest"], request.path_params["name"])

    app.router.add_route("/", page)
    app.router.add_route("/ack/{token}", linked_alert)
    app.router.add_route("/survey/{token}", survey)
    app.router.add_route("/sw.js", root_file)
    app.router.add_route("/manifest.webmanifest", root_file)
    app.router.add_route("/assets/{digest}/{name:path}", asset)


def _demand_access_table(app: FastAPI) -> None:
    operations = {
        operation["operationId"] for path in app.openapi()["paths"].values() for operation in path.values()
    }
    if operations != set(OPERATIONS):
        without_row, without_operation = operations - set(OPERATIONS), set(OPERATIONS) - operations
        raise RuntimeError(
            "api.access.OPERATIONS must have one row for each operation: "
            f"without row {sorted(without_row)}, without operation {sorted(without_operation)}"
        )


@asynccontextmanager
async def _lifespan(app: FastAPI) -> AsyncIterator[None]:
    context: ApiContext = app.state.context
    context.live.bind(asyncio.get_running_loop())
    try:
        yield
    finally:
        context.live.unbind()
        await asyncio.to_thread(app.state.reports.close)
