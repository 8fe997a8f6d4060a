"""What is published under docs/ is what the code says; ``python -m contract docs`` writes it anew."""

from pathlib import Path

import pytest
import yaml
from jsonschema import Draft202012Validator

from contract.__main__ import main
from contract.asyncapi import asyncapi_yaml, document
from contract.schema import payload_schemas, schema_files
from contract.topics import MESSAGE_MODELS, Topic

DOCS = Path(__file__).parents[2] / "docs"


def test_the_published_schemas_are_those_of_the_models():
    published = {path.name: path.read_text() for path in (DOCS / "schema").glob("*.json")}
    assert published == schema_files()


def test_the_published_asyncapi_is_that_of_the_contract():
    assert (DOCS / "asyncapi.yaml").read_text() == asyncapi_yaml()


def test_the_command_writes_exactly_these_files(tmp_path):
    main(tmp_path)
    written = {path.relative_to(tmp_path) for path in tmp_path.rglob("*") if path.is_file()}
    assert written == {Path("asyncapi.yaml"), *(Path("schema", name) for name in schema_files())}


def test_the_asyncapi_is_yaml_that_reads_as_the_document_and_its_references_lead_somewhere():
    assert yaml.safe_load(asyncapi_yaml()) == document()
    for kind, channel in document()["channels"].items():
        assert channel["address"] == str(Topic("{site}", "{device}", kind))
        (message,) = channel["messages"].values()
        assert (DOCS / message["payload"]["$ref"]).is_file()
    channels = {operation["channel"]["$ref"] for operation in document()["operations"].values()}
    assert channels == {f"#/channels/{kind}" for kind in MESSAGE_MODELS}


@pytest.mark.parametrize("kind", MESSAGE_MODELS)
def test_every_schema_is_a_valid_schema(kind):
    Draft202012Validator.check_schema(payload_schemas()[kind])
