"""The OpenAPI document, completed: who may call what, the answers that every operation can give, and examples.

Examples are put together from those of the fields, so that they always have the shape of the schema.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from api.access import Access
from api.problems import documented

_JSON: Final = "application/json"
_DEEPEST: Final = 8
_BY_NAME: Final[Mapping[str, Any]] = {
    "site": "quiet-garden", "device": "east-gate", "meter": "b1-0302", "source": "east-gate", "who": "li.wei",
    "zh": "静园小区", "en": "Quiet Garden", "timezone": "Asia/Shanghai", "standard": "GB 3096-2008",
    "clause": "5.1, table 1", "note": "on my way", "reason": "works on the water main", "unit": "dB",
    "laeq_db": 47.3, "lafmax_db": 61.0, "lafmin_db": 38.2, "laf_db": 47.1, "l5_db": 52.0, "l10_db": 50.1,
    "l50_db": 45.9, "l90_db": 41.8, "l95_db": 41.0, "ld_db": 51.2, "ln_db": 42.7, "limit_db": 45.0,
    "volume_l": 128.5, "register_ml": 123456000, "valid_share": 0.98, "valid_s": 3528.0, "detail": {},
    "token": "q3Jk0c3mB5dPq0s6sWvU2yJm1x8Zb7rT", "code": "123456", "csrf_token": "JgYc2u8vQk6m1tZx",
    "password": "correct-horse-battery", "latitude": 39.96, "longitude": 116.31, "district": "海淀区",
    "country": "CN", "day_starts_h": 6, "night_starts_h": 22,
    "name": "li.wei", "username": "quiet-garden.east-gate", "alert_id": 17, "url": "mailto://user:…@example.org",
}  # fmt: skip
_BY_FORMAT: Final[Mapping[str, str]] = {
    "date-time": "2026-03-01T12:00:00Z", "date": "2026-03-01", "time": "22:00:00", "uri": "https://quietwater.example",
}  # fmt: skip


def finish(document: dict[str, Any], operations: Mapping[str, Access]) -> dict[str, Any]:
    """Complete a document in place and return it. ``operations`` is the table of access."""
    schemas = document["components"]["schemas"]
    document["components"]["securitySchemes"] = {
        "session": {
            "type": "apiKey", "in": "cookie", "name": "qw_session",
            "description": "Set by `POST /api/v1/login`; changes need the header `X-CSRF-Token` too.",
        },
        "token": {"type": "http", "scheme": "bearer", "description": "A program's token with the scopes named."},
    }  # fmt: skip
    for path in document["paths"].values():
        for operation in path.values():
            access = operations.get(operation["operationId"], Access())
            _add_access(operation, access)
            _add_common_answers(operation, access)
            _add_examples(operation, schemas)
    return document


def example_of(schema: Mapping[str, Any], schemas: Mapping[str, Any], name: str = "", depth: int = 0) -> Any:
    """Return an instance of a JSON Schema as pydantic writes them; ``schemas`` resolves its references."""
    if "$ref" in schema:
        schema = schemas[schema["$ref"].rpartition("/")[2]]
    if schema.get("examples"):
        return schema["examples"][0]
    for key in ("example", "const", "default"):
        if schema.get(key) is not None:
            return schema[key]
    if "enum" in schema:
        return schema["enum"][0]
    for key in ("anyOf", "oneOf", "allOf"):
        if key in schema:
            return example_of(_first_real(schema[key]), schemas, name, depth)
    return _by_type(schema, schemas, name, depth)


def _by_type(schema: Mapping[str, Any], schemas: Mapping[str, Any], name: str, depth: int) -> Any:
    kind = schema.get("type")
    if kind == "object":
        fields = schema.get("properties", {}) if depth < _DEEPEST else {}
        return {key: example_of(one, schemas, key, depth + 1) for key, one in fields.items()}
    if kind == "array":
        if schema.get("prefixItems"):
            return [example_of(one, schemas, name, depth + 1) for one in schema["prefixItems"]]
        if depth >= _DEEPEST or not schema.get("items"):
            return []
        return [example_of(schema["items"], schemas, name, depth + 1)] * max(1, schema.get("minItems", 1))
    known = _BY_NAME.get(name)
    if kind == "string":
        return _text(schema, known if isinstance(known, str) else None)
    if kind in ("integer", "number"):
        return _number(schema, kind, known)
    return True if kind == "boolean" else {}


def _text(schema: Mapping[str, Any], known: str | None) -> str:
    if schema.get("format") in _BY_FORMAT:
        return _BY_FORMAT[schema["format"]]
    return (known or "text").ljust(schema.get("minLength", 0), "x")[: schema.get("maxLength")]


def _number(schema: Mapping[str, Any], kind: str, known: Any) -> float:
    low, high = schema.get("minimum", 0), schema.get("maximum", float("inf"))
    value = known if isinstance(known, int | float) else 3
    value = low + 1 if "exclusiveMinimum" in schema and value <= low else min(max(value, low), high)
    return int(value) if kind == "integer" else float(value)


def _first_real(options: list[Mapping[str, Any]]) -> Mapping[str, Any]:
    return next((one for one in options if one.get("type") != "null"), options[0])


def _add_access(operation: dict[str, Any], access: Access) -> None:
    if access.public:
        operation["security"] = []
        return
    operation["security"] = [{"session": []}, *([{"token": [access.scope]}] if access.scope else [])]
    operation["x-roles"] = sorted(access.roles)


def _add_common_answers(operation: dict[str, Any], access: Access) -> None:
    statuses = [429] if access.public else [401, 403, 429]
    if "requestBody" in operation:
        statuses += [403, 413, 422]
    if operation.get("parameters"):
        statuses += [422]
    for status in statuses:
        operation["responses"].setdefault(str(status), documented(status)[status])


def _add_examples(operation: dict[str, Any], schemas: Mapping[str, Any]) -> None:
    bodies = [answer.get("content", {}) for code, answer in operation["responses"].items() if code < "300"]
    bodies.append(operation.get("requestBody", {}).get("content", {}))
    for content in bodies:
        body = content.get(_JSON)
        if body and "example" not in body and "examples" not in body:
            body["example"] = example_of(body.get("schema", {}), schemas)
    for one in operation.get("parameters", ()):
        if "example" not in one and not one.get("schema", {}).get("examples") and one.get("required"):
            one["example"] = example_of(one["schema"], schemas, one["name"])
