"""The OpenAPI document: an example of everything, each of the shape that the document says."""

from __future__ import annotations

from typing import Any

from fastapi import FastAPI
from jsonschema import Draft202012Validator

from api.access import OPERATIONS
from api.openapi import example_of


def every_operation(app: FastAPI) -> list[tuple[str, dict[str, Any]]]:
    return [
        (operation["operationId"], operation)
        for path in app.openapi()["paths"].values()
        for operation in path.values()
    ]


def faults(app: FastAPI, schema: dict[str, Any], example: Any) -> list[str]:
    document = {"components": app.openapi()["components"], **schema}
    return [one.message for one in Draft202012Validator(document).iter_errors(example)]


def test_every_answer_and_every_body_has_an_example_of_its_own_shape(app: FastAPI) -> None:
    checked = 0
    for name, operation in every_operation(app):
        bodies = [
            answer.get("content", {}) for code, answer in operation["responses"].items() if code < "300"
        ]
        bodies.append(operation.get("requestBody", {}).get("content", {}))
        for content in bodies:
            for media_type, body in content.items():
                if media_type != "application/json":
                    continue
                examples = [one["value"] for one in body.get("examples", {}).values()] or [body["example"]]
                for example in examples:
                    assert faults(app, body.get("schema", {}), example) == [], (name, example)
                    checked += 1
        assert any("content" in one for one in operation["responses"].values()), name
    assert checked >= 60


def test_every_parameter_that_is_needed_has_an_example(app: FastAPI) -> None:
    for name, operation in every_operation(app):
        for one in operation.get("parameters", []):
            if one.get("required"):
                examples = one["schema"].get("examples") or [one["example"]]
                assert faults(app, one["schema"], examples[0]) == [], (name, one["name"], examples)


def test_every_operation_says_who_may_call_it_and_that_it_may_be_too_often(app: FastAPI) -> None:
    for name, operation in every_operation(app):
        access = OPERATIONS[name]
        assert "429" in operation["responses"], name
        if access.public:
            assert operation["security"] == [], name
            continue
        assert {"401", "403"} <= set(operation["responses"]), name
        assert operation["x-roles"] == sorted(access.roles), name
        tokens = [one["token"] for one in operation["security"] if "token" in one]
        assert tokens == ([[access.scope]] if access.scope else []), name


def test_a_schema_that_contains_itself_has_an_end() -> None:
    tree = {"type": "object", "properties": {"under": {"type": "array", "items": {"$ref": "#/x/Tree"}}}}
    assert "under" in example_of(tree, {"Tree": tree})
