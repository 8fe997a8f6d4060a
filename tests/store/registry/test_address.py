"""What an address of a registry may say, and that no password shows."""

from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner

from app.cli import main
from store.registry.address import (
    PASSWORD_VARIABLE,
    BadRegistryAddress,
    NoRegistry,
    PostgresAddress,
    SqliteAddress,
    in_folder,
    open_existing,
    parse_registry,
)

pytestmark = pytest.mark.own_registry


@pytest.fixture(params=["-"])
def backend() -> str:
    """Nothing is opened here."""
    return "-"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("postgresql://qw@db.example/city", PostgresAddress("db.example", "city", "qw")),
        ("postgres://qw@db:5433/city", PostgresAddress("db", "city", "qw", 5433)),
        ("postgresql:///city", PostgresAddress("/var/run/postgresql", "city")),
        ("postgresql:///city?host=/run/pg&port=5433", PostgresAddress("/run/pg", "city", port=5433)),
        ("postgresql://q%40w@[::1]/a%20b", PostgresAddress("::1", "a b", "q@w")),
        (
            "postgresql://db/city?sslmode=verify-full",
            PostgresAddress("db", "city", options=(("sslmode", "verify-full"),)),
        ),
        ("sqlite:////var/lib/qw/r.sqlite", SqliteAddress(Path("/var/lib/qw/r.sqlite"))),
        ("sqlite:///r.sqlite", SqliteAddress(Path("r.sqlite"))),
    ],
)
def test_an_address_is_read(text: str, expected: object) -> None:
    assert parse_registry(text, {}) == expected


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("mysql://db/city", "PostgreSQL server or an SQLite file"),
        ("postgresql://db", "names no database"),
        ("postgresql://db/", "names no database"),
        ("postgresql://db:port/city", "cannot be read"),
        ("postgresql://qw:secret@db/city", PASSWORD_VARIABLE),
        ("postgresql://db/city?password=secret", "'password' is no part"),
        ("postgresql:///city?port=0", "is no port"),
        ("sqlite://r.sqlite", "four strokes"),
        ("/var/lib/r.sqlite", "PostgreSQL server or an SQLite file"),
    ],
)
def test_what_is_wrong_with_it_is_told_without_its_password(text: str, told: str) -> None:
    with pytest.raises(BadRegistryAddress, match=told) as raised:
        parse_registry(text, {})
    assert "secret" not in str(raised.value)


def test_where_the_password_comes_from(tmp_path: Path) -> None:
    file = tmp_path / "password"
    file.write_text("from a file\n")
    plain = "postgresql://qw@db/city"

    def password(text: str, environment: dict[str, str], shows: bool = False) -> str | None:
        address = parse_registry(text, environment, password_may_show=shows)
        assert isinstance(address, PostgresAddress)
        assert "secret" not in f"{address} {address!r}"
        return address.password

    assert password(plain, {}) is None
    assert password(plain, {PASSWORD_VARIABLE: "secret"}) == "secret"
    assert password(plain, {f"{PASSWORD_VARIABLE}_FILE": str(file)}) == "from a file"
    assert password("postgresql://qw:secret%2F@db/city", {}, shows=True) == "secret/"
    with pytest.raises(BadRegistryAddress, match="cannot be read"):
        password(plain, {f"{PASSWORD_VARIABLE}_FILE": str(tmp_path / "none")})


def test_a_password_on_the_command_line_is_refused_and_one_in_the_environment_is_not(tmp_path: Path) -> None:
    address = "postgresql://qw:secret@127.0.0.1:1/city"
    words = ["admin", "--data", str(tmp_path), "user", "list"]
    told = CliRunner().invoke(main, [*words[:3], "--registry", address, *words[3:]])
    assert told.exit_code == 2 and PASSWORD_VARIABLE in told.output and "secret" not in told.output
    told = CliRunner().invoke(main, words, env={"QUIETWATER_REGISTRY": address})
    assert told.exit_code == 1 and "the registry does not answer" in told.output
    assert "secret" not in told.output and "Traceback" not in told.output


def test_a_command_makes_no_registry_where_there_is_none(tmp_path: Path) -> None:
    with pytest.raises(NoRegistry, match="--data"):
        open_existing(in_folder(tmp_path))
    assert list(tmp_path.iterdir()) == []
