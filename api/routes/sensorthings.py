"""OGC SensorThings API 1.1, for reading: every path below one root."""

from __future__ import annotations

from typing import Annotated, Any, Final

import msgspec
from fastapi import APIRouter, Path, Query, Request, Response

from api.context import ApiContext
from api.guard import Context, Who
from api.problems import ApiProblem, FieldFault, documented, not_found
from api.sensorthings.faults import Fault, NotOffered
from api.sensorthings.inventory import Inventory
from api.sensorthings.readers import Readers
from api.sensorthings.service import Missing, Service, root_document

_ROOT: Final = "/sensorthings/v1.1"
router = APIRouter(tags=["sensorthings"], prefix=_ROOT)

_JSON: Final = "application/json"
_EXAMPLE_ROOT: Final = "https://quietwater.example/api/v1/sensorthings/v1.1"
_EXAMPLE_THING: Final = f"{_EXAMPLE_ROOT}/Things('device.quiet-garden.east-gate')"
_OBJECT: Final[dict[str, Any]] = {"type": "object"}
_FOUND: Final[dict[int | str, dict[str, Any]]] = {
    200: {
        "description": "An entity, a collection (`value`, `@iot.count`, `@iot.nextLink`), a property, or its bare text",
        "content": {
            _JSON: {
                "schema": _OBJECT,
                "example": {
                    "value": [
                        {
                            "@iot.id": "device.quiet-garden.east-gate",
                            "@iot.selfLink": _EXAMPLE_THING,
                            "name": "quiet-garden/east-gate",
                            "description": "静园小区 东门 · Quiet Garden, East gate",
                            "properties": {"site": "quiet-garden", "device": "east-gate", "indicative": True},
                            "Datastreams@iot.navigationLink": f"{_EXAMPLE_THING}/Datastreams",
                        }
                    ]
                },
            },
            "text/plain": {"schema": {"type": "string"}, "example": "quiet-garden/east-gate"},
        },
    },
    **documented(400, 401, 404, 422, 501, 503),
}
_SERVICE: Final[dict[int | str, dict[str, Any]]] = {
    200: {
        "description": "The sets of entities, and what of the standard is offered in full",
        "content": {
            _JSON: {
                "schema": _OBJECT,
                "example": {
                    "value": [{"name": "Things", "url": f"{_EXAMPLE_ROOT}/Things"}],
                    "serverSettings": {},
                },
            }
        },
    },
    **documented(400, 401),
}


def _option(name: str, description: str) -> Any:
    return Query(alias=name, description=description)


@router.get("", summary="SensorThings: root", response_class=Response, responses=_SERVICE)
def get_sensorthings_root(request: Request, context: Context, _who: Who) -> Response:
    """Return the root document of SensorThings 1.1."""
    for name in request.query_params:
        raise _problem(Fault(name[:80], f"the root takes no options; leave {name[:80]!r} out"))
    return _json(root_document(_root_of(request, context)))


@router.get("/{path:path}", summary="SensorThings: entities", response_class=Response, responses=_FOUND)
def get_sensorthings(
    request: Request, context: Context, who: Who,
    path: Annotated[str, Path(description="Path of an entity or collection.", examples=["Things"])],
    _top: Annotated[str | None, _option("$top", "Entities of a page; pages hold 1,000 at most.")] = None,
    _skip: Annotated[str | None, _option("$skip", "Entities to leave out first.")] = None,
    _count: Annotated[str | None, _option("$count", "true: tell how many there are.")] = None,
    _orderby: Annotated[str | None, _option("$orderby", "Such as `phenomenonTime desc`.")] = None,
    _filter: Annotated[str | None, _option("$filter", "Comparisons joined by `and`.")] = None,
    _select: Annotated[str | None, _option("$select", "Properties to tell.")] = None,
    _expand: Annotated[str | None, _option("$expand", "Navigations to write out, one level deep.")] = None,
    _skiptoken: Annotated[str | None, _option("$skiptoken", "Where a page goes on; of `@iot.nextLink`.")] = None,
) -> Response:  # fmt: skip
    """Return what lies at a path of SensorThings 1.1, of the quarters that the user may see. See docs/uplinks.md."""
    if not path.strip("/"):
        return get_sensorthings_root(request, context, who)
    with context.registry.reader() as session:
        inventory = Inventory(session, who)
        readers = Readers(context.series, session, context.clock.now(), inventory.site)
        service = Service(inventory, readers, _root_of(request, context))
        try:
            found = service.answer(path, request.query_params.multi_items())
        except Missing as missing:
            raise not_found(str(missing)) from None
        except Fault as fault:
            raise _problem(fault) from None
    return Response(found, media_type="text/plain") if isinstance(found, str) else _json(found)


def _problem(fault: Fault) -> ApiProblem:
    errors = [FieldFault(where=fault.where, message=str(fault))]
    if isinstance(fault, NotOffered):
        return ApiProblem(501, "not_offered", str(fault), errors=errors)
    return ApiProblem(400, "bad_query", str(fault), errors=errors)


def _root_of(request: Request, context: ApiContext) -> str:
    base = context.config.base_url or str(request.base_url)
    return f"{base.rstrip('/')}/api/v1{_ROOT}"


def _json(body: object) -> Response:
    return Response(msgspec.json.encode(body), media_type=_JSON)
