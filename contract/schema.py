"""JSON Schema of every message, made from the models; ``docs/schema/`` holds a copy that a test compares."""

from __future__ import annotations

import inspect
import json
from typing import Any, Final

import msgspec

from contract.messages import MAX_READINGS
from contract.topics import MESSAGE_MODELS, READING_MODELS

_BEYOND: Final = {
    "noise": "t is the start of a whole second.",
    "spectrum": "t is the start of a whole minute; laf_bins ascend and are as many as laf_counts; "
    "bands_db needs first_band.",
}
"""What a decoder demands and a schema cannot say."""


def payload_schemas() -> dict[str, dict[str, Any]]:
    """Return the JSON Schema of the payload of each topic kind."""
    return {kind: _payload_schema(kind) for kind in MESSAGE_MODELS}


def schema_files() -> dict[str, str]:
    """Return the published files by name, ``noise.schema.json`` and so on."""
    return {
        f"{kind}.schema.json": json.dumps(schema, indent=2, ensure_ascii=False) + "\n"
        for kind, schema in payload_schemas().items()
    }


def _payload_schema(kind: str) -> dict[str, Any]:
    model = MESSAGE_MODELS[kind]
    (schema,), components = msgspec.json.schema_components([model], ref_template="#/$defs/{name}")
    for component in components.values():
        component["description"] = inspect.cleandoc(component["description"])
    body: dict[str, Any] = schema
    if kind in READING_MODELS:
        body = {"type": "array", "minItems": 1, "maxItems": MAX_READINGS, "items": schema}
    if kind in _BEYOND:
        body["description"] = _BEYOND[kind]
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": f"qw/v1/{{site}}/{{device}}/{kind}",
        **body,
        "$defs": components,
    }
