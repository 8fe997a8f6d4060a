"""The AsyncAPI 3.0 description of the topics, made from the contract; ``docs/asyncapi.yaml`` is a copy of it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any, Final

from contract.messages import SLUG_PATTERN
from contract.topics import MESSAGE_MODELS, PREFIX, READING_MODELS

_SUMMARIES: Final[dict[str, str]] = {
    "noise": "One second of noise levels each; 1 to 600 of them.",
    "spectrum": "One minute's LAF histogram and 1/3-octave Leq each; 1 to 600 of them.",
    "water": "One reading of a water meter's register each; 1 to 600 of them.",
    "event": "Something that happened at the device each; 1 to 600 of them.",
    "status": 'Health of the device. Retained; the last will is {"state": "offline"}.',
    "stored": "What the series store has committed, and what the server will never store, as ranges of seq.",
    "config": "Configuration of the device. Retained.",
}
_TO_DEVICE: Final = frozenset({"stored", "config"})
_RETAINED: Final = frozenset({"status", "config"})


def document() -> dict[str, Any]:
    """Return the description as data, from the server's point of view (``receive`` is what devices publish)."""
    return {
        "asyncapi": "3.0.0",
        "info": {
            "title": "Quietwater devices",
            "version": PREFIX.removeprefix("qw/"),
            "description": (
                "What a device and the server say to each other over MQTT (5 or 3.1.1), at QoS 1. A device may publish "
                "and subscribe under its own topics alone. It keeps every reading until `stored` names its seq."
            ),
            "license": {"name": "Apache-2.0"},
        },
        "defaultContentType": "application/json",
        "channels": {kind: _channel(kind) for kind in MESSAGE_MODELS},
        "operations": {_operation_name(kind): _operation(kind) for kind in MESSAGE_MODELS},
    }


def asyncapi_yaml() -> str:
    """Return :func:`document` as YAML."""
    note = "# Made from the contract by `python -m contract docs`; do not edit.\n"
    return note + "\n".join(_lines(document(), 0)) + "\n"


def _channel(kind: str) -> dict[str, Any]:
    return {
        "address": f"{PREFIX}/{{site}}/{{device}}/{kind}",
        "summary": _SUMMARIES[kind],
        "parameters": {
            "site": {"description": f"Name of the site; matches {SLUG_PATTERN}"},
            "device": {"description": f"Name of the device; matches {SLUG_PATTERN}"},
        },
        "messages": {
            MESSAGE_MODELS[kind].__name__ + ("s" if kind in READING_MODELS else ""): {
                "payload": {"$ref": f"./schema/{kind}.schema.json"}
            }
        },
    }


def _operation_name(kind: str) -> str:
    return f"{'send' if kind in _TO_DEVICE else 'receive'}-{kind}"


def _operation(kind: str) -> dict[str, Any]:
    return {
        "action": "send" if kind in _TO_DEVICE else "receive",
        "channel": {"$ref": f"#/channels/{kind}"},
        "bindings": {"mqtt": {"qos": 1, "retain": kind in _RETAINED, "bindingVersion": "0.2.0"}},
    }


def _lines(node: dict[str, Any], depth: int) -> Iterator[str]:
    for key, value in node.items():
        name = key if key.replace("-", "").isalnum() else json.dumps(key)
        if isinstance(value, dict):
            yield f"{'  ' * depth}{name}:"
            yield from _lines(value, depth + 1)  # pyright: ignore[reportUnknownArgumentType]
        else:
            yield f"{'  ' * depth}{name}: {json.dumps(value, ensure_ascii=False)}"
