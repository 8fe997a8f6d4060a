"""A city's registry moves to PostgreSQL with one command, and a backup holds it wherever it is."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from click.testing import CliRunner

from app.cli import main
from app.lock import PartLocks
from store.registry.address import PASSWORD_VARIABLE, PostgresAddress
from store.series.duckdb_store import DuckDbStore
from tests.postgres import PASSWORD, PostgresServer

pytestmark = pytest.mark.own_registry

LABELS = ("--zh", "湖畔小区", "--en", "Lakeside")


@pytest.fixture(autouse=True)
def _as_operators_do(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(PASSWORD_VARIABLE, PASSWORD)


def _run(*words: str | Path, expect: int = 0) -> str:
    done = CliRunner().invoke(main, [str(word) for word in words])
    assert done.exit_code == expect, done.output
    assert PASSWORD not in done.output
    return done.output


def _city(data: Path) -> None:
    _run("admin", "--data", data, "init")
    _run("admin", "--data", data, "site", "add", "lake-side", *LABELS, "--zone", "1")
    _run("admin", "--data", data, "user", "add", "wang", "--role", "manager", "--site", "lake-side")
    DuckDbStore(data / "series.duckdb").close()


def _users(data: Path, address: PostgresAddress | None = None) -> str:
    return _run("admin", "--data", data, *(("--registry", address) if address else ()), "user", "list")


def test_one_command_moves_it_and_a_backup_brings_it_back_anywhere(
    postgres_server: PostgresServer, tmp_path: Path
) -> None:
    data = tmp_path / "data"
    _city(data)
    users = _users(data)
    with postgres_server.database() as address, postgres_server.database("template0") as second:
        told = _run("admin", "--data", data, "move-registry", "--to", str(address))
        assert "sites" in told and "users" in told and str(address) in told
        assert _users(data, address) == users
        assert "there is no registry" in _run("admin", "--data", data, "user", "list", expect=1)
        (kept,) = data.glob("registry.moved-*.sqlite")
        with closing(sqlite3.connect(kept)) as db:
            assert db.execute("SELECT count(*) FROM users").fetchone() == (2,)

        _run("admin", "--data", data, "--registry", address, "user", "add", "li", "--role", "bureau")
        _run("backup", "--data", data, "--registry", address, tmp_path / "kept")
        assert (tmp_path / "kept" / "registry.sqlite").stat().st_mode & 0o777 == 0o600

        _run("restore", tmp_path / "kept", "--data", tmp_path / "file")
        assert "li" in _users(tmp_path / "file")
        _run("restore", tmp_path / "kept", "--data", tmp_path / "server", "--registry", second)
        assert _users(tmp_path / "server", second) == _users(tmp_path / "file")
        assert not (tmp_path / "server" / "registry.sqlite").exists()

        again = _run("restore", tmp_path / "kept", "--data", tmp_path / "x", "--registry", second, expect=1)
        assert "nothing was restored" in again and "not empty" in again
        assert not (tmp_path / "x" / "series.duckdb").exists()


def test_what_keeps_it_from_moving_is_told(postgres_server: PostgresServer, tmp_path: Path) -> None:
    data = tmp_path / "data"
    _city(data)
    with postgres_server.database() as address:
        move = ("admin", "--data", data, "move-registry", "--to")
        running = PartLocks(data, ["serve"])
        assert "stop the server first" in _run(*move, str(address), expect=1)
        running.release()
        gone = f"postgresql://quietwater@127.0.0.1:1/{address.database}"
        assert "nothing was moved: the registry does not answer" in _run(*move, gone, expect=1)
        assert "command line" in _run(*move, "postgresql://q:pw@127.0.0.1/x", expect=2)
        _run(*move, str(address))
        assert "there is no registry" in _run(*move, str(address), expect=1)
        assert "already" in _run(
            "admin", "--registry", address, "move-registry", "--to", str(address), expect=2
        )


def test_no_backup_is_called_whole_without_the_registry(
    postgres_server: PostgresServer, tmp_path: Path
) -> None:
    _city(tmp_path / "data")
    gone = "postgresql://quietwater@127.0.0.1:1/city"
    told = _run("backup", "--data", tmp_path / "data", "--registry", gone, tmp_path / "kept", expect=1)
    assert "no backup was made: the registry does not answer" in told
    assert not (tmp_path / "kept").exists()
