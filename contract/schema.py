"""JSON Schema of every message, made from the models; ``docs/schema/`` holds a copy that CI compares."""

from __future__ import annotations

from typing import Any

import msgspec

from contract.messages import MAX_READINGS
from contract.topics import MESSAGE_MODELS, READING_MODELS


def payload_schemas() -> dict[str, dict[str, Any]]:
    """Return the JSON Schema of the payload of each topic kind."""
    return {kind: _payload_schema(kind) for kind in MESSAGE_MODELS}


def _payload_schema(kind: str) -> dict[str, Any]:
    model = MESSAGE_MODELS[kind]
    (schema,), components = msgspec.json.schema_components([model], ref_template="#/$defs/{name}")
    body: dict[str, Any] = schema
    if kind in READING_MODELS:
        body = {"type": "array", "minItems": 1, "maxItems": MAX_READINGS, "items": schema}
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": f"qw/v1/{{site}}/{{device}}/{kind}",
        **body,
        "$defs": components,
    }
