"""A registry on a server: gone, refusing, empty, of another version, and well."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from app.cli import main
from store.registry.address import PASSWORD_VARIABLE
from tests.postgres import PASSWORD, PostgresServer

pytestmark = pytest.mark.own_registry


def _told(data: Path, address: object, password: str = PASSWORD) -> dict[str, str]:
    words = ["doctor", "--data", str(data), "--registry", str(address), "--json"]
    done = CliRunner().invoke(main, words, env={PASSWORD_VARIABLE: password})
    assert password not in done.output
    return {one["key"]: one["text"] for one in json.loads(done.output) if one["key"].startswith("registry")}


def test_a_registry_on_a_server(postgres_server: PostgresServer, tmp_path: Path) -> None:
    with postgres_server.database() as address, postgres_server.database("template0") as empty:
        assert "is at revision" in _told(tmp_path, address)["registry"]
        assert "first start" in _told(tmp_path, empty)["registry"]
        assert "password authentication failed" in _told(tmp_path, address, "another")["registry_refused"]
        nowhere = postgres_server.address("nowhere")
        assert "does not exist" in _told(tmp_path, nowhere)["registry_refused"]
        gone = postgres_server.address("quietwater", port=1)
        assert "refused" in _told(tmp_path, gone)["registry_unreachable"]
        for revision, key in (("0000", "registry_older"), ("9999", "registry_newer")):
            with postgres_server.admin(address.database) as connection:
                connection.execute("UPDATE alembic_version SET version_num = %s", [revision])
            assert list(_told(tmp_path, address)) == [key]
