"""One shape for every error: ``application/problem+json`` (RFC 9457) with a code for programs and words for people."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from http import HTTPStatus
from typing import Any, Final

import structlog
from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from pydantic import BaseModel, Field
from sqlalchemy.exc import DataError
from starlette.exceptions import HTTPException

from store.registry.database import RegistryUnavailable
from store.series.interface import StoreUnavailable

log = structlog.get_logger(__name__)

MEDIA_TYPE: Final = "application/problem+json"
CODES: Final = {
    400: "bad_request", 401: "login_required", 403: "not_allowed", 404: "not_found", 405: "method_not_allowed",
    409: "conflict", 413: "too_large", 415: "unsupported_media_type", 422: "invalid_input",
    429: "too_many_requests", 503: "unavailable",
}  # fmt: skip


class FieldFault(BaseModel):
    """One part of the input that does not fit."""

    where: str = Field(description="Path to the part, such as `query.start`.", examples=["query.start"])
    message: str = Field(examples=["Input should have timezone info"])


class Problem(BaseModel):
    """An error. `code` is stable; `detail` is a sentence that names cause and cure."""

    type: str = Field(examples=["urn:quietwater:problem:not_found"])
    title: str = Field(examples=["Not Found"])
    status: int = Field(examples=[404])
    code: str = Field(examples=["not_found"])
    detail: str = Field(examples=["there is no site 'quiet-garden' that you may see"])
    errors: list[FieldFault] = Field(
        default=[], description="The faulty parts of the input, where it was that."
    )
    request_id: str = Field(
        default="", description="Of this request, also in `X-Request-Id` and in the server's log.",
        examples=["4f1c0de2a97b3358"],
    )  # fmt: skip


class ApiProblem(Exception):
    """Raise to answer with a problem."""

    def __init__(
        self, status: int, code: str, detail: str, *, headers: Mapping[str, str] | None = None,
        errors: Sequence[FieldFault] = (),
    ) -> None:  # fmt: skip
        super().__init__(detail)
        self.status = status
        self.code = code
        self.detail = detail
        self.headers = dict(headers or {})
        self.errors = list(errors)


def not_found(what: str) -> ApiProblem:
    """Return the one answer for what is not there and for what the user may not see."""
    return ApiProblem(404, "not_found", f"there is no {what} that you may see")


def invalid(where: str, message: str) -> ApiProblem:
    """Return the answer to one part of the input that does not fit."""
    return ApiProblem(422, "invalid_input", message, errors=[FieldFault(where=where, message=message)])


def problem_response(problem: ApiProblem) -> Response:
    """Render a problem."""
    body = Problem(
        type=f"urn:quietwater:problem:{problem.code}",
        title=HTTPStatus(problem.status).phrase,
        status=problem.status,
        code=problem.code,
        detail=problem.detail,
        errors=problem.errors,
        request_id=structlog.contextvars.get_contextvars().get("request_id", ""),
    )
    return JSONResponse(
        body.model_dump(), status_code=problem.status, media_type=MEDIA_TYPE,
        headers={"Cache-Control": "no-store", **problem.headers},
    )  # fmt: skip


def install(app: FastAPI) -> None:
    """Make every error of the application a problem; what nothing here knows, ``api.request_log`` answers."""
    app.add_exception_handler(ApiProblem, _on_problem)
    app.add_exception_handler(HTTPException, _on_http)
    app.add_exception_handler(RequestValidationError, _on_validation)
    app.add_exception_handler(StoreUnavailable, _on_unavailable)
    app.add_exception_handler(RegistryUnavailable, _on_registry_unavailable)
    app.add_exception_handler(DataError, _on_value_not_taken)


def documented(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """Return the OpenAPI entries of a route's errors."""
    return {
        status: {
            "description": HTTPStatus(status).phrase,
            "content": {MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/Problem"}}},
        }
        for status in statuses
    }


def document(openapi: dict[str, Any]) -> dict[str, Any]:
    """Put the problem's schema into an OpenAPI document, also where the framework wrote its own error's."""
    schemas = openapi.setdefault("components", {}).setdefault("schemas", {})
    schema = Problem.model_json_schema(ref_template="#/components/schemas/{model}")
    schemas.update(schema.pop("$defs", {}))
    schemas["Problem"] = schema
    for own in ("HTTPValidationError", "ValidationError"):
        schemas.pop(own, None)
    for path in openapi["paths"].values():
        for operation in path.values():
            if "422" in operation["responses"]:
                operation["responses"]["422"] = documented(422)[422]
    return openapi


async def _on_problem(_request: Request, error: Exception) -> Response:
    assert isinstance(error, ApiProblem)
    return problem_response(error)


async def _on_http(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    code = CODES.get(error.status_code, "error")
    detail = str(error.detail)
    if error.status_code == 404:
        detail = f"there is nothing at {request.url.path[:200]}"
    return problem_response(ApiProblem(error.status_code, code, detail, headers=error.headers))


async def _on_validation(_request: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)
    faults = [
        FieldFault(where=".".join(str(part) for part in one["loc"]), message=str(one["msg"]))
        for one in error.errors()
    ]
    told = "; ".join(f"{fault.where}: {fault.message}" for fault in faults[:3])
    return problem_response(ApiProblem(422, "invalid_input", told, errors=faults[:20]))


async def _on_unavailable(_request: Request, error: Exception) -> Response:
    log.warning("the store cannot answer", cause=str(error))
    return problem_response(
        ApiProblem(
            503, "store_unavailable", "the store of readings cannot answer now; try again in a moment",
            headers={"Retry-After": "5"},
        )
    )  # fmt: skip


async def _on_registry_unavailable(_request: Request, error: Exception) -> Response:
    log.warning("the registry cannot answer", cause=str(error))
    return problem_response(
        ApiProblem(
            503, "registry_unavailable", "the registry cannot answer now; try again in a moment",
            headers={"Retry-After": "5"},
        )
    )  # fmt: skip


async def _on_value_not_taken(_request: Request, error: Exception) -> Response:
    """PostgreSQL takes no NUL in a text, and no number past a column's range, where SQLite does."""
    log.warning(
        "a value was not taken by the registry", cause=str(getattr(error, "orig", error)).split("\n")[0]
    )
    return problem_response(
        ApiProblem(422, "invalid_input", "a text with a NUL character or a number out of range")
    )
