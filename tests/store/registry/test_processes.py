"""Several processes on one registry: they start at once, and none overwrites what another has written."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import select

from store.registry.address import PASSWORD_VARIABLE, RegistryAddress, SqliteAddress
from store.registry.models import Counter, User
from tests.postgres import PASSWORD

pytestmark = [pytest.mark.system, pytest.mark.own_registry]


@pytest.fixture
def empty(backend: str, request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[RegistryAddress]:
    """The address of a registry that nobody has opened yet."""
    if backend == "sqlite":
        yield SqliteAddress(tmp_path / "registry.sqlite")
        return
    with request.getfixturevalue("postgres_server").database("template0") as address:
        yield address


def _start(*words: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", *words], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        env={**os.environ, PASSWORD_VARIABLE: PASSWORD},
    )  # fmt: skip


def _ended(process: subprocess.Popen[str]) -> str:
    try:
        out, err = process.communicate(timeout=90)
    finally:
        process.kill()
    assert process.returncode == 0, out + err
    return out


def test_two_that_start_at_once_make_one_schema_and_one_admin(empty: RegistryAddress, tmp_path: Path) -> None:
    starting = [
        _start("app", "admin", "--data", str(tmp_path), "--registry", str(empty), "init") for _ in range(2)
    ]
    told = [_ended(process) for process in starting]
    assert sum("password" in one for one in told) == 1
    assert sum("users stay as they are" in one for one in told) == 1
    registry = empty.open()
    with registry.reader() as session:
        assert session.scalars(select(User.name)).all() == ["admin"]
    registry.close()


def test_nothing_that_two_count_is_lost(empty: RegistryAddress) -> None:
    empty.open().close()
    counting = [_start("tests.store.registry.writer_child", str(empty), "count", "40") for _ in range(2)]
    for process in counting:
        _ended(process)
    registry = empty.open()
    with registry.reader() as session:
        assert session.get_one(Counter, "seen").value == 80
    registry.close()
